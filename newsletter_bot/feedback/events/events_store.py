"""The SQL of events: which are known, what bounced before, and writing them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Connection, Insert, Select, Text, bindparam, or_, select

from newsletter_bot.delivery.provider_events import EventKind
from newsletter_bot.feedback.events.happened import Told
from newsletter_bot.feedback.mails.model import Fault
from newsletter_bot.storage.prepared import Prepared
from newsletter_bot.storage.rows import json_rows
from newsletter_bot.storage.tables import deliveries, events, issues, subscribers
from newsletter_bot.storage.upsert import upserting_in

_SEQUENCE = "sequence"
_MONTH = 30 * 86_400  # seconds from a plan to its last message, at most


@dataclass(frozen=True, slots=True)
class Tie:
    """Whose message an event is about, as far as it is believed."""

    issue_id: int | None = None
    delivery_id: int | None = None
    subscriber_id: int | None = None
    erased: bool = False


UNTIED = Tie()


@dataclass(frozen=True, slots=True)
class Bounce:
    """An earlier bounce of somebody's."""

    subscriber_id: int
    delivery_id: int
    fault: Fault
    at: int


@dataclass(frozen=True, slots=True)
class Sent:
    """A delivery to somebody."""

    subscriber_id: int
    delivery_id: int
    state: str
    at: int


# ── what is known ────────────────────────────────────────────────────────────────────────────


def known(connection: Connection, told: Iterable[Told]) -> set[tuple[str, str]]:
    """Return the sources and keys of those that were written before."""
    rows = json.dumps([{"source": one.source, "key": one.key} for one in told])
    return {(row[0], row[1]) for row in _KNOWN.run(connection, rows=rows).fetchall()}


def ties(connection: Connection, ids: Iterable[int]) -> dict[int, Tie]:
    """Return the ties of deliveries, by their ids."""
    rows = json.dumps([{"id": one} for one in ids])
    return {
        row[0]: Tie(row[1], row[0], None if row[3] else row[2], row[3] is not None)
        for row in _TIES.run(connection, rows=rows).fetchall()
    }


def bounces(connection: Connection, people: Iterable[int], since: int) -> list[Bounce]:
    """Return what came back of messages to people, whosever fault it was."""
    rows = json.dumps([{"id": one} for one in people])
    found = _BOUNCES.run(connection, rows=rows, since=since).fetchall()
    return [Bounce(row[0], row[1], Fault(row[2]), row[3]) for row in found]


def sent(connection: Connection, people: Sequence[int], since: int) -> list[Sent]:
    """Return what was sent to people since a time."""
    query = select(
        deliveries.c.subscriber_id,
        deliveries.c.id,
        deliveries.c.state,
        deliveries.c.attempted_at,
    ).where(
        deliveries.c.issue_id.in_(issues_since(connection, since)),
        deliveries.c.subscriber_id.in_(people),
        deliveries.c.attempted_at >= since,
    )
    return [Sent(*row) for row in connection.execute(query)]


def issues_since(connection: Connection, since: int) -> list[int]:
    """Return the issues of which something may have been sent since a time.

    Deliveries are looked up by issue and person, as there is no index by person alone. The issues
    come from a question of their own: joined, SQLite would read every delivery there is.
    """
    lately = or_(issues.c.planned_at >= since - _MONTH, issues.c.kind == _SEQUENCE)
    return list(connection.execute(select(issues.c.id).where(lately)).scalars())


# ── writing ──────────────────────────────────────────────────────────────────────────────────


def write(connection: Connection, written: Iterable[tuple[Told, Tie, str]]) -> None:
    """Write events, each with its ties and what it led to; none that is there already."""
    rows = [
        {
            "source": told.source,
            "key": told.key,
            "kind": told.kind.value,
            "issue": tie.issue_id,
            "delivery": tie.delivery_id,
            "person": tie.subscriber_id,
            "raw": told.raw_id,
            "at": told.at,
            "received": told.received_at,
            "fault": told.fault.value if told.fault else "",
            "status": told.status,
            "reason": told.reason,
            "why": told.rule,
            "consequence": consequence,
        }
        for told, tie, consequence in written
    ]
    if rows:
        _WRITE.run(connection, rows=json.dumps(rows))


_NUMBERS = {
    "issue": "issue_id",
    "delivery": "delivery_id",
    "person": "subscriber_id",
    "raw": "raw_id",
    "at": "at",
    "received": "received_at",
}
_WORDS = {
    "source": "source",
    "key": "key",
    "kind": "kind",
    "fault": "class",
    "status": "status",
    "reason": "reason",
    "why": "why",
    "consequence": "consequence",
}


def _writing(dialect: str) -> Insert:
    kinds: dict[str, Any] = {
        **dict.fromkeys(_NUMBERS, BigInteger),
        **dict.fromkeys(_WORDS, Text),
    }
    row: dict[str, Any] = dict(json_rows(dialect, **kinds))
    columns = {**_NUMBERS, **_WORDS}
    chosen = select(*(row[name] for name in columns)).where(row["source"] != "")
    begun = upserting_in(dialect, events).from_select(list(columns.values()), chosen)
    return begun.on_conflict_do_nothing(index_elements=["source", "key"])


def _known(dialect: str) -> Select[Any]:
    row = json_rows(dialect, source=Text, key=Text)
    return select(events.c.source, events.c.key).where(
        events.c.source == row["source"], events.c.key == row["key"]
    )


def _ties(dialect: str) -> Select[Any]:
    row = json_rows(dialect, id=BigInteger)
    return (
        select(
            deliveries.c.id,
            deliveries.c.issue_id,
            deliveries.c.subscriber_id,
            subscribers.c.erased_at,
        )
        .join(subscribers, subscribers.c.id == deliveries.c.subscriber_id)
        .where(deliveries.c.id.in_(select(row["id"])))
    )


def _bounces(dialect: str) -> Select[Any]:
    row = json_rows(dialect, id=BigInteger)
    return select(
        events.c.subscriber_id, events.c.delivery_id, events.c["class"], events.c.at
    ).where(
        events.c.subscriber_id.in_(select(row["id"])),
        events.c.kind == EventKind.BOUNCED.value,
        events.c.delivery_id.is_not(None),
        events.c["class"] != "",
        events.c.at >= bindparam("since"),
    )


_KNOWN = Prepared(_known)
_TIES = Prepared(_ties)
_BOUNCES = Prepared(_bounces)
_WRITE = Prepared(_writing)
