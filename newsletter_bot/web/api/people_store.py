"""The SQL of people as the API shows them: a page at a time, or one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Engine, exists, select

from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import subscribers, subscriptions, suppressions
from newsletter_bot.storage.writer import Writer
from newsletter_bot.subscribers.conditions_store import condition
from newsletter_bot.subscribers.model import SubscriptionState
from newsletter_bot.subscribers.segment_rules import Now, Rule


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person with what they chose; times are seconds since 1970 UTC."""

    id: int
    address: str
    name: str
    language: str
    fields: dict[str, str]
    tags: list[str]
    frequency: str
    paused_until: int | None
    added_at: int
    suppressed: str | None  # why
    subscriptions: list[tuple[str, SubscriptionState, int]]  # list, state, since when

    @property
    def active(self) -> frozenset[str]:
        """The lists they get."""
        return frozenset(
            name for name, state, _ in self.subscriptions if state is SubscriptionState.ACTIVE
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which people are asked for; what is None does not matter."""

    list: str | None = None
    state: SubscriptionState | None = None
    address_key: str | None = None
    id: int | None = None
    rules: tuple[Rule, ...] = ()


class PeopleStore:
    """Reads people. Nobody erased is among them: their row stands for deliveries alone."""

    def __init__(self, engine: Engine, writer: Writer, now: Now) -> None:
        self._engine = engine
        self._writer = writer
        self._now = now

    def page(self, wanted: Wanted, after: int, most: int) -> list[PersonRow]:
        """Return people in order of their ids, those behind `after`."""
        with reading(self._engine) as connection:
            return _people(connection, self._where(wanted), after, most)

    def now(self, wanted: Wanted) -> PersonRow | None:
        """Return one person as the change under way sees them."""
        where = self._where(wanted)
        found = self._writer.run(lambda connection: _people(connection, where, 0, 1))
        return found[0] if found else None

    def _where(self, wanted: Wanted) -> list[ColumnElement[bool]]:
        dialect = self._engine.dialect.name
        met = [condition(rule, self._now, dialect) for rule in wanted.rules]
        return [*_where(wanted), *met]


def _people(
    connection: Connection, where: Sequence[ColumnElement[bool]], after: int, most: int
) -> list[PersonRow]:
    own = suppressions.c.suppression_key == subscribers.c.suppression_key
    query = (
        select(subscribers, suppressions.c.reason.label("suppressed"))
        .outerjoin(suppressions, own)
        .where(subscribers.c.id > after, subscribers.c.erased_at.is_(None), *where)
        .order_by(subscribers.c.id)
        .limit(most)
    )
    rows = connection.execute(query).mappings().all()
    chosen = _subscriptions(connection, [row["id"] for row in rows])
    return [
        PersonRow(
            id=row["id"],
            address=row["address"],
            name=row["name"],
            language=row["language"],
            fields=row["fields"],
            tags=row["tags"],
            frequency=row["frequency"],
            paused_until=row["paused_until"],
            added_at=row["added_at"],
            suppressed=row["suppressed"],
            subscriptions=chosen[row["id"]],
        )
        for row in rows
    ]


def _where(wanted: Wanted) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.list is not None or wanted.state is not None:
        found.append(_on(wanted.list, wanted.state))
    if wanted.address_key is not None:
        found.append(subscribers.c.address_key == wanted.address_key)
    if wanted.id is not None:
        found.append(subscribers.c.id == wanted.id)
    return found


def _on(list_id: str | None, state: SubscriptionState | None) -> ColumnElement[bool]:
    where = [subscriptions.c.subscriber_id == subscribers.c.id]
    if list_id is not None:
        where.append(subscriptions.c.list == list_id)
    if state is not None:
        where.append(subscriptions.c.state == state.value)
    return exists().where(*where)


def _subscriptions(
    connection: Connection, people: Sequence[int]
) -> dict[int, list[tuple[str, SubscriptionState, int]]]:
    columns = subscriptions.c
    query = select(columns.subscriber_id, columns.list, columns.state, columns.changed_at)
    query = query.where(columns.subscriber_id.in_(people)).order_by(columns.list)
    found: dict[int, list[tuple[str, SubscriptionState, int]]] = {one: [] for one in people}
    for person, name, state, at in connection.execute(query):
        found[person].append((name, SubscriptionState(state), at))
    return found
