"""The operator's SQL: how endpoints stand, which events there were, and giving them again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    and_,
    case,
    delete,
    func,
    select,
    update,
)

from newsletter_bot.hooks.model import HookState
from newsletter_bot.hooks.store import LEASE, fresh
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import hook_deliveries, hook_endpoints, hook_events
from newsletter_bot.storage.upsert import upserting
from newsletter_bot.storage.writer import Writer

_row = hook_deliveries.c
_PAGE = 5000


@dataclass(frozen=True, slots=True)
class Standing:
    """How one endpoint stands."""

    delivered: int = 0
    waiting: int = 0
    failed: int = 0
    last_at: int | None = None  # of the last attempt that came to an end
    last_status: int | None = None
    last_reason: str = ""
    off_at: int | None = None
    rests_until: int | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """An event, and where it stands with one endpoint; with none when nobody wants it."""

    uid: str
    kind: str
    at: int
    endpoint: str | None
    state: HookState | None
    attempts: int | None
    not_before: int | None
    status: int | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Wish:
    """Which events to give an endpoint again: one of these."""

    uid: str | None = None
    since: int | None = None  # seconds since 1970 UTC
    kinds: Sequence[str] = ()  # with `since`: only these
    failed: bool = False


class HookReportStore:
    """What an operator asks and does; every method is one transaction."""

    def __init__(self, engine: Engine, writer: Writer, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._writer = writer
        self._clock = clock

    def standing(self, endpoint: str) -> Standing:
        """Count what an endpoint was given, and say what it answered last."""
        own = _row.endpoint == endpoint
        count = select(_row.state, func.count()).where(own).group_by(_row.state)
        last = (
            select(_row.changed_at, _row.status, _row.reason)
            .where(own, _row.attempts > 0, _row.reason != "")
            .order_by(_row.changed_at.desc(), _row.event_id.desc())
            .limit(1)
        )
        state = select(hook_endpoints.c.off_at, hook_endpoints.c.rests_until).where(
            hook_endpoints.c.name == endpoint
        )
        with reading(self._engine) as connection:
            counts = {row[0]: row[1] for row in connection.execute(count)}
            at, status, reason = connection.execute(last).first() or (None, None, "")
            off_at, rests_until = connection.execute(state).first() or (None, 0)
        return Standing(
            delivered=counts.get(HookState.DELIVERED.value, 0),
            waiting=counts.get(HookState.PLANNED.value, 0),
            failed=counts.get(HookState.FAILED.value, 0),
            last_at=at,
            last_status=status,
            last_reason=reason,
            off_at=off_at,
            rests_until=rests_until if rests_until > self._clock() else None,
        )

    def events(self, limit: int, *, failed: bool) -> list[Told]:
        """Return the newest events, once for each endpoint that was owed them."""
        query = (
            select(
                hook_events.c.uid,
                hook_events.c.type,
                hook_events.c.at,
                _row.endpoint,
                _row.state,
                _row.attempts,
                _row.not_before,
                _row.status,
                _row.reason,
            )
            .outerjoin(hook_deliveries, _row.event_id == hook_events.c.id)
            .order_by(hook_events.c.id.desc(), _row.endpoint)
            .limit(limit)
        )
        if failed:
            query = query.where(_row.state == HookState.FAILED.value)
        with reading(self._engine) as connection:
            return [_told(row) for row in connection.execute(query)]

    def is_known(self, uid: str) -> bool:
        """Tell whether there is such an event."""
        query = select(hook_events.c.id).where(hook_events.c.uid == uid)
        with reading(self._engine) as connection:
            return connection.execute(query).first() is not None

    def replay(self, endpoint: str, wish: Wish) -> int:
        """Owe events to an endpoint again, with all attempts; returns how many.

        What is still tried is hurried along, but left to whoever may be delivering it just now.
        """
        return self._writer.run(lambda connection: self._replay(connection, endpoint, wish))

    def _replay(self, connection: Connection, endpoint: str, wish: Wish) -> int:
        now, count = int(self._clock()), 0
        query = (
            select(hook_events.c.id, _row.state)
            .outerjoin(
                hook_deliveries,
                and_(_row.event_id == hook_events.c.id, _row.endpoint == endpoint),
            )
            .where(*_wished(wish))
            .order_by(hook_events.c.id)
            .limit(_PAGE)
        )
        after = 0
        while True:
            page = connection.execute(query.where(hook_events.c.id > after)).all()
            new = [fresh(event_id, endpoint, now) for event_id, state in page if state is None]
            if new:
                insert = upserting(connection, hook_deliveries).on_conflict_do_nothing()
                connection.execute(insert, new)
            old = [event_id for event_id, state in page if state is not None]
            if old:
                mine = and_(_row.endpoint == endpoint, _row.event_id.in_(old))
                connection.execute(update(hook_deliveries).where(mine).values(_again(now)))
            count += len(page)
            if len(page) < _PAGE:
                return count
            after = page[-1][0]

    def enable(self, endpoint: str) -> bool:
        """Let an endpoint be given events again; False when it was not switched off."""

        def change(connection: Connection) -> bool:
            known = hook_endpoints.c.name == endpoint, hook_endpoints.c.off_at.is_not(None)
            return connection.execute(delete(hook_endpoints).where(*known)).rowcount > 0

        return self._writer.run(change)


def _wished(wish: Wish) -> list[ColumnElement[bool]]:
    if wish.uid is not None:
        return [hook_events.c.uid == wish.uid]
    if wish.failed:
        return [_row.state == HookState.FAILED.value]
    return [hook_events.c.at >= wish.since, hook_events.c.type.in_(wish.kinds)]


def _again(now: int) -> dict[str, Any]:
    """Return the values of a row that begins anew.

    One that is planned may be under way: its lease ends within LEASE, so that only a later time
    may come forward, and not before then; its attempts go on being counted.
    """
    planned = _row.state == HookState.PLANNED.value
    hurried = case((_row.not_before > now + LEASE, now + LEASE), else_=_row.not_before)
    return {
        "state": HookState.PLANNED.value,
        "attempts": case((planned, _row.attempts), else_=0),
        "not_before": case((planned, hurried), else_=now),
    }


def _told(row: Sequence[Any]) -> Told:
    uid, kind, at, endpoint, state, *rest = row
    return Told(uid, kind, at, endpoint, None if state is None else HookState(state), *rest)
