"""A finished text, cut at its markers into static text, holes and `only` blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from newsletter_bot.errors import ConfigurationError
from newsletter_bot.issues.model import OnlyBlock, Slot
from newsletter_bot.rendering.model import Escape, Hole, Only, Piece, Pieces, Static

_MARKER = re.compile(r"zq9[a-z]\d+x[0-9a-f]{4}9qz")
_OPEN_ATTRIBUTE = re.compile(r"""([\w:-]+)="([^"]*)$""")
_ADDRESS_ATTRIBUTES = frozenset({"href", "src", "background", "action"})


@dataclass(frozen=True, slots=True)
class Cutter:
    """Knows an issue's markers; cuts each part of its message."""

    slots: Sequence[Slot]
    only_blocks: Sequence[OnlyBlock]

    def html(self, text: str) -> Pieces:
        """Cut HTML: where a hole stands decides how its value is escaped."""
        return self._pieces(text, html=True)

    def plain(self, text: str) -> Pieces:
        """Cut plain text or a header's value."""
        return self._pieces(text, html=False)

    def _pieces(self, text: str, *, html: bool) -> Pieces:
        slots = {slot.marker: slot for slot in self.slots}
        begins = {block.begin: block for block in self.only_blocks}
        outside: list[Piece] = []
        inside: list[Static | Hole] = []
        block: OnlyBlock | None = None
        for part, at in _parts(text):
            if part in begins and block is None:
                block, inside = begins[part], []
            elif block is not None and part == block.end:
                outside.append(Only(block.conditions, tuple(inside)))
                block = None
            else:
                piece = _piece(part, slots.get(part), text[:at] if html else None)
                (inside if block is not None else outside).append(piece)
        if block is not None:
            raise ConfigurationError(
                f"The theme lost the end of the `only` block of line {block.line}.",
                "Show the item's whole body in one place of the theme.",
            )
        return tuple(outside)


def _parts(text: str) -> Iterator[tuple[str, int]]:
    at = 0
    for marker in _MARKER.finditer(text):
        if marker.start() > at:
            yield text[at : marker.start()], at
        yield marker[0], marker.start()
        at = marker.end()
    if at < len(text):
        yield text[at:], at


def _piece(part: str, slot: Slot | None, before: str | None) -> Static | Hole:
    if slot is None:
        return Static(part)
    escape = Escape.PLAIN if before is None else _escape(before)
    return Hole(slot.name, slot.fallback, escape)


def _escape(before: str) -> Escape:
    attribute = _OPEN_ATTRIBUTE.search(before[before.rfind("<") :])
    if attribute is None or attribute[1] not in _ADDRESS_ATTRIBUTES:
        return Escape.HTML
    return Escape.URL if attribute[2] else Escape.LINK
