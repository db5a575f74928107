"""The SQL of people: subscribers, their subscriptions, and who must never be mailed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import subscribers, subscriptions, suppressions
from newsletter_bot.subscribers.address import Address, parse_address, suppression_key
from newsletter_bot.subscribers.model import Subscriber, Subscription, SubscriptionState

_PAGE = 2000


class AddOutcome(StrEnum):
    """What became of an address that was to be added."""

    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    UNSUBSCRIBED = "unsubscribed"  # left before: never revived by an import
    SUPPRESSED = "suppressed"  # must not be mailed


@dataclass(frozen=True, slots=True)
class NewSubscriber:
    """A person to add, already checked; empty texts leave what is known as it is."""

    address: Address
    name: str = ""
    language: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Person:
    """Everything known about one person."""

    subscriber: Subscriber
    added_at: int
    subscriptions: tuple[Subscription, ...]
    suppression: str | None


@dataclass(frozen=True, slots=True)
class Stats:
    """How many people there are, by list and state."""

    subscribers: int
    suppressed: int
    lists: Mapping[str, Mapping[str, int]]
    domains: Sequence[tuple[str, int]]


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
            return _Adding(connection, self, list_id, consent).add(people)

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

    def unsubscribe(self, address: str, lists: Sequence[str] = ()) -> int:
        """End the subscriptions of an address, to some lists or to all; returns how many ended."""
        key = parse_address(address).key
        person = select(subscribers.c.id).where(subscribers.c.address_key == key)
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
            insert = _insert(connection, suppressions).values(values)
            connection.execute(
                insert.on_conflict_do_update(
                    index_elements=["suppression_key"], set_={"reason": reason}
                )
            )

    def export(
        self, list_id: str, state: SubscriptionState | None = None
    ) -> Iterator[tuple[Subscriber, Subscription]]:
        """Read a list's people in order, page by page: flat memory, no long lock."""
        after = 0
        while True:
            query = (
                select(
                    subscribers,
                    subscriptions.c.list,
                    subscriptions.c.state,
                    subscriptions.c.changed_at,
                    subscriptions.c.consent,
                )
                .join(subscriptions, subscriptions.c.subscriber_id == subscribers.c.id)
                .where(subscriptions.c.list == list_id, subscriptions.c.subscriber_id > after)
                .order_by(subscriptions.c.subscriber_id)
                .limit(_PAGE)
            )
            if state is not None:
                query = query.where(subscriptions.c.state == state.value)
            with reading(self._engine) as connection:
                rows = connection.execute(query).mappings().all()
            yield from ((_subscriber(row), _subscription(row)) for row in rows)
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

    def now(self) -> int:
        """Whole seconds since 1970 UTC."""
        return int(self._clock())

    def hashed(self, address: Address) -> bytes:
        """Return the keyed hash of an address."""
        return suppression_key(self._secret, address.key)


class _Adding:
    """One batch of people, compared with what the database knows, then written in bulk."""

    def __init__(
        self,
        connection: Connection,
        store: SubscriberStore,
        list_id: str,
        consent: Mapping[str, str],
    ) -> None:
        self._connection = connection
        self._store = store
        self._list = list_id
        self._consent = dict(consent)

    def add(self, people: Sequence[NewSubscriber]) -> list[AddOutcome]:
        hashes = {one.address.key: self._store.hashed(one.address) for one in people}
        shut = self._suppressed(hashes.values())
        known = self._known(list(hashes))
        outcomes: list[AddOutcome] = []
        fresh: dict[str, NewSubscriber] = {}
        changed: list[dict[str, Any]] = []
        joining: list[int] = []
        for one in people:
            key = one.address.key
            if hashes[key] in shut:
                outcomes.append(AddOutcome.SUPPRESSED)
            elif key in fresh:
                fresh[key] = _merged(fresh[key], one)
                outcomes.append(AddOutcome.UNCHANGED)
            elif key not in known:
                fresh[key] = one
                outcomes.append(AddOutcome.ADDED)
            else:
                outcomes.append(self._again(known[key], one, changed, joining))
        self._update(changed)
        joining += self._insert(fresh, hashes)
        self._subscribe(joining)
        return outcomes

    def _again(
        self,
        row: RowMapping,
        one: NewSubscriber,
        changed: list[dict[str, Any]],
        joining: list[int],
    ) -> AddOutcome:
        if row["state"] == SubscriptionState.UNSUBSCRIBED.value:
            return AddOutcome.UNSUBSCRIBED
        before = {"name": row["name"], "language": row["language"], "fields": row["fields"]}
        after = {
            "name": one.name or row["name"],
            "language": one.language or row["language"],
            "fields": {**row["fields"], **{k: v for k, v in one.fields.items() if v}},
        }
        if row["state"] != SubscriptionState.ACTIVE.value:
            joining.append(row["id"])
        if after != before:
            changed.append({"row": row["id"], **{f"new_{k}": v for k, v in after.items()}})
        elif row["state"] == SubscriptionState.ACTIVE.value:
            return AddOutcome.UNCHANGED
        return AddOutcome.UPDATED

    def _suppressed(self, hashes: Iterable[bytes]) -> set[bytes]:
        query = select(suppressions.c.suppression_key).where(
            suppressions.c.suppression_key.in_(list(hashes))
        )
        return set(self._connection.execute(query).scalars())

    def _known(self, keys: Sequence[str]) -> dict[str, RowMapping]:
        on_list = (subscriptions.c.subscriber_id == subscribers.c.id) & (
            subscriptions.c.list == self._list
        )
        query = (
            select(subscribers, subscriptions.c.state)
            .outerjoin(subscriptions, on_list)
            .where(subscribers.c.address_key.in_(keys))
        )
        return {row["address_key"]: row for row in self._connection.execute(query).mappings()}

    def _update(self, changed: list[dict[str, Any]]) -> None:
        if changed:
            names = ("name", "language", "fields")
            values: dict[str, Any] = {one: bindparam(f"new_{one}") for one in names}
            one_row = update(subscribers).where(subscribers.c.id == bindparam("row"))
            self._connection.execute(one_row.values(values), changed)

    def _insert(self, fresh: Mapping[str, NewSubscriber], hashes: Mapping[str, bytes]) -> list[int]:
        if not fresh:
            return []
        now = self._store.now()
        rows = [
            {
                "address": one.address.text,
                "address_key": key,
                "suppression_key": hashes[key],
                "name": one.name,
                "language": one.language,
                "fields": dict(one.fields),
                "added_at": now,
            }
            for key, one in fresh.items()
        ]
        self._connection.execute(subscribers.insert(), rows)
        query = select(subscribers.c.id).where(subscribers.c.address_key.in_(list(fresh)))
        return list(self._connection.execute(query.order_by(subscribers.c.id)).scalars())

    def _subscribe(self, ids: Sequence[int]) -> None:
        if not ids:
            return
        now = self._store.now()
        rows = [
            {
                "list": self._list,
                "subscriber_id": one,
                "state": SubscriptionState.ACTIVE.value,
                "consent": {**self._consent, "at": str(now)},
                "changed_at": now,
            }
            for one in ids
        ]
        insert = _insert(self._connection, subscriptions)
        keys = ["list", "subscriber_id"]
        values = {name: insert.excluded[name] for name in ("state", "consent", "changed_at")}
        self._connection.execute(
            insert.on_conflict_do_update(index_elements=keys, set_=values), rows
        )


def _merged(first: NewSubscriber, second: NewSubscriber) -> NewSubscriber:
    fields = {**first.fields, **{name: value for name, value in second.fields.items() if value}}
    return NewSubscriber(
        first.address, second.name or first.name, second.language or first.language, fields
    )


def _insert(connection: Connection, table: Any) -> postgresql.Insert | sqlite.Insert:
    return (
        postgresql.insert(table)
        if connection.dialect.name == "postgresql"
        else sqlite.insert(table)
    )


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
