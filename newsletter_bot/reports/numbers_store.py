"""The SQL of what the ledger says of an issue: outcomes, times, domains, what servers said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    Select,
    case,
    func,
    literal,
    select,
)

from newsletter_bot.delivery.model import DeliveryState, IssueKind, IssueState
from newsletter_bot.delivery.refusals_store import RELAY
from newsletter_bot.reports.model import KNOWN_BY, Domain
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import deliveries, events, issues, subscribers

# What a provider or a mailbox tells of a message that was accepted, and did not arrive after all.
CAME_BACK = ("bounced", "rejected", "failed")
_CACHE_KIB = 65_536
_GONE = (DeliveryState.REFUSED, DeliveryState.EXPIRED)
_WAITING = (DeliveryState.PLANNED, DeliveryState.SENDING, DeliveryState.DEFERRED)
_WITH_WORDS = (*_GONE, DeliveryState.DEFERRED, DeliveryState.SKIPPED, DeliveryState.UNKNOWN)
_ACCEPTED = deliveries.c.state == DeliveryState.ACCEPTED
_DIFFERENT = 5_000  # texts that are looked at: servers put an id of their own into each


@dataclass(frozen=True, slots=True)
class Planned:
    """An issue, or a sequence message, that was planned."""

    id: int
    identity: str
    title: str
    kind: IssueKind
    state: IssueState
    lists: tuple[str, ...]
    planned_at: int
    finished_at: int | None
    subject_test: Mapping[str, Any]

    def sent_until(self, now: int) -> int:
        """Return when the last of it may have been sent."""
        return now if self.finished_at is None else max(self.finished_at, self.planned_at)


@dataclass(frozen=True, slots=True)
class Said:
    """What was said of so many deliveries, as it was said; the class where somebody judged it."""

    when: str  # a state of a delivery, or `bounced`
    words: str
    readers: int
    fault: str = ""
    status: str = ""


Moment = Connection  # in which everything is counted, so that numbers belong together


@contextmanager
def one_moment(engine: Engine) -> Iterator[Moment]:
    """Open a transaction that only reads, in which all statements see the same rows."""
    with reading(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
        else:  # by default 2 MB: a million rows take half as long again (measured 2026-11)
            connection.exec_driver_sql(f"PRAGMA cache_size = -{_CACHE_KIB}")
        yield connection


def find(connection: Connection, identity: str) -> Planned | None:
    """Return what was planned under a name."""
    query = select(issues).where(issues.c.identity == identity)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _planned(row)


def all_issues(connection: Connection) -> list[Planned]:
    """Return all issues in the order of their plans; sequence messages have no place among them."""
    query = (
        select(issues)
        .where(issues.c.kind == IssueKind.ISSUE)
        .order_by(issues.c.planned_at, issues.c.id)
    )
    return [_planned(row) for row in connection.execute(query).mappings()]


def _planned(row: RowMapping) -> Planned:
    return Planned(
        id=row["id"],
        identity=row["identity"],
        title=row["title"],
        kind=IssueKind(row["kind"]),
        state=IssueState(row["state"]),
        lists=tuple(row["lists"]),
        planned_at=row["planned_at"],
        finished_at=row["finished_at"],
        subject_test=row["subject_test"] or {},
    )


def tallies(connection: Connection, issue_ids: Iterable[int]) -> dict[int, dict[str, int]]:
    """Count deliveries by issue and state."""
    query = (
        select(deliveries.c.issue_id, deliveries.c.state, func.count())
        .where(deliveries.c.issue_id.in_(tuple(issue_ids)))
        .group_by(deliveries.c.issue_id, deliveries.c.state)
    )
    found: dict[int, dict[str, int]] = {}
    for issue_id, state, count in connection.execute(query):
        found.setdefault(issue_id, {})[state] = count
    return found


# ── when ─────────────────────────────────────────────────────────────────────────────────────


def last_accepted(connection: Connection, issue_id: int) -> int | None:
    """Return when the last message was accepted."""
    query = select(func.max(deliveries.c.changed_at)).where(_of(issue_id), _ACCEPTED)
    found: int | None = connection.execute(query).scalar()
    return found


def accepted_over_time(
    connection: Connection, issue_id: int, since: int, width: int
) -> dict[int, int]:
    """Count accepted messages by spans of `width` seconds since a time."""
    # Both databases divide whole numbers as such, which SQLAlchemy's own / does not.
    since_then = deliveries.c.changed_at - since
    place = since_then.op("/", precedence=100)(width).label("place")
    query = select(place, func.count()).where(_of(issue_id), _ACCEPTED).group_by("place")
    found: dict[int, int] = {}
    for number, count in connection.execute(query):
        since_plan = max(0, int(number))  # a clock may be set back
        found[since_plan] = found.get(since_plan, 0) + count
    return found


# ── where ────────────────────────────────────────────────────────────────────────────────────


def domains(connection: Connection, issue_id: int, limit: int) -> list[Domain]:
    """Return what became of deliveries by domain, the largest; those of a few readers are left out.

    Readers are counted first, then those alone who have not simply got it: this halves what a
    million of them cost.
    """
    domain = _domain(connection.dialect.name)
    readers = func.count().label("readers")
    query = (
        select(domain.label("domain"), readers)
        .select_from(deliveries)
        .join(subscribers, subscribers.c.id == deliveries.c.subscriber_id)
        .where(_of(issue_id))
        .group_by("domain")
        .having(readers >= KNOWN_BY)
        .order_by(readers.desc(), "domain")
        .limit(limit + 1)  # one more: those who were erased have none
    )
    found = [(row[0], row[1]) for row in connection.execute(query) if row[0]][:limit]
    names = [row[0] for row in found]
    states = _others_by_domain(connection, issue_id, names)
    gone = _came_back_by_domain(connection, issue_id, names)
    return [
        _domain_of(name, readers, states.get(name, {}), gone.get(name, 0))
        for name, readers in found
    ]


def _domain_of(name: str, readers: int, states: Mapping[str, int], bounced: int) -> Domain:
    refused = sum(states.get(one, 0) for one in _GONE)
    waiting = sum(states.get(one, 0) for one in _WAITING)
    rest = sum(states.values())
    return Domain(
        name, readers, readers - rest, bounced, refused, waiting, rest - refused - waiting
    )


def _others_by_domain(
    connection: Connection, issue_id: int, names: Sequence[str]
) -> dict[str, dict[str, int]]:
    domain = _domain(connection.dialect.name).label("domain")
    others = [one for one in DeliveryState if one is not DeliveryState.ACCEPTED]
    query = (
        select(domain, deliveries.c.state, func.count())
        .join(subscribers, subscribers.c.id == deliveries.c.subscriber_id)
        .where(_of(issue_id), deliveries.c.state.in_(others))
        .group_by("domain", deliveries.c.state)
    )
    found: dict[str, dict[str, int]] = {name: {} for name in names}
    for name, state, count in connection.execute(query):
        if name in found:
            found[name][state] = count
    return found


def _came_back_by_domain(
    connection: Connection, issue_id: int, names: Sequence[str]
) -> dict[str, int]:
    domain = _domain(connection.dialect.name).label("domain")
    query = (
        select(domain, func.count(deliveries.c.id.distinct()))
        .join_from(events, deliveries, deliveries.c.id == events.c.delivery_id)
        .join(subscribers, subscribers.c.id == deliveries.c.subscriber_id)
        .where(*_came_back(), events.c.issue_id == issue_id)
        .group_by("domain")
    )
    return {row[0]: row[1] for row in connection.execute(query) if row[0] in names}


def _domain(dialect: str) -> ColumnElement[str]:
    """Return what follows the @ of an address; empty for somebody who was erased."""
    key = subscribers.c.address_key
    if dialect == "postgresql":
        return func.split_part(key, "@", 2)
    # Quicker than the words that both databases know: a million of them are to be cut.
    place = func.instr(key, "@")
    return case((place > 0, func.substr(key, place + 1)), else_=literal(""))


# ── what came back ───────────────────────────────────────────────────────────────────────────


def came_back(connection: Connection, issue_ids: Iterable[int]) -> dict[int, int]:
    """Count by issue the accepted messages that did not arrive after all."""
    query = (
        select(events.c.issue_id, func.count(deliveries.c.id.distinct()))
        .join_from(events, deliveries, deliveries.c.id == events.c.delivery_id)
        .where(*_came_back(), events.c.issue_id.in_(tuple(issue_ids)))
        .group_by(events.c.issue_id)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def came_back_by_class(connection: Connection, issue_id: int) -> dict[str, int]:
    """Count by class the accepted messages that did not arrive after all."""
    kind = events.c["class"]
    query = (
        select(kind, func.count(deliveries.c.id.distinct()))
        .join_from(events, deliveries, deliveries.c.id == events.c.delivery_id)
        .where(*_came_back(), events.c.issue_id == issue_id)
        .group_by(kind)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def _came_back() -> tuple[ColumnElement[bool], ...]:
    # What our own relay refused may have been accepted when it was tried again.
    later = events.c.source != RELAY
    return events.c.kind.in_(CAME_BACK), later, _ACCEPTED


def said(connection: Connection, issue_id: int) -> list[Said]:
    """Return what was said of messages that were not accepted, and of those that came back."""
    at_once = (
        select(deliveries.c.state, deliveries.c.reason, func.count())
        .where(_of(issue_id), deliveries.c.state.in_(_WITH_WORDS))
        .group_by(deliveries.c.state, deliveries.c.reason)
    )
    later = (
        select(
            literal("bounced"),
            events.c.reason,
            func.count(deliveries.c.id.distinct()),
            events.c["class"],
            events.c.status,
        )
        .join_from(events, deliveries, deliveries.c.id == events.c.delivery_id)
        .where(*_came_back(), events.c.issue_id == issue_id)
        .group_by(events.c["class"], events.c.status, events.c.reason)
    )
    return [*_most(connection, at_once), *_most(connection, later)]


def _most(connection: Connection, query: Select[Any]) -> list[Said]:
    ordered = query.order_by(query.selected_columns[2].desc()).limit(_DIFFERENT)
    return [Said(*row) for row in connection.execute(ordered)]


def _of(issue_id: int) -> ColumnElement[bool]:
    return deliveries.c.issue_id == issue_id
