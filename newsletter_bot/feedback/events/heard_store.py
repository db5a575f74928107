"""The SQL of what operators ask: which events came, what was made of them, what is left to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from newsletter_bot.feedback.events.happened import RawState
from newsletter_bot.storage.tables import events, issues, raw_events

_SHOWN = (
    "id",
    "source",
    "kind",
    "at",
    "received_at",
    "subscriber_id",
    "raw_id",
    "delivery_id",
    "class",
    "status",
    "reason",
    "why",
    "consequence",
)
_MOST_BROKEN = 20


def heard(
    connection: Connection, most: int, *, kind: str = "", issue: str = ""
) -> Sequence[Mapping[str, Any]]:
    """Return those read last, what came last before the others."""
    query = (
        select(*(events.c[name] for name in _SHOWN), issues.c.identity.label("issue"))
        .outerjoin(issues, issues.c.id == events.c.issue_id)
        .order_by(events.c.id.desc())
        .limit(most)
    )
    if kind:
        query = query.where(events.c.kind == kind)
    if issue:
        query = query.where(issues.c.identity == issue)
    found = [dict(row) for row in connection.execute(query).mappings()]
    # What came together is read in the order of whom it is about.
    return sorted(found, key=lambda one: (one["received_at"], one["raw_id"] or 0), reverse=True)


def unread(connection: Connection) -> tuple[int, Sequence[Mapping[str, Any]]]:
    """Return how much waits to be read, and the newest of what could not be."""
    count = select(func.count()).where(raw_events.c.state == RawState.NEW.value)
    names = ("id", "source", "received_at", "reason")
    query = (
        select(*(raw_events.c[name] for name in names))
        .where(raw_events.c.state == RawState.BROKEN.value)
        .order_by(raw_events.c.id.desc())
        .limit(_MOST_BROKEN)
    )
    broken = [dict(row) for row in connection.execute(query).mappings()]
    return connection.execute(count).scalar_one(), broken


def raw_of(connection: Connection, number: int) -> Mapping[str, Any] | None:
    """Return what came in under an id, as it came."""
    query = select(raw_events).where(raw_events.c.id == number)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else dict(row)
