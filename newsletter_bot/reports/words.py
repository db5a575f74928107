"""Texts that others wrote, made fit to be shown: what servers said, titles; and spans of time."""

from __future__ import annotations

import re
import unicodedata

from newsletter_bot.delivery.relaying.replies import without_identifiers
from newsletter_bot.feedback.mails import codes

_SPACE = re.compile(r"\s+")
# Controls, marks without a width, those that turn the direction of writing, halves of pairs.
_UNFIT = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\uffff"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)
_MASKED = re.compile(r"[<(\[\"']*#[>)\]\"',;:.]*(?:\s+[<(\[\"']*#[>)\]\"',;:.]*)*")
_LONGEST = 300


def clean(text: str) -> str:
    """Return text as one line without what no page may hold: controls, and marks that turn it."""
    return _UNFIT.sub("", _SPACE.sub(" ", text)).strip()


def said(reply: str) -> str:
    """Return what a server said, without what differs from reader to reader.

    Names may be left, as in "no such user: jane": show only what was said to several readers.
    """
    reply = clean(reply)
    found = codes.REPLY.match(reply), codes.ENHANCED.search(reply[:40])
    told = " ".join(one[0].strip() for one in found if one is not None)
    words = _MASKED.sub("…", without_identifiers(reply)).strip(" …-:")
    return f"{told} {words}".strip()[:_LONGEST]


def shortened(text: str, columns: int) -> str:
    """Return text that takes no more than so many columns; most CJK characters take two."""
    taken = 0
    for place, one in enumerate(text):
        taken += 2 if unicodedata.east_asian_width(one) in {"W", "F"} else 1
        if taken > columns:
            return text[: max(place - 1, 1)].rstrip() + "…"
    return text


def span(seconds: int) -> str:
    """Write a span of time in its two largest units: `1 h 5 min`."""
    parts: list[str] = []
    for name, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count or parts:
            parts.append(f"{count} {name}" if count else "")
    return " ".join(one for one in parts[:2] if one) or "0 s"
