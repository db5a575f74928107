"""Cursors: where a listing goes on, in a text that only we can have written.

Behind a cursor is the place of the last row shown, mostly its id, so rows that are added meanwhile
neither come twice nor hide others. It belongs to one listing with its filters.
"""

from __future__ import annotations

import binascii
import hmac

from newsletter_bot.subscribers.tokens import mac
from newsletter_bot.web.api.problems import invalid

_MAC = 12  # bytes: 96 bits
_NUMBER = 8  # bytes


class Cursors:
    """Makes and reads cursors."""

    def __init__(self, secret: bytes) -> None:
        self._mac = mac(secret, b"api-cursor", _MAC)

    def make(self, listing: str, place: bytes) -> str:
        """Return the cursor behind a place of a listing; `listing` names it with its filters."""
        return (place + self._digest(listing, place)).hex()

    def read(self, listing: str, cursor: str) -> bytes:
        """Return the place to go on behind; raises Problem for what we did not make for this."""
        try:
            data = binascii.unhexlify(cursor)
        except ValueError:
            data = b""
        place, found = data[:-_MAC], data[-_MAC:]
        if not hmac.compare_digest(found, self._digest(listing, place)):
            raise invalid("This is no cursor of this listing with these filters.", "", "cursor")
        return place

    def _digest(self, listing: str, place: bytes) -> bytes:
        state = self._mac.copy()
        state.update(len(place).to_bytes(1, "big") + place + listing.encode())
        return state.digest()


def to_place(number: int) -> bytes:
    """Write an id or a time as (part of) a place."""
    return number.to_bytes(_NUMBER, "big")


def from_place(place: bytes) -> tuple[int, bytes]:
    """Read the number that a place begins with, and what stands behind it."""
    return int.from_bytes(place[:_NUMBER], "big"), place[_NUMBER:]
