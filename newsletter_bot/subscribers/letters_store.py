"""The SQL of owing somebody a letter; `delivery` composes and sends it."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, insert

from newsletter_bot.storage.tables import letters
from newsletter_bot.subscribers.address import Address, rate_key
from newsletter_bot.subscribers.consent import LetterKind
from newsletter_bot.subscribers.limits_store import Limits

_DAY = 86_400
_YEAR = 365 * _DAY
_IN_ALL = 3
_MOVES = "3/d"
_LIMITS = ("letter", "letters")  # one a day; so many until somebody confirms


_OWE = insert(letters)


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail to one person: of which kind, to whom, and the ids it is about."""

    kind: LetterKind
    to: Address
    language: str
    about: Mapping[str, int | str]
    subscriber_id: int


class Letters:
    """Owes letters, and sees that they cannot be used against a mailbox."""

    def __init__(self, secret: bytes, limits: Limits) -> None:
        self._secret = secret
        self._limits = limits

    def owe(self, connection: Connection, letter: Letter, now: int) -> None:
        """Write a letter that is to be sent."""
        row = {
            "kind": letter.kind.value,
            "address": letter.to.text,
            "address_key": letter.to.key,
            "language": letter.language,
            "about": dict(letter.about),
            "state": "planned",
            "subscriber_id": letter.subscriber_id,
            "made_at": now,
            "changed_at": now,
        }
        connection.execute(_OWE, row)

    def may_write(self, connection: Connection, to: Address) -> int:
        """Take the right to write to a mailbox that has agreed to nothing; 0, or seconds to wait.

        One letter in 24 hours, and three until somebody there confirms; the count is forgotten a
        year after the first. All spellings of a mailbox are one.
        """
        key = self._key(to)
        wait = self._limits.take_window(connection, _LIMITS[0], key, 1, _DAY)
        return wait or self._limits.take_window(connection, _LIMITS[1], key, _IN_ALL, _YEAR)

    def may_ask(self, connection: Connection, person: int) -> int:
        """Take the right to ask for another address; 0, or the seconds to wait."""
        return self._limits.take(connection, "address-change", str(person), _MOVES)

    def confirmed(self, connection: Connection, to: Address) -> None:
        """Count from 0 again: the mailbox's owner has answered."""
        self._limits.forget(connection, self._key(to), *_LIMITS)

    def _key(self, address: Address) -> str:
        text = b"letters:" + rate_key(address).encode()
        return hmac.digest(self._secret, text, "sha256")[:20].hex()
