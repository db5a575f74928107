"""The SQL of people: subscribers, their subscriptions, and who must never be mailed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, Select, delete, func, select

from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.outbox import Outbox
from newsletter_bot.storage.tables import subscribers, subscriptions, suppressions
from newsletter_bot.storage.upsert import upserting
from newsletter_bot.subscribers.add_store import Adding
from newsletter_bot.subscribers.address import Address, parse_address, suppression_key
from newsletter_bot.subscribers.conditions_store import condition
from newsletter_bot.subscribers.consent import By
from newsletter_bot.subscribers.model import (
    AddOutcome,
    NewSubscriber,
    Person,
    Stats,
    Subscriber,
    Subscription,
    SubscriptionState,
)
from newsletter_bot.subscribers.segment_rules import Now, Rule
from newsletter_bot.subscribers.transitions_store import Moment, Transitions, lock_people

_PAGE = 2000


class SubscriberStore:
    """Reads and writes people; every method is one transaction."""

    def __init__(
        self,
        engine: Engine,
        secret: bytes,
        clock: Callable[[], float] = time.time,
        outbox: Outbox | None = None,
    ) -> None:
        self._engine = engine
        self._secret = secret
        self._clock = clock
        self._transitions = Transitions(outbox or Outbox(frozenset()))

    def add(
        self,
        people: Sequence[NewSubscriber],
        list_id: str,
        consent: Mapping[str, str],
        by: By = By.IMPORT,
    ) -> list[AddOutcome]:
        """Add or update people and subscribe them; returns what became of each, in order.

        Nobody who unsubscribed from the list or is suppressed is subscribed again: their name and
        fields stay as they were too.
        """
        with self._engine.begin() as connection:
            return self.add_in(connection, people, list_id, consent, by)

    def add_in(
        self,
        connection: Connection,
        people: Sequence[NewSubscriber],
        list_id: str,
        consent: Mapping[str, str],
        by: By,
    ) -> list[AddOutcome]:
        """Do what `add` does, in somebody's transaction."""
        moment = Moment(self.now(), by)
        adding = Adding(connection, self.hashed, self._transitions, moment, list_id)
        return adding.add(people, consent)

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

    def unsubscribe(self, who: str | int, lists: Sequence[str] = (), by: By = By.OPERATOR) -> int:
        """End somebody's subscriptions, to some lists or to all; returns how many ended.

        `who` is an address (raises AddressError) or a subscriber's id, as tokens carry it.
        """
        with self._engine.begin() as connection:
            return self.unsubscribe_in(connection, who, lists, by)

    def unsubscribe_in(
        self, connection: Connection, who: str | int, lists: Sequence[str], by: By
    ) -> int:
        """Do what `unsubscribe` does, in somebody's transaction."""
        person = id_of(connection, who)
        if person is None:
            return 0
        lock_people(connection, person)
        moment = Moment(self.now(), by)
        return len(self._transitions.leave(connection, person, lists, moment))

    def suppress(self, address: str, reason: str) -> None:
        """Never mail an address again, known or not; a later reason replaces the earlier."""
        hashed = self.hashed(parse_address(address))
        with self._engine.begin() as connection:
            keep_suppression(connection, hashed, reason, self.now())

    def export(
        self,
        list_id: str,
        state: SubscriptionState | None = None,
        only: tuple[Rule, Now] | None = None,
    ) -> Iterator[tuple[Subscriber, Subscription, bool]]:
        """Read a list's people in order, each with whether suppressed: flat memory, no long lock.

        Asked for one state, nobody who is suppressed is among them: `active` is who gets mail.
        `only` is a segment's rule, and when it is asked.
        """
        query = _export_query(list_id, state)
        if only is not None:
            query = query.where(condition(*only, self._engine.dialect.name))
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
            known = subscribers.c.erased_at.is_(None)
            count = select(func.count()).select_from(subscribers).where(known)
            people = connection.execute(count).scalar_one()
            shut = connection.execute(select(func.count()).select_from(suppressions)).scalar_one()
            keys = select(subscribers.c.address_key).where(known)
            found = connection.execute(keys).yield_per(_PAGE).scalars()
            at = Counter(key.rpartition("@")[2] for key in found)
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


def id_of(connection: Connection, who: str | int) -> int | None:
    """Return the id of a person given by address (raises AddressError) or by id."""
    if isinstance(who, int):
        return who
    query = select(subscribers.c.id).where(subscribers.c.address_key == parse_address(who).key)
    found: int | None = connection.execute(query).scalar()
    return found


def keep_suppression(connection: Connection, hashed: bytes, reason: str, now: int) -> None:
    """Write that an address must not be mailed, and why."""
    values = {"suppression_key": hashed, "reason": reason, "added_at": now}
    insert = upserting(connection, suppressions).values(values)
    connection.execute(
        insert.on_conflict_do_update(index_elements=["suppression_key"], set_={"reason": reason})
    )


def end_suppression(connection: Connection, hashed: bytes) -> bool:
    """Let an address be mailed again; returns whether it was suppressed."""
    ended = delete(suppressions).where(suppressions.c.suppression_key == hashed)
    return connection.execute(ended).rowcount > 0


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
