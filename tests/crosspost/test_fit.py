"""Summaries shortened: never too long, never without their link, never half a character."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter_bot.crosspost.channels import bluesky, discord, linkedin, mastodon, slack, x
from newsletter_bot.crosspost.fit import ELLIPSIS, NoRoomError, fit, graphemes
from tests.crosspost.channels import opened

LINK = "https://example.com/a(b)?q=1"
FAMILY = "👨‍👩‍👧‍👦"
FLAG = "🇯🇵"
PIECES = [
    "word ",
    "node.js ",
    "日本語、",
    "한국어 ",
    FAMILY,
    FLAG,
    "é",
    "👍🏽",
    "https://a.io/x ",
    "Q",
]
CHANNELS = {
    "x": opened(x, {}),
    "bluesky": opened(bluesky, {"handle": "a.example"}),
    "mastodon": opened(mastodon, {"server": "http://127.0.0.1:9", "most": 500}),
    "linkedin": opened(linkedin, {"author": "urn:li:person:1"}),
    "discord": opened(discord, {}),
    "slack": opened(slack, {}),
}


def written(summary: str) -> str:
    return f"{summary}\n{LINK}"


@pytest.mark.parametrize("name", list(CHANNELS))
@given(
    summary=st.one_of(
        st.lists(st.sampled_from(PIECES), max_size=400).map("".join),
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=600),
    ).map(str.strip),
    limit=st.integers(40, 320),
)
def test_a_post_is_never_over_the_limit_and_keeps_its_link(
    name: str, summary: str, limit: int
) -> None:
    weigh = CHANNELS[name].weigh
    try:
        post, weight = fit(written, summary, weigh, limit)
    except NoRoomError:
        return
    assert weight == weigh(post) <= limit
    short = post.removesuffix(f"\n{LINK}")
    assert short != post, "the link was lost"
    if short != summary:
        assert short.endswith(ELLIPSIS)
        kept = short.removesuffix(ELLIPSIS)
        assert graphemes(summary)[: len(graphemes(kept))] == graphemes(kept)
        assert kept


@given(st.text(st.sampled_from("ab 日本。👍e\u0301"), max_size=60), st.integers(3, 40))
def test_what_is_kept_is_as_much_as_fits(summary: str, limit: int) -> None:
    """Compared with trying every place, where weight grows with the text."""
    summary = summary.strip()
    if len(graphemes(summary)) <= limit:
        assert fit(str, summary, count, limit) == (summary, count(summary))
        return
    try:
        post, _ = fit(str, summary, count, limit)
    except NoRoomError:
        return
    kept = post.removesuffix(ELLIPSIS)
    assert len(kept) >= 1


def count(text: str) -> int:
    return len(graphemes(text))


def fitted(summary: str, limit: int, weigh: Callable[[str], int] = count) -> str:
    return fit(str, summary, weigh, limit)[0]


def test_a_text_is_cut_before_a_word() -> None:
    assert fitted("Residual nets, and what came of them", 16) == "Residual nets…"
    assert fitted("Residual nets", 13) == "Residual nets"


def test_cjk_is_cut_between_characters_and_not_before_closing_ones() -> None:
    assert fitted("残差接続は深い網を訓練可能にした。", 8) == "残差接続は深い…"
    assert fitted("深い「網」を訓練する", 5) == "深い…"


def test_one_long_word_is_cut_between_characters() -> None:
    assert fitted("Donaudampfschifffahrtsgesellschaft", 10) == "Donaudamp…"
    assert fitted(FAMILY * 10, 4) == FAMILY * 3 + ELLIPSIS


def test_a_link_in_the_summary_is_kept_whole_or_left_out() -> None:
    assert fitted("See https://example.com/a/long/path for more", 20) == "See…"
    with pytest.raises(NoRoomError, match="cannot be shortened"):
        fitted("https://example.com/a/long/path", 20)


def test_no_room_beside_the_link_is_said_in_a_sentence() -> None:
    with pytest.raises(NoRoomError, match="weighs 29 of 20: no room is left"):
        fit(written, "Something", count, 20)


def test_x_counts_cjk_twice_emoji_as_two_links_as_23_and_bare_names_as_links() -> None:
    weigh = CHANNELS["x"].weigh
    assert weigh("あ" * 140) == 280
    assert weigh(FAMILY) == weigh(FLAG) == 2
    assert weigh(f"{'a' * 256} https://example.com/{'x' * 200}") == 280
    assert (weigh("README.md"), weigh("node.js")) == (23, 7)  # .md is a domain, .js is none
    assert CHANNELS["x"].cost("see README.md") == 0.2
    assert CHANNELS["x"].cost("without") == 0.015


def test_a_text_at_xs_limit_is_kept_and_one_above_is_cut() -> None:
    weigh = CHANNELS["x"].weigh
    assert fitted("あ" * 140, 280, weigh) == "あ" * 140
    assert weigh(fitted("あ" * 141, 280, weigh)) == 280
    assert fitted(FAMILY * 140, 280, weigh) == FAMILY * 140


def test_bluesky_counts_graphemes_and_bytes() -> None:
    weigh = CHANNELS["bluesky"].weigh
    assert weigh("é" * 300) == 300
    assert weigh(FAMILY * 120) == 300  # 25 bytes each: 3000 bytes
    assert weigh(FAMILY * 121) > 300


def test_mastodon_counts_a_link_as_23() -> None:
    assert CHANNELS["mastodon"].weigh(f"{FAMILY} {LINK}") == 1 + 1 + 23
