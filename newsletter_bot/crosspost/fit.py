"""A summary shortened until its post fits: at a word, with the link intact."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import regex

from newsletter_bot.crosspost import links

ELLIPSIS = "…"
_GRAPHEME = regex.compile(r"\X")
_CJK = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}ー々〆]")
# What may not begin a line does not begin the part that is cut off either: it belongs to the left.
_CLOSING = frozenset("、。，．！？：；」』）】〕〉》ゝゞーぁぃぅぇぉっゃゅょァィゥェォッャュョ…‥")
_LOOSE_END = " \t\n,;:—–-(（「『、，"


class NoRoomError(Exception):
    """The post cannot be made to fit; the text says why, as a sentence."""


def graphemes(text: str) -> list[str]:
    """Return what a reader calls characters (UAX #29 extended grapheme clusters)."""
    return [str(found) for found in _GRAPHEME.findall(text)]


def fit(
    write: Callable[[str], str], summary: str, weigh: Callable[[str], int], limit: int
) -> tuple[str, int]:
    """Return the post that `write` makes of the summary, shortened as needed, and its weight.

    Raises NoRoomError when what stands around the summary leaves no room for it.
    """
    whole = write(summary)
    if (weight := weigh(whole)) <= limit:
        return whole, weight
    for cuts in (_at_words(summary), _anywhere(summary)):
        texts = [_shortened(summary, cut) for cut in cuts]
        found = _longest([write(text) for text in texts if text != ELLIPSIS], weigh, limit)
        if found is not None:
            return found
    around = weigh(write(""))
    if around >= limit:
        raise NoRoomError(
            f"What stands around the summary weighs {around} of {limit}: no room is left for it."
        )
    raise NoRoomError(f"The summary weighs {weight} of {limit} and cannot be shortened.")


def _longest(posts: list[str], weigh: Callable[[str], int], limit: int) -> tuple[str, int] | None:
    low, high = 0, len(posts)
    while low < high:
        middle = (low + high) // 2
        if weigh(posts[middle]) <= limit:
            low = middle + 1
        else:
            high = middle
    # Weight does not always grow with the text (a word that becomes a link), so look again.
    for post in reversed(posts[:low]):
        if (weight := weigh(post)) <= limit:
            return post, weight
    return None


def _shortened(summary: str, cut: int) -> str:
    return summary[:cut].rstrip(_LOOSE_END) + ELLIPSIS


def _at_words(summary: str) -> list[int]:
    """Return where it may be cut: before white space, and between CJK characters."""
    return [
        at
        for at, before, after in _seams(summary)
        if after.isspace() or ((_CJK.match(before) or _CJK.match(after)) and after not in _CLOSING)
    ]


def _anywhere(summary: str) -> list[int]:
    """Return where it may be cut when no word is short enough: between any two characters."""
    return [at for at, _before, _after in _seams(summary)]


def _seams(summary: str) -> list[tuple[int, str, str]]:
    """Return the places between two characters that are not inside a link."""
    found, at = [], 0
    whole = graphemes(summary)
    inside = links.places(summary)
    for before, after in pairwise(whole):
        at += len(before)
        if not any(begin < at < end for begin, end in inside):
            found.append((at, before, after))
    return found
