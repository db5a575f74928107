"""A finished text, cut at its markers into static text, holes and `only` blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from newsletter_bot.errors import ConfigurationError
from newsletter_bot.issues.model import OnlyBlock, Slot
from newsletter_bot.rendering.model import Escape, Hole, Only, Piece, Pieces, Static

_MARKER = re.compile(r"zq9[a-z]\d+x[0-9a-f]{4}9qz")
_MARKUP = re.compile(
    r"""(?P<opaque><!--.*?-->|<(style|script)\b.*?</\2>)"""
    r"""|</?[A-Za-z](?:"[^"]*"|'[^']*'|[^"'<>])*>""",
    re.DOTALL,
)
_OPEN_ATTRIBUTE = re.compile(r"""([\w:-]+)=("[^"]*|'[^']*)$""")
_ADDRESS_ATTRIBUTES = frozenset({"href", "src", "background", "action"})


@dataclass(frozen=True, slots=True)
class Cutter:
    """Knows an issue's markers; cuts each part of its message."""

    slots: Sequence[Slot]
    only_blocks: Sequence[OnlyBlock]

    def html(self, text: str) -> Pieces:
        """Cut HTML: where a hole stands decides how its value is escaped.

        Raises ConfigurationError for a hole where no value can be escaped: in a comment, a script,
        a style sheet or a `style` attribute.
        """
        return self._pieces(text, self._escapes(text), Escape.HTML)

    def plain(self, text: str) -> Pieces:
        """Cut plain text or a header's value."""
        return self._pieces(text, {}, Escape.PLAIN)

    def check_all_survived(self, before: str, after: str) -> None:
        """Raise ConfigurationError for a marker that MJML or premailer dropped or damaged."""
        for slot in self.slots:
            if after.count(slot.marker) < before.count(slot.marker):
                raise ConfigurationError(
                    f"The theme puts the slot {slot.name!r} where it does not come out.",
                    "MJML leaves out what it does not know; an mj-text shows everything.",
                )
        for block in self.only_blocks:
            for edge in (block.begin, block.end):
                if after.count(edge) < before.count(edge):
                    raise _lost_edge(block)

    def _pieces(self, text: str, escapes: Mapping[int, Escape], usual: Escape) -> Pieces:
        slots = {slot.marker: slot for slot in self.slots}
        begins = {block.begin: block for block in self.only_blocks}
        ends = {block.end: block for block in self.only_blocks}
        outside: list[Piece] = []
        inside: list[Static | Hole] = []
        open_block: OnlyBlock | None = None
        for part, at in _parts(text):
            if (block := begins.get(part) or ends.get(part)) is None:
                piece = _piece(part, slots.get(part), escapes.get(at, usual))
                (outside if open_block is None else inside).append(piece)
            elif part == block.begin and open_block is None:
                open_block, inside = block, []
            elif part == block.end and open_block is block:
                outside.append(Only(block.conditions, tuple(inside)))
                open_block = None
            else:
                raise _lost_edge(block)
        if open_block is not None:
            raise _lost_edge(open_block)
        return tuple(outside)

    def _escapes(self, html: str) -> dict[int, Escape]:
        """Tell for the holes inside tags, by their place, how a value is escaped there."""
        known = {slot.marker: slot.name for slot in self.slots}
        found = {}
        for markup in _MARKUP.finditer(html):
            for marker in _MARKER.finditer(html, markup.start(), markup.end()):
                if marker[0] in known:
                    escape = _escape(html[markup.start() : marker.start()])
                    if escape is None or markup["opaque"]:
                        raise ConfigurationError(
                            f"The slot {known[marker[0]]!r} stands in a comment, script or style.",
                            "Show it in the text, in a link or in another attribute.",
                        )
                    found[marker.start()] = escape
        return found


def _parts(text: str) -> Iterator[tuple[str, int]]:
    at = 0
    for marker in _MARKER.finditer(text):
        if marker.start() > at:
            yield text[at : marker.start()], at
        yield marker[0], marker.start()
        at = marker.end()
    if at < len(text):
        yield text[at:], at


def _piece(part: str, slot: Slot | None, escape: Escape) -> Static | Hole:
    return Static(part) if slot is None else Hole(slot.name, slot.fallback, escape)


def _escape(tag: str) -> Escape | None:
    """Return the escape at the end of an unfinished tag; None where none would be safe."""
    attribute = _OPEN_ATTRIBUTE.search(tag)
    if attribute is None or attribute[1].lower().startswith(("style", "on")):
        return None
    if attribute[1].lower() not in _ADDRESS_ATTRIBUTES:
        return Escape.HTML
    return Escape.URL if attribute[2][1:] else Escape.LINK


def _lost_edge(block: OnlyBlock) -> ConfigurationError:
    return ConfigurationError(
        f"The theme lost an edge of the `only` block of line {block.line}.",
        "Show an item's whole body in one place of the theme.",
    )
