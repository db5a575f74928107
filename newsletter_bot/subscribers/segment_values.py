"""The values within a segment's rules: texts, days, durations, numbers; and what is wrong."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from newsletter_bot.errors import DataError
from newsletter_bot.settings.tables import seconds
from newsletter_bot.subscribers.address import has_control
from newsletter_bot.subscribers.segment_rules import (
    FIRST_DAY,
    LAST_DAY,
    LONGEST_SPAN,
    LONGEST_VALUE,
    MOST_VALUES,
    Moment,
    Span,
)

SPAN_WORDS = ("since", "before", "within")
_MOST_ISSUES = 10_000
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_AGO = re.compile(r"[0-9]{1,9}[smhd]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SHOWN = 60  # characters of a value in a message


class SegmentError(DataError):
    """A rule that cannot be understood: says where, what is wrong, and what may be meant."""


def moment_text(moment: Moment) -> str:
    """Write a day or a time ago."""
    return duration(moment) if isinstance(moment, int) else moment.isoformat()


def duration(span: int) -> str:
    """Write seconds as `settings.seconds` reads them."""
    units = (("d", 86_400), ("h", 3600), ("m", 60))
    letter, size = next(((one, size) for one, size in units if span % size == 0), ("s", 1))
    return f"{span // size}{letter}"


def nearest(word: str, known: Iterable[str]) -> str:
    """Say which known word may be meant, or which there are."""
    words = sorted(map(str, known))
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    return f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(words) or 'none'}."


def read_span(table: Mapping[str, Any], place: str) -> Span:
    """Read `since` or `within`, and `before`; a table without them is open on both sides."""
    if "since" in table and "within" in table:
        raise wrong(place, "since and within say the same: write one of them.")
    since: Moment | None = None
    if "since" in table:
        since = _day(table["since"], below(place, "since"))
    elif "within" in table:
        since = _ago(table["within"], below(place, "within"))
    before = table.get("before")
    if before is None:
        return Span(since)
    return Span(since, _moment(before, below(place, "before")))


def _moment(value: object, place: str) -> Moment:
    ago = isinstance(value, str) and _AGO.fullmatch(value)
    return _ago(value, place) if ago else _day(value, place)


def _day(value: object, place: str) -> date:
    # A date with a time is a date to Python: its hours would be dropped without a word.
    found = value if type(value) is date else _written_day(value)
    if found is None:
        raise wrong(place, f"{_shown(value)} is no day like 2026-01-31.")
    if not FIRST_DAY <= found <= LAST_DAY:
        raise wrong(place, f"a day from {FIRST_DAY} to {LAST_DAY} is needed.")
    return found


def _written_day(value: object) -> date | None:
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def _ago(value: object, place: str) -> int:
    found = seconds(value) if isinstance(value, str) and _AGO.fullmatch(value) else 0
    if not 0 < found <= LONGEST_SPAN:
        raise wrong(place, f"{_shown(value)} is no duration like 12h or 90d, ten years at most.")
    return found


def read_number(value: object, place: str) -> int | None:
    """Read how many issues."""
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST_ISSUES:
        raise wrong(place, f"a number from 0 to {_MOST_ISSUES:,} is needed.")
    return value


def read_texts(value: object, place: str, *, empty: bool = True) -> tuple[str, ...]:
    """Read a text or a list of texts."""
    many = value if isinstance(value, list) else [value]
    if not 0 < len(many) <= MOST_VALUES:
        raise wrong(place, f"1 to {MOST_VALUES} texts are needed.")
    found = tuple(read_text(one, place) for one in many)
    if not empty and "" in found:
        raise wrong(place, "an empty text.")
    return found


def read_text(value: object, place: str) -> str:
    """Read a text of one line."""
    if not isinstance(value, str):
        raise wrong(place, "a text in quotes is needed.")
    if len(value) > LONGEST_VALUE:
        raise wrong(place, f"a text of more than {LONGEST_VALUE} characters.")
    if has_control(value) or _SURROGATE.search(value):
        raise wrong(place, "a line break or control character.")
    return value


def refuse_unknown(
    table: Mapping[str, Any],
    known: Iterable[str],
    place: str,
    hints: Iterable[str] | None = None,
) -> None:
    """Raise SegmentError for a word that is not known here, with the nearest of `hints`."""
    words = list(known)
    for word in table:
        if word not in words:
            raise wrong(place, f"{unknown(word)} {nearest(word, hints or words)}")


def unknown(word: object) -> str:
    """Begin the sentence about a word nobody knows."""
    return f"unknown word {_shown(word)}."


def _shown(value: object) -> str:
    text = repr(str(value)[:_SHOWN])
    return f"{text[:-1]}…{text[-1]}" if len(str(value)) > _SHOWN else text


def below(place: str, word: str) -> str:
    """Return the place of what stands under a word."""
    return f"{place}.{word}" if place else word


def wrong(place: str, sentence: str) -> SegmentError:
    """Say what is wrong, and where."""
    return SegmentError(f"{place}: {sentence}" if place else sentence[0].upper() + sentence[1:])
