"""Signed, purpose-bound tokens: what one was made for, no other page or mailbox believes.

A token is written in hexadecimal digits, so that it survives mail systems that change case, and
short enough to stand behind `unsub+` in a mail address (64 octets, RFC 5321 section 4.5.3.1.1). It
begins with its version. It ends in a keyed BLAKE2b (RFC 7693), made thousands of times a second.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

_VERSION = b"\x01"
_MAC = 12  # bytes: 96 bits
_NUMBER = 6  # bytes of an id: enough for 2**48 rows
_LIST = 4  # bytes of a list id's hash
_ISSUE = 4  # bytes of an issue's id
_PLACE_MAC = 8  # bytes: what it guards is a count; where a link leads, the database alone says
_LINK_MAC = 16  # bytes: 128 bits, where no mail address limits the length


class Link(Enum):
    """What the token of a page is for; each has a key of its own (at most 16 bytes of name)."""

    CONFIRM = b"confirm"  # of a sign-up
    PREFERENCES = b"preferences"  # of a subscriber
    AGREE_OLD = b"agree-old"  # of an address change, sent to the old address
    AGREE_NEW = b"agree-new"  # the same, sent to the new one
    FORM = b"form"  # when a form was shown: seconds since 1970 UTC


@dataclass(frozen=True, slots=True)
class VisitClaim:
    """What the token in a reader's links says: the issue, and its delivery to them."""

    issue_id: int
    delivery_id: int


@dataclass(frozen=True, slots=True)
class UnsubscribeClaim:
    """What an unsubscribe token says: who, and which list (compare with `matches`)."""

    subscriber_id: int
    list_hash: bytes

    def matches(self, list_id: str) -> bool:
        """Tell whether the token was made for this list."""
        return self.list_hash == _list_hash(list_id)


class TokenSigner:
    """Makes and reads tokens; each purpose has a key of its own, derived from the secret."""

    def __init__(self, secret: bytes) -> None:
        self._unsubscribe = _Purpose(secret, b"unsubscribe")
        self._bounce = _Purpose(secret, b"bounce")
        self._letter = _Purpose(secret, b"letter")
        self._visit = _Purpose(secret, b"visit")
        self._place = _Purpose(secret, b"visit-place", _PLACE_MAC)
        self._links = {one: _Purpose(secret, one.value, _LINK_MAC) for one in Link}

    def link_token(self, link: Link, number: int) -> str:
        """Return the token of a page: whose it is; for how long, the database says."""
        return self._links[link].sign(_number(number))

    def read_link_token(self, link: Link, token: str) -> int | None:
        """Return the number a token holds, or None when we did not make it for this page."""
        payload = self._links[link].read(token, _NUMBER)
        return None if payload is None else int.from_bytes(payload, "big")

    def unsubscribe_token(self, subscriber_id: int, list_id: str) -> str:
        """Return the token of a one-click address; valid for ever."""
        return self._unsubscribe.sign(_number(subscriber_id) + _list_hash(list_id))

    def read_unsubscribe_token(self, token: str) -> UnsubscribeClaim | None:
        """Return what a token says, or None when we did not make it for this."""
        payload = self._unsubscribe.read(token, _NUMBER + _LIST)
        if payload is None:
            return None
        return UnsubscribeClaim(int.from_bytes(payload[:_NUMBER], "big"), payload[_NUMBER:])

    def bounce_token(self, delivery_id: int) -> str:
        """Return the token of a delivery's return path (VERP)."""
        return self._bounce.sign(_number(delivery_id))

    def read_bounce_token(self, token: str) -> int | None:
        """Return the delivery a token names, or None when we did not make it for this."""
        payload = self._bounce.read(token, _NUMBER)
        return None if payload is None else int.from_bytes(payload, "big")

    def letter_token(self, letter_id: int) -> str:
        """Return the token of a letter's return path."""
        return self._letter.sign(_number(letter_id))

    def read_letter_token(self, token: str) -> int | None:
        """Return the letter a token names, or None when we did not make it for this."""
        payload = self._letter.read(token, _NUMBER)
        return None if payload is None else int.from_bytes(payload, "big")

    def visit_token(self, issue_id: int, delivery_id: int) -> str:
        """Return the token in all links of one reader's copy of an issue."""
        return self._visit.sign(issue_id.to_bytes(_ISSUE, "big") + _number(delivery_id))

    def read_visit_token(self, token: str) -> VisitClaim | None:
        """Return what a token says, or None when we did not make it for this."""
        payload = self._visit.read(token, _ISSUE + _NUMBER)
        if payload is None:
            return None
        issue, delivery = payload[:_ISSUE], payload[_ISSUE:]
        return VisitClaim(int.from_bytes(issue, "big"), int.from_bytes(delivery, "big"))

    def place_mac(self, issue: str, number: int) -> str:
        """Return what stands behind a link's number in an address that is the same for everybody.

        The picture that tells of opens is number 0.
        """
        return self._place.digest(b"%d:%s" % (number, issue.encode(errors="replace"))).hex()

    def is_place_mac(self, issue: str, number: int, written: str) -> bool:
        """Tell whether we made this for the link of that number."""
        found = written.encode(errors="replace")
        return hmac.compare_digest(found, self.place_mac(issue, number).encode())


class _Purpose:
    """One kind of token and its key."""

    def __init__(self, secret: bytes, name: bytes, size: int = _MAC) -> None:
        self._mac = mac(secret, name, size)
        self._mac.update(_VERSION)

    def sign(self, payload: bytes) -> str:
        return (_VERSION + payload + self.digest(payload)).hex()

    def read(self, token: str, size: int) -> bytes | None:
        try:
            data = binascii.unhexlify(token)
        except ValueError:
            return None
        payload, found = data[1 : 1 + size], data[1 + size :]
        good = hmac.compare_digest(found, self.digest(payload))
        return payload if good and data[:1] == _VERSION and len(payload) == size else None

    def digest(self, payload: bytes) -> bytes:
        state = self._mac.copy()
        state.update(payload)
        return state.digest()


def mac(secret: bytes, purpose: bytes, size: int) -> hashlib.blake2b:
    """Return a keyed hash of `size` bytes, to be copied for each text: a new key costs more.

    `purpose`, of up to 16 bytes, keeps the uses of one secret apart (RFC 7693: personalization).
    """
    key = hashlib.sha512(secret).digest()
    return hashlib.blake2b(key=key, person=purpose, digest_size=size)


def _number(value: int) -> bytes:
    return value.to_bytes(_NUMBER, "big")


@lru_cache(maxsize=64)
def _list_hash(list_id: str) -> bytes:
    return hashlib.sha256(list_id.encode()).digest()[:_LIST]
