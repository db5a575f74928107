"""The SQL of visits: kept as events, judged a little later, and forgotten in part."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    RowMapping,
    Select,
    case,
    insert,
    select,
    update,
)

from newsletter_bot.feedback.visits.visitors import AROUND, RULES, Action, Seen, Visit, judged
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import deliveries, events, issues, subscribers
from newsletter_bot.storage.tables.feedback import UNJUDGED, VISITS, WITH_VISITOR
from newsletter_bot.storage.writer import Writer

LINK = "link"  # the source of visits
WAIT = AROUND + 30  # seconds until a visit is judged: what stands around it was kept by then
_AT_ONCE = 20_000  # visits judged in one round: what stands around them is read for each
_CHUNK = 500  # rows of one change
_ACCEPTED = "accepted"


def keep_visits(connection: Connection, visits: Sequence[Visit]) -> None:
    """Keep visits, of a reader where that is known, and not of one who was erased."""
    readers = _readers(connection, {one.delivery_id for one in visits if one.delivery_id})
    asked = {one.issue_id for one in visits}
    known = set(connection.execute(select(issues.c.id).where(issues.c.id.in_(asked))).scalars())
    rows = [_row(one, readers) for one in visits if one.issue_id in known]
    if rows:
        connection.execute(insert(events), rows)


class VisitorsStore:
    """Judges visits and forgets visitors; every change is short."""

    def __init__(self, engine: Engine, writer: Writer) -> None:
        self._engine = engine
        self._writer = writer

    def judge(self, now: int) -> int:
        """Judge visits whose time has come, some in each call; returns how many."""
        due, around = self._due(now - WAIT)
        found = judged(one for one, _ in around)
        verdicts = defaultdict(list)
        for one, is_open in around:
            # A machine's burst is judged as a whole: what would show it is dropped with this.
            if is_open and (one.id in due or one.id in found):
                verdicts[found.get(one.id, one.rule)].append(one.id)
        for rule, ids in verdicts.items():
            for at in range(0, len(ids), _CHUNK):
                self._writer.run(partial(_settle, rule=rule, ids=ids[at : at + _CHUNK]))
        return len(due)

    def forget(self, before: int) -> int:
        """Take networks and programs out of events from before then; returns of how many."""
        query = select(events.c.id).where(WITH_VISITOR, events.c.received_at < before)
        total = 0
        while True:
            with reading(self._engine) as connection:
                ids = connection.execute(query.limit(_CHUNK)).scalars().all()
            if not ids:
                return total
            self._writer.run(partial(_blank, ids=ids))
            total += len(ids)

    def _due(self, until: int) -> tuple[set[int], list[tuple[Seen, bool]]]:
        """Return the ids of what is to be judged, and all visits around, each with whether it is.

        Both in one transaction.
        """
        unjudged = (
            select(events.c.id, events.c.received_at)
            .where(UNJUDGED, events.c.received_at <= until)
            .order_by(events.c.received_at, events.c.id)
            .limit(_AT_ONCE)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(unjudged).all()
            if not rows:
                return set(), []
            begin, end = rows[0].received_at - AROUND, rows[-1].received_at + AROUND
            around = connection.execute(_around(begin, end)).mappings().all()
        return {row.id for row in rows}, [(_seen(row), not row["actor"]) for row in around]


def _around(begin: int, end: int) -> Select[Any]:
    arrived = case((deliveries.c.state == _ACCEPTED, deliveries.c.changed_at))
    return (
        select(events, arrived.label("accepted_at"))
        .outerjoin(deliveries, deliveries.c.id == events.c.delivery_id)
        .where(VISITS, events.c.received_at.between(begin, end))
    )


def _seen(one: RowMapping) -> Seen:
    delivery = one["delivery_id"]
    if delivery is not None:
        visitor = f"{delivery}"
        network = f"{one['prefix']} {one['agent']}" if one["prefix"] else ""
    else:
        visitor = f"{one['issue_id']}:{one['prefix']}" if one["prefix"] else ""
        network = ""
    return Seen(
        id=one["id"],
        action=Action(one["kind"]),
        rule=one["why"] if one["why"] in RULES else "other-agent",  # as of what a provider told
        at=one["at"],
        visitor=visitor,
        link=one["link"],
        network=network,
        delivery=delivery,
        accepted_at=one["accepted_at"],
    )


def _settle(connection: Connection, rule: str, ids: Sequence[int]) -> None:
    hashed = events.c.delivery_id.is_(None)
    values = {
        "actor": RULES[rule].actor.value,
        "why": rule,
        "prefix": case((hashed, ""), else_=events.c.prefix),
    }
    connection.execute(update(events).where(events.c.id.in_(ids)).values(values))


def _blank(connection: Connection, ids: Sequence[int]) -> None:
    connection.execute(update(events).where(events.c.id.in_(ids)).values(prefix="", agent=""))


def _readers(connection: Connection, ids: Iterable[int | None]) -> dict[int, tuple[int, int]]:
    """Return issue and subscriber of deliveries to people who were not erased."""
    query = (
        select(deliveries.c.id, deliveries.c.issue_id, deliveries.c.subscriber_id)
        .join(subscribers, subscribers.c.id == deliveries.c.subscriber_id)
        .where(deliveries.c.id.in_(list(ids)), subscribers.c.erased_at.is_(None))
    )
    return {row[0]: (row[1], row[2]) for row in connection.execute(query)}


def _row(visit: Visit, readers: Mapping[int, tuple[int, int]]) -> dict[str, Any]:
    issue, reader = readers.get(visit.delivery_id or 0, (None, None))
    # A backup that was put back may know neither the delivery nor its reader.
    known = issue == visit.issue_id
    nobody = visit.delivery_id is not None and not known
    return {
        "source": LINK,
        "key": secrets.token_hex(12),
        "kind": visit.action.value,
        "issue_id": visit.issue_id,
        "delivery_id": visit.delivery_id if known else None,
        "subscriber_id": reader if known else None,
        "at": visit.at,
        "received_at": visit.at,
        "link": visit.link,
        "why": visit.rule,
        "prefix": "" if nobody else visit.network,
        "agent": "" if nobody else visit.agent,
    }
