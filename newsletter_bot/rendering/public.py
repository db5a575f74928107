"""The issue as anybody may read it: slots say their fallback, `only` blocks are left out."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, is_dataclass, replace
from html import escape, unescape
from typing import Any

from newsletter_bot.issues.model import Issue
from newsletter_bot.issues.sanitise import is_safe_address, sanitised
from newsletter_bot.rendering.cut import Cutter
from newsletter_bot.rendering.model import Only, Pieces, filled

# Control characters, halves of surrogate pairs, non-characters: neither HTML nor XML 1.0 may hold
# them (XML 1.0 section 2.2, HTML Standard section 13.2.3.5).
_ILLEGIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
_HTML_FIELDS = frozenset({"html", "title_html"})
_ADDRESS_FIELDS = frozenset({"url", "src"})


def public(issue: Issue) -> Issue:
    """Return the issue without anything that depends on its reader, in every one of its texts.

    An `only` block is left out even where its condition would hold for a stranger.
    """
    bare = replace(issue, source="", links=(), lines={}, slots=(), only_blocks=(), problems=())
    found: Issue = _Public(Cutter(issue.slots, issue.only_blocks)).value(bare, "")
    return found


def legible(text: str) -> str:
    """Drop the characters that no web page or feed may hold."""
    return _ILLEGIBLE.sub("", text)


@dataclass(frozen=True, slots=True)
class _Public:
    cutter: Cutter

    def value(self, value: Any, name: str) -> Any:
        """Walk through all fields, so that one added to the model later is not forgotten."""
        if type(value) is str:  # not an enumeration's member
            return self._text(legible(value), name)
        if isinstance(value, tuple):
            return tuple(self.value(one, name) for one in value)
        if is_dataclass(value) and not isinstance(value, type):
            changed = {
                one.name: self.value(getattr(value, one.name), one.name) for one in fields(value)
            }
            return replace(value, **changed)
        return value

    def _text(self, text: str, name: str) -> str:
        if name in _HTML_FIELDS:
            # Sanitised once more: a fallback may have completed an address.
            return sanitised(_for_nobody(self.cutter.html(text)))
        if name in _ADDRESS_FIELDS:
            return self._address(text)
        return _for_nobody(self.cutter.plain(text))

    def _address(self, text: str) -> str:
        # As an attribute, so that the one rule of how slots stand in addresses holds here too.
        opening, closing = '<a href="', '">'
        pieces = self.cutter.html(f"{opening}{escape(text)}{closing}")
        address = unescape(_for_nobody(pieces)[len(opening) : -len(closing)])
        return address if is_safe_address(address) else ""


def _for_nobody(pieces: Pieces) -> str:
    return filled(tuple(piece for piece in pieces if not isinstance(piece, Only)), {})
