"""A rendering's HTML as it is sent: tracked links lead through our site, or straight on.

Links counted in aggregate are static text, the same for everybody. Those counted for each reader
differ by one hole, the reader's token: it is made once for a message, whatever the number of links.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import TypeVar

from newsletter_bot.rendering.links import slot_name
from newsletter_bot.rendering.model import Escape, Hole, Only, Piece, Pieces, Rendering, Static
from newsletter_bot.rendering.tracking import Detail, Tracking

READER = "visit:reader"  # the hole of a reader's token; no field can be called so
OPENED = 0  # stands for the picture where links have their numbers
_END = "</body>"
# Not hidden by a style: a mail program that minds would hide the mail.
_PIXEL = '<img src="', '" alt="" width="1" height="1" border="0" />'
_Plain = Static | Hole
_Some = TypeVar("_Some", bound=Piece)


@dataclass(frozen=True, slots=True)
class Visits:
    """Where visits of one issue are counted: the site, its links' numbers, and the keyed hashes."""

    site: str  # without a slash at its end
    issue: str
    numbers: Mapping[str, int]  # of addresses
    mac: Callable[[int], str]  # of a number, for addresses that are the same for everybody


def as_sent(rendering: Rendering, visits: Visits | None) -> Pieces:
    """Return the HTML for a message; without `visits` every link leads straight on."""
    if not rendering.tracking.is_on:
        return rendering.html
    addresses = _Addresses(rendering.tracking, visits)
    pieces: list[Piece] = []
    for piece in rendering.html:
        if isinstance(piece, Only):
            inner = (new for one in piece.pieces for new in addresses.instead_of(one))
            pieces.append(Only(piece.conditions, _joined(inner)))
        else:
            pieces.extend(addresses.instead_of(piece))
    return _with_picture(_joined(pieces), addresses.picture())


class _Addresses:
    """The pieces that stand for addresses."""

    def __init__(self, tracking: Tracking, visits: Visits | None) -> None:
        self._tracking = tracking
        self._visits = visits
        self._holes = {slot_name(at): self._link(one.url) for at, one in enumerate(tracking.links)}

    def instead_of(self, piece: _Plain) -> tuple[_Plain, ...]:
        known = self._holes.get(piece.name) if isinstance(piece, Hole) else None
        return (piece,) if known is None else known

    def picture(self) -> tuple[_Plain, ...]:
        """Return the picture that tells of an open; nothing where none is counted."""
        visits, detail = self._visits, self._tracking.opens
        if visits is None or detail is Detail.OFF:
            return ()
        begin, end = map(Static, _PIXEL)
        if detail is Detail.INDIVIDUAL:
            return (begin, Static(f"{escape(visits.site)}/o/"), _TOKEN, Static(".gif"), end)
        mac = visits.mac(OPENED)
        return (begin, Static(f"{escape(visits.site)}/o/{visits.issue}/{mac}.gif"), end)

    def _link(self, url: str) -> tuple[_Plain, ...]:
        visits, detail = self._visits, self._tracking.clicks
        if visits is None or detail is Detail.OFF:
            return (Static(escape(url)),)
        site, number = f"{escape(visits.site)}/r", visits.numbers[url]
        if detail is Detail.INDIVIDUAL:
            return (Static(f"{site}/"), _TOKEN, Static(f"/{number}"))
        return (Static(f"{site}/{visits.issue}/{number}/{visits.mac(number)}"),)


_TOKEN = Hole(READER, "", Escape.URL)


def _with_picture(pieces: Pieces, picture: tuple[_Plain, ...]) -> Pieces:
    """Put the picture at the end of what is shown."""
    if not picture:
        return pieces
    for at in range(len(pieces) - 1, -1, -1):
        piece = pieces[at]
        if isinstance(piece, Static) and _END in piece.text:
            before, _, after = piece.text.rpartition(_END)
            inside = (Static(before), *picture, Static(_END + after))
            return _joined((*pieces[:at], *inside, *pieces[at + 1 :]))
    return _joined((*pieces, *picture))


def _joined(pieces: Iterable[_Some]) -> tuple[_Some | Static, ...]:
    """Make one static text of those that follow each other."""
    joined: list[_Some | Static] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if isinstance(piece, Static) and isinstance(last, Static):
            joined[-1] = Static(last.text + piece.text)
        else:
            joined.append(piece)
    return tuple(joined)
