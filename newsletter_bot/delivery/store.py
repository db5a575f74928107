"""The ledger's SQL: a row per (issue, subscriber), unique, and the state it stands in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, assert_never

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    Select,
    and_,
    bindparam,
    func,
    or_,
    select,
    update,
)

from newsletter_bot.delivery.model import (
    Change,
    DeliveryState,
    IssueState,
    Recipient,
    Release,
    Settle,
    Start,
)
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import (
    deliveries,
    issues,
    subscribers,
    subscriptions,
    suppressions,
)
from newsletter_bot.subscribers.model import Subscriber, SubscriptionState

_ACTIVE = SubscriptionState.ACTIVE.value


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery whose time has come; `skip` says why it must not go out after all."""

    recipient: Recipient
    skip: str = ""


class LedgerStore:
    """Reads and writes the ledger; every method is one transaction."""

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._clock = clock

    def now(self) -> int:
        """Whole seconds since 1970 UTC."""
        return int(self._clock())

    def finish(self, issue_id: int) -> bool:
        """Call the issue sent when nothing of it is owed any more; tells whether that is so."""
        open_states = (DeliveryState.PLANNED, DeliveryState.SENDING, DeliveryState.DEFERRED)
        owed = select(deliveries.c.id).where(
            deliveries.c.issue_id == issue_id, deliveries.c.state.in_(open_states)
        )
        done = (
            update(issues)
            .where(issues.c.id == issue_id, ~owed.exists())
            .values(state=IssueState.SENT.value, finished_at=self.now())
        )
        with self._engine.begin() as connection:
            return connection.execute(done).rowcount > 0

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

    def due(self, issue_id: int, state: DeliveryState, after: int, limit: int) -> list[Due]:
        """Return the next deliveries to make, in order of their id, people as they are now.

        `state` is planned, or deferred for those whose time has come: one question for both would
        make SQLite sort all that is left for each page.
        """
        query = _due_query(issue_id, after, limit).where(deliveries.c.state == state.value)
        if state is DeliveryState.DEFERRED:
            query = query.where(deliveries.c.not_before <= self.now())
        with reading(self._engine) as connection:
            return [_due(row) for row in connection.execute(query).mappings()]

    def next_deferred(self, issue_id: int) -> int | None:
        """Return when the next deferred delivery is due (seconds since 1970 UTC)."""
        query = select(func.min(deliveries.c.not_before)).where(
            deliveries.c.issue_id == issue_id, deliveries.c.state == DeliveryState.DEFERRED
        )
        with reading(self._engine) as connection:
            found: int | None = connection.execute(query).scalar()
            return found

    def recover(self, issue_id: int, *, resend: bool) -> int:
        """Settle what a process that is gone left in `sending`; call it under the issue's lock."""
        values: dict[str, object] = {"state": DeliveryState.UNKNOWN.value}
        values["reason"] = "the program ended while this message was being handed over"
        if resend:
            values = {"state": DeliveryState.PLANNED.value, "reason": ""}
        left = (deliveries.c.issue_id == issue_id, deliveries.c.state == DeliveryState.SENDING)
        with self._engine.begin() as connection:
            changed = update(deliveries).where(*left).values(**values, changed_at=self.now())
            return connection.execute(changed).rowcount

    def expire(self, issue_id: int) -> int:
        """Give up deferred deliveries of an issue past its deadline."""
        waiting = (deliveries.c.issue_id == issue_id, deliveries.c.state == DeliveryState.DEFERRED)
        values = {"state": DeliveryState.EXPIRED.value, "changed_at": self.now()}
        with self._engine.begin() as connection:
            return connection.execute(update(deliveries).where(*waiting).values(values)).rowcount

    def resolve_unknown(self, issue_id: int, *, resend: bool) -> int:
        """Settle the unknown deliveries of an issue as the operator says; returns how many."""
        state = DeliveryState.PLANNED if resend else DeliveryState.SKIPPED
        reason = "" if resend else "outcome unknown; the operator chose not to send it again"
        unsettled = (
            deliveries.c.issue_id == issue_id,
            deliveries.c.state == DeliveryState.UNKNOWN.value,
        )
        values = {"state": state.value, "reason": reason, "changed_at": self.now()}
        reopened = {"state": IssueState.SENDING.value, "finished_at": None}
        with self._engine.begin() as connection:
            count = connection.execute(update(deliveries).where(*unsettled).values(values)).rowcount
            if count and resend:
                connection.execute(update(issues).where(issues.c.id == issue_id).values(reopened))
            return count

    def write(self, changes: Sequence[Change]) -> set[int]:
        """Commit changes of several deliveries at once; returns those whose `sending` took hold.

        A row that is not planned or deferred any more cannot begin to be sent: somebody settled it.
        """
        now = self.now()
        begun: set[int] = set()
        with self._engine.begin() as connection:
            for kind, group in _in_groups(changes):
                if kind is Start:
                    begun |= _begin(connection, [one.delivery_id for one in group], now)
                else:
                    connection.execute(_SETTLE, [_settled(one, now) for one in group])
        return begun


def _same_suppression() -> ColumnElement[bool]:
    return suppressions.c.suppression_key == subscribers.c.suppression_key


def _due_query(issue_id: int, after: int, limit: int) -> Select[Any]:
    own = and_(
        subscriptions.c.list == deliveries.c.list,
        subscriptions.c.subscriber_id == subscribers.c.id,
    )
    return (
        select(
            deliveries.c.id.label("delivery_id"),
            deliveries.c.list,
            deliveries.c.attempts,
            deliveries.c.attempted_at,
            subscribers.c.id,
            subscribers.c.address,
            subscribers.c.name,
            subscribers.c.language,
            subscribers.c.fields,
            subscriptions.c.state.label("subscription"),
            suppressions.c.reason.label("suppression"),
        )
        .join(subscribers, subscribers.c.id == deliveries.c.subscriber_id)
        .outerjoin(subscriptions, own)
        .outerjoin(suppressions, _same_suppression())
        .where(deliveries.c.issue_id == issue_id, deliveries.c.id > after)
        .order_by(deliveries.c.id)
        .limit(limit)
    )


def _due(row: RowMapping) -> Due:
    person = Subscriber(row["id"], row["address"], row["name"], row["language"], row["fields"])
    recipient = Recipient(
        delivery_id=row["delivery_id"],
        subscriber_id=person.id,
        address=person.address,
        name=person.name,
        list=row["list"],
        values=person.values(),
        attempts=row["attempts"],
        attempted_at=row["attempted_at"],
    )
    if row["suppression"] is not None:
        return Due(recipient, f"suppressed: {row['suppression']}")
    if row["subscription"] != _ACTIVE:
        return Due(recipient, "no longer subscribed")
    return Due(recipient)


def _begin(connection: Connection, ids: Sequence[int], now: int) -> set[int]:
    count = connection.execute(_BEGIN, [{"row": one, "now": now} for one in ids]).rowcount
    if count == len(ids):
        return set(ids)
    # Some were settled by somebody else. Rows in `sending` are ours: the run holds the lock, and
    # whatever an earlier run left there was recovered when this one began.
    ours = deliveries.c.id.in_(ids), deliveries.c.state == DeliveryState.SENDING.value
    return set(connection.execute(select(deliveries.c.id).where(*ours)).scalars())


_BEGIN = (
    update(deliveries)
    .where(
        deliveries.c.id == bindparam("row"),
        or_(*(deliveries.c.state == one for one in ("planned", "deferred"))),
    )
    .values(
        state=DeliveryState.SENDING.value,
        attempts=deliveries.c.attempts + 1,
        attempted_at=func.coalesce(deliveries.c.attempted_at, bindparam("now")),
        changed_at=bindparam("now"),
    )
)
_SETTLE = (
    update(deliveries)
    .where(
        deliveries.c.id == bindparam("row"),
        # one comparison each: SQLAlchemy has no IN in a statement for many rows at once
        or_(*(deliveries.c.state == one for one in ("planned", "deferred", "sending"))),
    )
    .values(
        state=bindparam("new_state"),
        reason=bindparam("new_reason"),
        not_before=bindparam("new_not_before"),
        changed_at=bindparam("now"),
    )
)


def _settled(change: Change, now: int) -> dict[str, object]:
    match change:
        case Settle(row, outcome, not_before):
            return _new_state(row, outcome.state, outcome.reason, not_before, now)
        case Release(row):
            return _new_state(row, DeliveryState.PLANNED, "", None, now)
        case Start():
            raise AssertionError("a start is no settlement")
        case _:
            assert_never(change)


def _new_state(
    row: int, state: DeliveryState, reason: str, not_before: int | None, now: int
) -> dict[str, object]:
    return {
        "row": row,
        "new_state": state.value,
        "new_reason": reason,
        "new_not_before": not_before,
        "now": now,
    }


def _in_groups(changes: Sequence[Change]) -> Iterator[tuple[type, list[Change]]]:
    """Gather changes of one kind into one statement, in order where a row changes twice."""
    if len({one.delivery_id for one in changes}) == len(changes):
        changes = sorted(changes, key=lambda one: isinstance(one, Start))
    return ((kind, list(group)) for kind, group in groupby(changes, key=type))
