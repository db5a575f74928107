"""The SQL of segments: who matches, how many, and the facts that rules ask of one person."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    Select,
    and_,
    case,
    func,
    select,
)

from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import (
    deliveries,
    events,
    issues,
    subscribers,
    subscription_changes,
    subscriptions,
    suppressions,
)
from newsletter_bot.subscribers.conditions_store import ACCEPTED, CONFIRM, HUMAN, ISSUE, condition
from newsletter_bot.subscribers.model import Subscriber, SubscriptionState
from newsletter_bot.subscribers.segment_explain import Facts, Visited
from newsletter_bot.subscribers.segment_rules import Now, Rule, Subject

_PAGE = 2000
_KNOWN = subscribers.c.erased_at.is_(None)  # who was forgotten is nobody


@dataclass(frozen=True, slots=True)
class Measured:
    """How many people match a rule, of how many, and how many each inner rule would alone."""

    people: int
    matching: int
    mailable: int  # of those matching: on a list and not suppressed
    alone: tuple[int, ...]


class SegmentsStore:
    """Reads people by a rule; every method is one transaction, `people` one for each page."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def count(self, rule: Rule, now: Now) -> int:
        """Count who matches."""
        query = select(func.count()).select_from(subscribers).where(_KNOWN, self._met(rule, now))
        with reading(self._engine) as connection:
            found: int = connection.execute(query).scalar_one()
            return found

    def measure(self, rule: Rule, inner: Sequence[Rule], now: Now) -> Measured:
        """Count who matches, and whom each of `inner` would match alone, in one pass."""
        met = self._met(rule, now)
        asked = [met, and_(met, _mailable()), *(self._met(one, now) for one in inner)]
        counts = [func.count(case((one, 1))) for one in asked]
        query = select(func.count(), *counts).select_from(subscribers).where(_KNOWN)
        with reading(self._engine) as connection:
            people, matching, mailable, *alone = connection.execute(query).one()
        return Measured(people, matching, mailable, tuple(alone))

    def people(self, rule: Rule, now: Now) -> Iterator[Subscriber]:
        """Read who matches now, by id: flat memory, no long lock."""
        query = select(subscribers.c.id).where(_KNOWN, self._met(rule, now))
        with reading(self._engine) as connection:
            # Asked once: rules about issues read the ledger. Eight bytes for each person.
            ids = array("q", connection.execute(query.order_by(subscribers.c.id)).scalars())
        for at in range(0, len(ids), _PAGE):
            page = select(subscribers).where(subscribers.c.id.in_(ids[at : at + _PAGE]), _KNOWN)
            yield from self._read(page)

    def page(self, rule: Rule, now: Now, after: int, limit: int) -> list[Subscriber]:
        """Read the next who match, by id from behind `after`."""
        query = select(subscribers).where(_KNOWN, subscribers.c.id > after, self._met(rule, now))
        return self._read(query.limit(limit))

    def _read(self, query: Select[Any]) -> list[Subscriber]:
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(subscribers.c.id)).mappings()
            return [
                Subscriber(row["id"], row["address"], row["name"], row["language"], row["fields"])
                for row in rows
            ]

    def facts(self, key: str) -> Facts | None:
        """Return what rules may ask of the person with an address's key; None for nobody."""
        query = select(subscribers).where(subscribers.c.address_key == key, _KNOWN)
        with reading(self._engine) as connection:
            row = connection.execute(query).mappings().one_or_none()
            return None if row is None else _facts(connection, row)

    def _met(self, rule: Rule, now: Now) -> ColumnElement[bool]:
        return condition(rule, now, self._engine.dialect.name)


def _mailable() -> ColumnElement[bool]:
    active = select(1).where(
        subscriptions.c.subscriber_id == subscribers.c.id,
        subscriptions.c.state == SubscriptionState.ACTIVE.value,
    )
    suppressed = select(1).where(suppressions.c.suppression_key == subscribers.c.suppression_key)
    return and_(active.exists(), ~suppressed.exists())


def _facts(connection: Connection, row: RowMapping) -> Facts:
    who = row["id"]
    chosen = select(subscriptions).where(subscriptions.c.subscriber_id == who)
    confirmed = select(func.max(subscription_changes.c.at)).where(
        subscription_changes.c.subscriber_id == who, subscription_changes.c.by == CONFIRM
    )
    lists = {
        one["list"]: (SubscriptionState(one["state"]), one["changed_at"])
        for one in connection.execute(chosen).mappings()
    }
    return Facts(
        name=row["name"],
        language=row["language"],
        domain=row["address_key"].rpartition("@")[2],
        fields=row["fields"],
        tags=row["tags"],
        lists=lists,
        added_at=row["added_at"],
        confirmed_at=connection.execute(confirmed).scalar(),
        received=tuple(connection.execute(_received(who)).scalars()),
        opened=_visited(connection, who, Subject.OPENED),
        clicked=_visited(connection, who, Subject.CLICKED),
    )


def _visited(connection: Connection, who: int, subject: Subject) -> tuple[Visited, ...]:
    query = select(events.c.issue_id, events.c.at).where(
        events.c.subscriber_id == who,
        events.c.kind == subject.value,
        events.c.actor == HUMAN,
        events.c.issue_id.is_not(None),
    )
    return tuple((row[0], row[1]) for row in connection.execute(query))


def _received(who: int) -> Select[Any]:
    # By issue and person, which have an index together. Written as a join, SQLite would begin with
    # the person, who has none, and read the ledger.
    issued = select(issues.c.id).where(issues.c.kind == ISSUE)
    return select(deliveries.c.changed_at).where(
        deliveries.c.issue_id.in_(issued),
        deliveries.c.subscriber_id == who,
        deliveries.c.state == ACCEPTED,
    )
