"""Times and words of reports: nothing is lost in a plot, nothing is divided by zero."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter_bot.reports.model import Share
from newsletter_bot.reports.timing import timing, width_for
from newsletter_bot.reports.words import clean, said, shortened, span

SECONDS = st.lists(
    st.integers(0, 300) | st.integers(0, 200_000) | st.integers(0, 40_000_000),
    min_size=1,
    max_size=60,
)


@given(SECONDS)
def test_every_message_is_in_a_span_or_later_and_percentiles_are_in_order(
    seconds: list[int],
) -> None:
    last = max(seconds)
    width = width_for(last)
    found = timing(Counter(one // width for one in seconds), width, last)
    assert found is not None
    assert sum(found.spans) + found.later == len(seconds)
    assert 1 <= len(found.spans) <= 48
    assert found.p50 <= found.p90 <= found.last == last
    half = sorted(seconds)[(len(seconds) - 1) // 2]
    assert half <= found.p50 < half + width
    assert found.later <= len(seconds) * 0.02


def test_nothing_accepted_has_no_times() -> None:
    assert timing({}, 1, 0) is None


@pytest.mark.parametrize(
    ("count", "of", "written"),
    [
        (0, 0, "0 of 0"),
        (3, 19, "3 of 19"),
        (3, 20, "3 of 20 (15.0 %)"),
        (1, 1000, "1 of 1,000 (0.10 %)"),
        (99_999, 100_000, "99,999 of 100,000 (> 99.9 %)"),
        (20, 20, "20 of 20 (100 %)"),
    ],
)
def test_a_share_of_a_few_has_no_percent(count: int, of: int, written: str) -> None:
    assert str(Share(count, of)).replace("\N{NO-BREAK SPACE}", " ") == written


@given(st.text())
def test_clean_words_are_one_line_without_controls(text: str) -> None:
    cleaned = clean(text)
    assert not set(cleaned) & set("\n\r\t\x00\x1b\u202e\u2066\ufeff")
    cleaned.encode()  # no halves of pairs
    assert len(said(text)) <= 300


def test_words_keep_their_code_and_lose_what_differs() -> None:
    reply = (
        "550-5.1.1 <jane@x.example>: Recipient (id 4f9x-22) rejected\r\n550 5.1.1 by mx7.x.example"
    )
    assert said(reply) == "550 5.1.1 Recipient (id … rejected … by"
    assert said("421 Too many connections from 192.0.2.1") == "421 Too many connections from"
    assert shortened("正規化層を使わない", 10) == "正規化層…"
    assert (span(0), span(59), span(3900), span(180_000)) == ("0 s", "59 s", "1 h 5 min", "2 d 2 h")
