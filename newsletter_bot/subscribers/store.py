"""The SQL of people: subscribers, their subscriptions, and who must never be mailed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, Select, func, select, update

from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import subscribers, subscriptions, suppressions
from newsletter_bot.subscribers.add_store import Adding, upserting
from newsletter_bot.subscribers.address import Address, parse_address, suppression_key
from newsletter_bot.subscribers.model import (
    AddOutcome,
    NewSubscriber,
    Person,
    Stats,
    Subscriber,
    Subscription,
    SubscriptionState,
)

_PAGE = 2000


class SubscriberStore:
    """Reads and writes people; every method is one transaction."""

    def __init__(
        self, engine: Engine, secret: bytes, clock: Callable[[], float] = time.time
    ) -> None:
        self._engine = engine
        self._secret = secret
        self._clock = clock

    def add(
        self, people: Sequence[NewSubscriber], list_id: str, consent: Mapping[str, str]
    ) -> list[AddOutcome]:
        """Add or update people and subscribe them; returns what became of each, in order.

        Nobody who unsubscribed from the list or is suppressed is subscribed again: their name and
        fields stay as they were too.
        """
        with self._engine.begin() as connection:
            return Adding(connection, self.hashed, self.now(), list_id).add(people, consent)

    def find(self, address: str) -> Person | None:
        """Return what is known about an address; raises AddressError."""
        key = parse_address(address).key
        with reading(self._engine) as connection:
            row = _row_of(connection, key)
            if row is None:
                return None
            chosen = select(subscriptions).where(subscriptions.c.subscriber_id == row["id"])
            found = connection.execute(chosen.order_by(subscriptions.c.list)).mappings()
            reason = _suppression(connection, row["suppression_key"])
            return Person(
                _subscriber(row), row["added_at"], tuple(map(_subscription, found)), reason
            )

    def suppression_of(self, address: str) -> str | None:
        """Return why an address must not be mailed, known or not; raises AddressError."""
        with reading(self._engine) as connection:
            return _suppression(connection, self.hashed(parse_address(address)))

    def unsubscribe(self, who: str | int, lists: Sequence[str] = ()) -> int:
        """End somebody's subscriptions, to some lists or to all; returns how many ended.

        `who` is an address (raises AddressError) or a subscriber's id, as tokens carry it.
        """
        person = select(subscribers.c.id).where(
            subscribers.c.id == who
            if isinstance(who, int)
            else subscribers.c.address_key == parse_address(who).key
        )
        where = [
            subscriptions.c.subscriber_id.in_(person),
            subscriptions.c.state != SubscriptionState.UNSUBSCRIBED.value,
        ]
        if lists:
            where.append(subscriptions.c.list.in_(lists))
        values = {"state": SubscriptionState.UNSUBSCRIBED.value, "changed_at": self.now()}
        with self._engine.begin() as connection:
            return connection.execute(update(subscriptions).where(*where).values(values)).rowcount

    def suppress(self, address: str, reason: str) -> None:
        """Never mail an address again, known or not; a later reason replaces the earlier."""
        values = {
            "suppression_key": self.hashed(parse_address(address)),
            "reason": reason,
            "added_at": self.now(),
        }
        with self._engine.begin() as connection:
            insert = upserting(connection, suppressions).values(values)
            connection.execute(
                insert.on_conflict_do_update(
                    index_elements=["suppression_key"], set_={"reason": reason}
                )
            )

    def export(
        self, list_id: str, state: SubscriptionState | None = None
    ) -> Iterator[tuple[Subscriber, Subscription, bool]]:
        """Read a list's people in order, each with whether suppressed: flat memory, no long lock.

        Asked for one state, nobody who is suppressed is among them: `active` is who gets mail.
        """
        query = _export_query(list_id, state)
        after = 0
        while True:
            with reading(self._engine) as connection:
                page = query.where(subscribers.c.id > after)
                rows = connection.execute(page).mappings().all()
            for row in rows:
                yield _subscriber(row), _subscription(row), row["suppressed_for"] is not None
            if len(rows) < _PAGE:
                return
            after = rows[-1]["id"]

    def stats(self, domains: int = 10) -> Stats:
        """Count people by list and state, and the domains most of them are at."""
        by_state = select(subscriptions.c.list, subscriptions.c.state, func.count()).group_by(
            subscriptions.c.list, subscriptions.c.state
        )
        with reading(self._engine) as connection:
            lists: dict[str, dict[str, int]] = {}
            for name, state, count in connection.execute(by_state):
                lists.setdefault(name, {})[state] = count
            people = connection.execute(select(func.count()).select_from(subscribers)).scalar_one()
            shut = connection.execute(select(func.count()).select_from(suppressions)).scalar_one()
            keys = connection.execute(select(subscribers.c.address_key)).yield_per(_PAGE).scalars()
            at = Counter(key.rpartition("@")[2] for key in keys)
        return Stats(people, shut, lists, at.most_common(domains))

    def ping(self) -> None:
        """Ask the database for nothing; raises DBAPIError when it does not answer."""
        with reading(self._engine) as connection:
            connection.execute(select(1))

    def now(self) -> int:
        """Whole seconds since 1970 UTC."""
        return int(self._clock())

    def hashed(self, address: Address) -> bytes:
        """Return the keyed hash of an address."""
        return suppression_key(self._secret, address.key)


def _export_query(list_id: str, state: SubscriptionState | None) -> Select[Any]:
    query = (
        select(subscribers, subscriptions, suppressions.c.reason.label("suppressed_for"))
        .join(subscriptions, subscriptions.c.subscriber_id == subscribers.c.id)
        .outerjoin(suppressions, suppressions.c.suppression_key == subscribers.c.suppression_key)
        .where(subscriptions.c.list == list_id)
        .order_by(subscribers.c.id)
        .limit(_PAGE)
    )
    if state is None:
        return query
    return query.where(subscriptions.c.state == state.value, suppressions.c.reason.is_(None))


def _row_of(connection: Connection, key: str) -> RowMapping | None:
    query = select(subscribers).where(subscribers.c.address_key == key)
    return connection.execute(query).mappings().one_or_none()


def _suppression(connection: Connection, hashed: bytes) -> str | None:
    query = select(suppressions.c.reason).where(suppressions.c.suppression_key == hashed)
    reason: str | None = connection.execute(query).scalar()
    return reason


def _subscriber(row: RowMapping) -> Subscriber:
    return Subscriber(row["id"], row["address"], row["name"], row["language"], row["fields"])


def _subscription(row: RowMapping) -> Subscription:
    state = SubscriptionState(row["state"])
    return Subscription(row["list"], state, row["changed_at"], row["consent"])
