"""What an operator asks the ledger: how many in each state, why, what is stuck, who said what."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, case, func, or_, select, union_all

from newsletter_bot.delivery.model import DeliveryState
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import deliveries, replies, subscribers

# Upper ends of the ages of what is stuck, in minutes: those of Postfix's qshape.
AGES = (5, 10, 20, 40, 80, 160, 320, 640, 1280)
_STUCK = (DeliveryState.DEFERRED, DeliveryState.SENDING, DeliveryState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Stuck:
    """Deliveries of one domain that were tried and have not arrived, by age."""

    domain: str
    total: int
    by_age: tuple[int, ...]  # one for each of AGES, and one for all that is older


@dataclass(frozen=True, slots=True)
class Said:
    """What a server said about one delivery, once."""

    address: str
    at: int
    relay: str
    state: str
    reason: str


class ReportStore:
    """Reads the ledger; every method is one transaction."""

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._clock = clock

    def tally(self, issue_id: int) -> dict[str, int]:
        """Count an issue's deliveries by state."""
        query = (
            select(deliveries.c.state, func.count())
            .where(deliveries.c.issue_id == issue_id)
            .group_by(deliveries.c.state)
        )
        with reading(self._engine) as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def reasons(
        self, issue_id: int, states: Iterable[DeliveryState]
    ) -> list[tuple[DeliveryState, str, int]]:
        """Count (state, reason) pairs of an issue, the most frequent first."""
        count = func.count().label("count")
        query = (
            select(deliveries.c.state, deliveries.c.reason, count)
            .where(deliveries.c.issue_id == issue_id, deliveries.c.state.in_(tuple(states)))
            .group_by(deliveries.c.state, deliveries.c.reason)
            .order_by(count.desc(), deliveries.c.reason)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query)
            return [(DeliveryState(row[0]), row[1], row[2]) for row in rows]

    def stuck(self, issue_id: int, limit: int) -> list[Stuck]:
        """Count what was tried and has not arrived, by domain and age since the first attempt."""
        now = int(self._clock())
        counts = [func.count(case((one, 1))) for one in _ages(now)]
        total = func.count().label("total")
        query = (
            select(_domain().label("domain"), total, *counts)
            .join(subscribers, subscribers.c.id == deliveries.c.subscriber_id)
            .where(deliveries.c.issue_id == issue_id, deliveries.c.state.in_(_STUCK))
            .group_by("domain")
            .order_by(total.desc(), "domain")
            .limit(limit)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query)
            return [Stuck(row[0], row[1], tuple(row[2:])) for row in rows]

    def search(self, issue_id: int, words: str, limit: int) -> list[Said]:
        """Return what servers said that contains `words`, or to addresses that do; newest first."""
        last = _said(deliveries.c.changed_at, deliveries, issue_id, words).where(
            deliveries.c.reason != "",
            deliveries.c.state != DeliveryState.SENDING,  # its words are of the attempt before
        )
        earlier = _said(replies.c.at, replies, issue_id, words).join(
            replies, replies.c.delivery_id == deliveries.c.id
        )
        both = union_all(last, earlier).subquery()
        query = select(both).order_by(both.c.at.desc(), both.c.address).limit(limit)
        with reading(self._engine) as connection:
            return [Said(*row) for row in connection.execute(query)]


def _ages(now: int) -> list[ColumnElement[bool]]:
    minutes = (now - deliveries.c.attempted_at) / 60
    bounds = (0, *AGES)
    found = [
        (minutes >= low if low else minutes < high) & (minutes < high)
        for low, high in zip(bounds, AGES, strict=False)
    ]
    return [*found, minutes >= AGES[-1]]


def _domain() -> ColumnElement[str]:
    # What follows the @, in words that every database has: the text without what stands before it.
    key = subscribers.c.address_key
    before = func.rtrim(key, func.replace(key, "@", ""))
    return func.replace(key, before, "")


def _said(at: Any, table: Any, issue_id: int, words: str) -> Select[Any]:
    found = or_(
        table.c.reason.icontains(words, autoescape=True),
        subscribers.c.address.icontains(words, autoescape=True),
        subscribers.c.address_key.icontains(words, autoescape=True),
    )
    return (
        select(subscribers.c.address, at.label("at"), table.c.relay, table.c.state, table.c.reason)
        .select_from(deliveries)
        .join(subscribers, subscribers.c.id == deliveries.c.subscriber_id)
        .where(deliveries.c.issue_id == issue_id, found)
    )
