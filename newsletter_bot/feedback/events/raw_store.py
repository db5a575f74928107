"""The SQL of what came back, as it came: kept before anybody tries to understand it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from sqlalchemy import (
    BigInteger,
    Connection,
    Insert,
    Select,
    Text,
    Update,
    bindparam,
    delete,
    func,
    select,
    update,
)

from newsletter_bot.feedback.events.happened import MAIL, Raw, RawState, Read
from newsletter_bot.storage.prepared import Prepared
from newsletter_bot.storage.rows import json_rows
from newsletter_bot.storage.tables import raw_events
from newsletter_bot.storage.upsert import upserting_in

__all__ = ["MAIL", "keep", "new", "purge", "replay", "settle", "still_new"]

_MOST = 1000  # rows that are read at once
_MOST_BYTES = 4_000_000
_AT_ONCE = 500  # rows that one transaction deletes
_LONGEST_NOTE = 300


def _keeping(dialect: str) -> Insert:
    names = ("source", "key", "body", "received_at")
    begun = upserting_in(dialect, raw_events).values(
        {**{name: bindparam(name) for name in names}, "state": bindparam("state")}
    )
    return begun.on_conflict_do_nothing(index_elements=["source", "key"])


_KEEP = Prepared(_keeping)


def keep(connection: Connection, source: str, key: str, body: bytes, now: int) -> bool:
    """Keep a request or mail under its key; returns whether it is new.

    `source` is a provider's name or MAIL. The duty `feedback` reads it later.
    """
    values = {"source": source, "key": key, "body": body, "received_at": now}
    return _KEEP.run(connection, **values, state=RawState.NEW.value).rowcount > 0


def new(connection: Connection) -> list[Raw]:
    """Return the oldest that nobody has read, as many as fit into one batch; at least one."""
    sizes = (
        select(raw_events.c.id, func.length(raw_events.c.body))
        .where(raw_events.c.state == RawState.NEW.value)
        .order_by(raw_events.c.id)
        .limit(_MOST)
    )
    total, last = 0, None
    for number, size in connection.execute(sizes):
        total += size
        if last is not None and total > _MOST_BYTES:
            break
        last = number
    if last is None:
        return []
    names = ("id", "source", "key", "body", "received_at")
    query = (
        select(*(raw_events.c[name] for name in names))
        .where(raw_events.c.state == RawState.NEW.value, raw_events.c.id <= last)
        .order_by(raw_events.c.id)
    )
    return [Raw(*row) for row in connection.execute(query)]


def still_new(connection: Connection, ids: Iterable[int]) -> set[int]:
    """Return those that nobody has read meanwhile; no other transaction reads them then."""
    rows = json.dumps([{"id": one} for one in ids])
    return {row[0] for row in _STILL_NEW.run(connection, rows=rows).fetchall()}


def settle(connection: Connection, reads: Sequence[Read]) -> None:
    """Write what became of each."""
    rows = [
        {"id": one.raw.id, "state": one.state.value, "reason": one.note[:_LONGEST_NOTE]}
        for one in reads
    ]
    _SETTLE.run(connection, rows=json.dumps(rows))


def _chosen(dialect: str) -> Select[int]:
    row = json_rows(dialect, id=BigInteger)
    query = select(raw_events.c.id).where(
        raw_events.c.id.in_(select(row["id"])), raw_events.c.state == RawState.NEW.value
    )
    return query.with_for_update()  # SQLite has one writer at a time, and no such words


def _settling(dialect: str) -> Update:
    row = json_rows(dialect, id=BigInteger, state=Text, reason=Text)
    changed = update(raw_events).where(raw_events.c.id == row["id"])
    return changed.values(state=row["state"], reason=row["reason"])


_STILL_NEW = Prepared(_chosen)
_SETTLE = Prepared(_settling)


def purge(connection: Connection, before: int) -> int:
    """Delete some of what was read, and came in before a time; returns how many."""
    old = raw_events.c.state != RawState.NEW.value, raw_events.c.received_at < before
    some = select(raw_events.c.id).where(*old).limit(_AT_ONCE)
    return connection.execute(delete(raw_events).where(raw_events.c.id.in_(some))).rowcount


def replay(connection: Connection, number: int | None = None) -> int:
    """Have read again what could not be read, or one of any state; returns how many."""
    which = raw_events.c.state == RawState.BROKEN.value
    if number is not None:
        which = raw_events.c.id == number
    again = update(raw_events).where(which).values(state=RawState.NEW.value, reason="")
    return connection.execute(again).rowcount


def forget(connection: Connection, ids: Iterable[int]) -> None:
    """Delete what tells of somebody who was erased."""
    connection.execute(delete(raw_events).where(raw_events.c.id.in_(list(ids))))
