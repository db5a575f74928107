"""Links inside a text: where they stand, and texts changed everywhere but in them."""

from __future__ import annotations

import re
from collections.abc import Callable

LINK = re.compile(r"https?://[^\s<>\"“”「」『』（）、。]+")
_TRAILING = ".,;:!?'\"…"


def places(text: str) -> list[tuple[int, int]]:
    """Return where links begin and end, without the punctuation of the sentence around them."""
    found = []
    for match in LINK.finditer(text):
        end = match.end()
        while text[end - 1] in _TRAILING or _closes_nothing(text[match.start() : end]):
            end -= 1
        found.append((match.start(), end))
    return found


def outside_links(text: str, change: Callable[[str], str]) -> str:
    """Change what is not a link."""
    parts, at = [], 0
    for begin, end in places(text):
        parts += [change(text[at:begin]), text[begin:end]]
        at = end
    return "".join([*parts, change(text[at:])])


def _closes_nothing(link: str) -> bool:
    return link.endswith(")") and link.count("(") < link.count(")")


def replaced(text: str, by: str) -> str:
    """Put `by` in the place of each link: for services that count every link the same."""
    parts, at = [], 0
    for begin, end in places(text):
        parts += [text[at:begin], by]
        at = end
    return "".join([*parts, text[at:]])
