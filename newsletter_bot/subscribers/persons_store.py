"""The SQL of one person: found by address or id, made when new, locked while they change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection, Insert, Select, bindparam, select

from newsletter_bot.storage.tables import letters, subscribers, subscriptions, suppressions
from newsletter_bot.storage.upsert import upserting_in
from newsletter_bot.subscribers.address import Address, parse_address, suppression_key
from newsletter_bot.subscribers.consent import LetterKind, UnknownPersonError
from newsletter_bot.subscribers.model import SubscriptionState


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person as the database has them; somebody erased is not found."""

    id: int
    address: Address
    name: str
    language: str
    suppression_key: bytes


class Persons:
    """Finds people, and makes those who are new."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def hashed(self, address: Address) -> bytes:
        """Return the keyed hash under which an address is suppressed."""
        return suppression_key(self._secret, address.key)

    def is_suppressed(self, connection: Connection, address: Address) -> bool:
        """Tell whether an address must not be mailed."""
        found = connection.execute(_SUPPRESSED, {"hash": self.hashed(address)})
        return found.scalar() is not None

    def find(self, connection: Connection, who: str | int) -> PersonRow | None:
        """Return the person with that address (raises AddressError) or id, locked.

        Nobody else changes them until the transaction ends. SQLite has one writer at a time;
        PostgreSQL's lock leaves foreign keys alone: a plan that is written meanwhile does not wait.
        """
        if isinstance(who, int):
            return _found(connection, _BY_ID, who)
        return _found(connection, _BY_KEY, parse_address(who).key)

    def get(self, connection: Connection, who: str | int) -> PersonRow:
        """Return the person, locked; raises AddressError, UnknownPersonError."""
        found = self.find(connection, who)
        if found is None:
            raise UnknownPersonError
        return found

    def addresses(self, connection: Connection, person: PersonRow) -> list[Address]:
        """Return somebody's address, and those that were theirs and are nobody's now."""
        mine = (letters.c.subscriber_id == person.id) & (letters.c.kind != LetterKind.AGREE_NEW)
        taken = select(subscribers.c.id).where(subscribers.c.address_key == letters.c.address_key)
        query = select(letters.c.address, letters.c.address_key).where(mine, ~taken.exists())
        left = (Address(text, key) for text, key in connection.execute(query.distinct()).all())
        return [person.address, *sorted(left, key=lambda one: (one.key, one.text))]

    def find_or_make(
        self, connection: Connection, address: Address, language: str, now: int
    ) -> PersonRow:
        """Return the person with that address, locked; a new one has no name yet."""
        found = _found(connection, _BY_KEY, address.key)
        if found is None:
            row = {
                "address": address.text,
                "address_key": address.key,
                "suppression_key": self.hashed(address),
                "name": "",
                "language": language,
                "fields": {},
                "added_at": now,
            }
            connection.execute(_making(connection.dialect.name), row)
            found = _found(connection, _BY_KEY, address.key)
        assert found is not None, "it was inserted above, or by another process"
        return found


_SUPPRESSED = select(suppressions.c.added_at).where(
    suppressions.c.suppression_key == bindparam("hash")
)
_LOCKED = (
    select(subscribers).where(subscribers.c.erased_at.is_(None)).with_for_update(key_share=True)
)
_BY_ID = _LOCKED.where(subscribers.c.id == bindparam("who"))
_BY_KEY = _LOCKED.where(subscribers.c.address_key == bindparam("who"))
_STATES = select(subscriptions.c.list, subscriptions.c.state).where(
    subscriptions.c.subscriber_id == bindparam("who")
)


@cache
def _making(dialect: str) -> Insert:
    return upserting_in(dialect, subscribers).on_conflict_do_nothing()


def _found(connection: Connection, query: Select[Any], who: str | int) -> PersonRow | None:
    row = connection.execute(query, {"who": who}).mappings().one_or_none()
    if row is None:
        return None
    address = Address(row["address"], row["address_key"])
    return PersonRow(row["id"], address, row["name"], row["language"], row["suppression_key"])


def states_of(connection: Connection, person: int) -> Mapping[str, SubscriptionState]:
    """Return a person's lists and the state of each."""
    found = connection.execute(_STATES, {"who": person})
    return {name: SubscriptionState(state) for name, state in found}
