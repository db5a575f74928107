"""The courier's SQL: who is owed which event, who delivers it now, what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    and_,
    delete,
    func,
    or_,
    select,
    update,
)

from newsletter_bot.hooks.model import HookState, Owed, Verdict
from newsletter_bot.settings.people import WebhookTable
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import hook_deliveries, hook_endpoints, hook_events
from newsletter_bot.storage.upsert import upserting
from newsletter_bot.storage.writer import Writer

# Longer than an attempt, with the time that the system may take to look a name up. A process that
# is killed between the request and its commit leaves the event to others after it.
LEASE = 120
KEPT = 30 * 86_400  # seconds after which what was delivered is purged
KEPT_FAILED = 90 * 86_400
_PAGE = 500
_SWITCHED_OFF = "the endpoint was switched off: it answered 410 Gone"

_row = hook_deliveries.c
_planned = _row.state == HookState.PLANNED.value


class HookStore:
    """Reads and writes what endpoints are owed; every method is one transaction, or pages of it."""

    def __init__(self, engine: Engine, writer: Writer, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._writer = writer
        self._clock = clock

    def now(self) -> int:
        """Whole seconds since 1970 UTC."""
        return int(self._clock())

    def spread(self, endpoints: Sequence[WebhookTable]) -> int:
        """Owe each new event to every endpoint that wants it; returns how many events.

        An event is spread once: an endpoint that comes later gets none of the old ones.
        """
        unspread = select(hook_events.c.id).where(hook_events.c.spread_at.is_(None)).limit(1)
        with reading(self._engine) as connection:
            if connection.execute(unspread).first() is None:
                return 0
        total = 0
        while count := self._writer.run(lambda connection: self._spread(connection, endpoints)):
            total += count
            if count < _PAGE:
                break
        return total

    def _spread(self, connection: Connection, endpoints: Sequence[WebhookTable]) -> int:
        now = self.now()
        query = (
            select(hook_events.c.id, hook_events.c.type)
            .where(hook_events.c.spread_at.is_(None))
            .order_by(hook_events.c.id)
            .limit(_PAGE)
            .with_for_update(skip_locked=True)
        )
        found = connection.execute(query).all()
        off = select(hook_endpoints.c.name).where(hook_endpoints.c.off_at.is_not(None))
        gone = set(connection.execute(off).scalars())
        rows = [
            fresh(event_id, one.name, now)
            for event_id, kind in found
            for one in endpoints
            if kind in one.events and one.name not in gone
        ]
        if rows:
            connection.execute(
                upserting(connection, hook_deliveries).on_conflict_do_nothing(), rows
            )
        ids = [event_id for event_id, _ in found]
        if ids:
            spread = update(hook_events).where(hook_events.c.id.in_(ids)).values(spread_at=now)
            connection.execute(spread)
        return len(ids)

    def due(self, endpoint: str, most: int) -> int:
        """Count what an endpoint may be given now, up to `most`."""
        some = select(_row.event_id).where(*self._takeable(endpoint)).limit(most).subquery()
        with reading(self._engine) as connection:
            return connection.execute(select(func.count()).select_from(some)).scalar_one()

    def next_due(self, endpoints: Sequence[str]) -> int | None:
        """Return when something falls due next, seconds since 1970 UTC."""
        return min((at for at in map(self._next_due, endpoints) if at is not None), default=None)

    def _next_due(self, endpoint: str) -> int | None:
        first = select(func.min(_row.not_before)).where(_row.endpoint == endpoint, _planned)
        state = select(hook_endpoints).where(hook_endpoints.c.name == endpoint)
        with reading(self._engine) as connection:
            at: int | None = connection.execute(first).scalar()
            found = connection.execute(state).mappings().first()
        if at is None or found is None:
            return at
        return None if found["off_at"] is not None else max(at, found["rests_until"])

    def take(self, endpoint: str) -> Owed | None:
        """Become the one who delivers the next event that an endpoint is owed, for a lease.

        Those attempted longest ago come first, new ones in the order in which they happened.
        """
        return self._writer.run(lambda connection: self._take(connection, endpoint))

    def _take(self, connection: Connection, endpoint: str) -> Owed | None:
        query = (
            select(_row.event_id, _row.attempts, hook_events)
            .join(hook_events, hook_events.c.id == _row.event_id)
            .where(*self._takeable(endpoint))
            .order_by(_row.not_before, _row.event_id)
            .limit(1)
            .with_for_update(skip_locked=True, of=hook_deliveries)
        )
        found = connection.execute(query).mappings().first()
        if found is None:
            return None
        attempt = found["attempts"] + 1
        taken = {"attempts": attempt, "not_before": self.now() + LEASE}
        mine = and_(_row.event_id == found["event_id"], _row.endpoint == endpoint)
        connection.execute(update(hook_deliveries).where(mine).values(taken))
        return Owed(
            event_id=found["event_id"],
            endpoint=endpoint,
            uid=found["uid"],
            kind=found["type"],
            data=found["data"],
            at=found["at"],
            attempt=attempt,
        )

    def _takeable(self, endpoint: str) -> list[ColumnElement[bool]]:
        now = self.now()
        held = select(hook_endpoints.c.name).where(
            hook_endpoints.c.name == endpoint,
            or_(hook_endpoints.c.off_at.is_not(None), hook_endpoints.c.rests_until > now),
        )
        return [_row.endpoint == endpoint, _planned, _row.not_before <= now, ~held.exists()]

    def settle(self, owed: Owed, verdict: Verdict) -> bool:
        """Write what became of an attempt; False when somebody else has the event meanwhile."""
        return self._writer.run(lambda connection: self._settle(connection, owed, verdict))

    def _settle(self, connection: Connection, owed: Owed, verdict: Verdict) -> bool:
        now, reason = self.now(), verdict.answer.reason
        # The endpoint's row first, always: two that settle at a time must not wait for each other.
        if verdict.answer.gone:
            _remember(connection, owed.endpoint, {"off_at": now, "reason": reason})
        elif verdict.rests_until:
            rest = {"rests_until": verdict.rests_until, "reason": reason}
            _remember(connection, owed.endpoint, rest)
        values = {
            "state": verdict.state.value,
            "not_before": verdict.not_before,
            "status": verdict.answer.status,
            "reason": reason,
            "changed_at": now,
        }
        mine = [
            _row.event_id == owed.event_id,
            _row.endpoint == owed.endpoint,
            _row.attempts == owed.attempt,
        ]
        if verdict.state is not HookState.DELIVERED:
            mine.append(_planned)  # what another one's 410 ended stays so
        changed = connection.execute(update(hook_deliveries).where(*mine).values(values)).rowcount
        if verdict.answer.gone:
            self._end_waiting(connection, owed.endpoint, now)
        return changed > 0

    def _end_waiting(self, connection: Connection, endpoint: str, now: int) -> None:
        ended = {"state": HookState.FAILED.value, "reason": _SWITCHED_OFF, "changed_at": now}
        waiting = and_(_row.endpoint == endpoint, _planned)
        connection.execute(update(hook_deliveries).where(waiting).values(ended))

    def purge(self, endpoints: Sequence[str]) -> int:
        """Forget what was delivered a month ago, or failed three months ago; returns how many.

        So goes what is owed to endpoints that newsletter.toml does not name any more, and every
        event that nobody is owed.
        """
        return self._writer.run(lambda connection: self._purge(connection, endpoints))

    def _purge(self, connection: Connection, endpoints: Sequence[str]) -> int:
        month, quarter = self.now() - KEPT, self.now() - KEPT_FAILED
        over = or_(
            and_(_row.state == HookState.DELIVERED.value, _row.changed_at < month),
            and_(_row.state == HookState.FAILED.value, _row.changed_at < quarter),
            and_(_row.endpoint.not_in(endpoints), _row.changed_at < month),
        )
        connection.execute(delete(hook_deliveries).where(over))
        owed = select(_row.event_id).where(_row.event_id == hook_events.c.id)
        idle = and_(hook_events.c.at < month, ~owed.exists())
        if endpoints:
            idle = and_(idle, hook_events.c.spread_at.is_not(None))
        return connection.execute(delete(hook_events).where(idle)).rowcount


def fresh(event_id: int, endpoint: str, now: int) -> dict[str, Any]:
    """Return the row of an event that an endpoint has never been given."""
    return {
        "event_id": event_id,
        "endpoint": endpoint,
        "state": HookState.PLANNED.value,
        "not_before": now,
        "changed_at": now,
    }


def _remember(connection: Connection, endpoint: str, values: dict[str, Any]) -> None:
    new = upserting(connection, hook_endpoints).values(name=endpoint, **values)
    connection.execute(new.on_conflict_do_update(index_elements=["name"], set_=values))
