"""The ledger's SQL while an issue is sent: what is due, what begins, what became of it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Engine,
    Select,
    and_,
    case,
    func,
    literal,
    or_,
    select,
    update,
)

from newsletter_bot.delivery.changes_store import begin, settle, unwanted
from newsletter_bot.delivery.model import (
    Change,
    DeliveryState,
    Denial,
    IssueState,
    Recipient,
    Start,
)
from newsletter_bot.delivery.planning.subject_test_store import held, undecided
from newsletter_bot.delivery.telling_store import Telling
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import (
    deliveries,
    issues,
    subscribers,
    subscriptions,
    suppressions,
)
from newsletter_bot.subscribers.model import Subscriber

OPEN_STATES = (DeliveryState.PLANNED, DeliveryState.SENDING, DeliveryState.DEFERRED)
_UNFINISHED = (IssueState.SENDING, IssueState.PAUSED)
_LOST = "the program ended while this message was being handed over"


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of the deliveries due to read; domains are those of the addresses."""

    after: int
    limit: int
    only_domain: str = ""
    without: Collection[str] = ()


class LedgerStore:
    """Reads and writes the ledger; every method is one transaction."""

    def __init__(
        self,
        engine: Engine,
        clock: Callable[[], float] = time.time,
        telling: Telling | None = None,
    ) -> None:
        """`telling` tells webhooks; without it they hear of nothing."""
        self._engine = engine
        self._clock = clock
        self._telling = telling

    def now(self) -> float:
        """Seconds since 1970 UTC."""
        return self._clock()

    def issue_state(self, issue_id: int) -> tuple[IssueState, str]:
        """Return how an issue stands and, when it was halted, why."""
        query = select(issues.c.state, issues.c.reason).where(issues.c.id == issue_id)
        with reading(self._engine) as connection:
            row = connection.execute(query).one()
            return IssueState(row[0]), row[1]

    def due(self, issue_id: int, state: DeliveryState, page: Page) -> list[Recipient]:
        """Return the next deliveries to make, in order of their id, people as they are now.

        `state` is planned, or deferred for those whose time has come: one question for both would
        make SQLite sort all that is left for each page.
        """
        query = _due_query(issue_id, page).where(deliveries.c.state == state.value)
        if state is DeliveryState.DEFERRED:
            query = query.where(deliveries.c.not_before <= int(self.now()))
        with reading(self._engine) as connection:
            return [_recipient(row) for row in connection.execute(query)]

    def members(self, issue_id: int, ids: Sequence[int]) -> list[Recipient]:
        """Return deliveries by their ids, however they stand, people as they are now."""
        query = _due_query(issue_id, Page(0, len(ids))).where(deliveries.c.id.in_(ids))
        with reading(self._engine) as connection:
            return [_recipient(row) for row in connection.execute(query)]

    def owed(self, deadline: int) -> list[str]:
        """Return the issues being sent of which something is due, or which have come to their end.

        Sequence messages come first, as newcomers get them. `deadline` is how long deferred
        deliveries are tried, in seconds after the plan. Who waits for a test of subjects is not due
        before its time.
        """
        now = int(self.now())
        later = and_(
            deliveries.c.state == DeliveryState.DEFERRED.value,
            deliveries.c.not_before > now,
            deliveries.c.attempted_at >= now - deadline,
        )
        left = select(deliveries.c.id).where(
            deliveries.c.issue_id == issues.c.id, deliveries.c.state.in_(OPEN_STATES)
        )
        since = func.coalesce(issues.c.extended_at, issues.c.planned_at)
        drawn = deliveries.c.variant.is_not(None)
        due = or_(
            and_(~held(now), or_(left.where(~later).exists(), since + deadline < now)),
            and_(held(now), left.where(~later, drawn).exists()),
        )
        query = (
            select(issues.c.identity)
            .where(issues.c.state == IssueState.SENDING, or_(due, ~left.exists()))
            .order_by(issues.c.kind.desc(), issues.c.id)
        )
        with reading(self._engine) as connection:
            return list(connection.execute(query).scalars())

    def next_deferred(self, issue_id: int) -> int | None:
        """Return when the next deferred delivery is due (seconds since 1970 UTC)."""
        query = select(func.min(deliveries.c.not_before)).where(
            deliveries.c.issue_id == issue_id, deliveries.c.state == DeliveryState.DEFERRED
        )
        with reading(self._engine) as connection:
            found: int | None = connection.execute(query).scalar()
            return found

    def begin_run(self, issue_id: int) -> str:
        """Give the run that begins a name, so that its notes are not taken for another's."""
        name = uuid.uuid4().hex
        named = update(issues).where(issues.c.id == issue_id).values(run=name)
        with self._engine.begin() as connection:
            connection.execute(named)
        return name

    def last_run(self, issue_id: int) -> str:
        """Return the name of the run before."""
        query = select(issues.c.run).where(issues.c.id == issue_id)
        with reading(self._engine) as connection:
            name: str = connection.execute(query).scalar_one()
            return name

    def recover(self, issue_id: int, *, resend: bool, beyond: Collection[int] | None) -> int:
        """Settle what a process that is gone left in `sending`; call it under the issue's lock.

        `beyond` holds the deliveries whose final dot may have left, None when that is not known:
        then all may have. The others are owed as before. Returns how many were settled.
        """
        left = (deliveries.c.issue_id == issue_id, deliveries.c.state == DeliveryState.SENDING)
        gone = literal(value=True) if beyond is None else deliveries.c.id.in_(beyond)
        unsure = DeliveryState.PLANNED if resend else DeliveryState.UNKNOWN
        changed = (
            update(deliveries)
            .where(*left)
            .values(
                state=case((gone, unsure.value), else_=DeliveryState.PLANNED.value),
                reason=case((gone, "" if resend else _LOST), else_=""),
                changed_at=int(self.now()),
            )
        )
        with self._engine.begin() as connection:
            return connection.execute(changed).rowcount

    def expire(self, issue_id: int, *, tried_before: int | None = None) -> int:
        """Give up deferred deliveries of an issue past its deadline; their reason stays.

        `tried_before` spares those whose first attempt was not before that time: newcomers have
        a deadline of their own.
        """
        waiting = [deliveries.c.issue_id == issue_id, deliveries.c.state == DeliveryState.DEFERRED]
        if tried_before is not None:
            waiting.append(deliveries.c.attempted_at < tried_before)
        values = {"state": DeliveryState.EXPIRED.value, "changed_at": int(self.now())}
        with self._engine.begin() as connection:
            return connection.execute(update(deliveries).where(*waiting).values(values)).rowcount

    def finish(self, issue_id: int) -> bool:
        """Call the issue sent when nothing of it is owed any more; tells whether that is so."""
        owed = select(deliveries.c.id).where(
            deliveries.c.issue_id == issue_id, deliveries.c.state.in_(OPEN_STATES)
        )
        done = (
            update(issues)
            .where(issues.c.id == issue_id, issues.c.state.in_(_UNFINISHED), ~owed.exists())
            .values(state=IssueState.SENT.value, finished_at=int(self.now()))
        )
        with self._engine.begin() as connection:
            ended = connection.execute(done).rowcount > 0
            if ended and self._telling is not None:
                self._telling.issue_sent(connection, issue_id, int(self.now()))
            return ended

    def write(self, changes: Sequence[Change]) -> dict[int, Denial]:
        """Commit changes of several deliveries at once; returns the starts that were denied.

        A delivery begins only while its issue is being sent, the person wants it and nobody has
        settled it: asked here, in the transaction that says `sending`, whatever was true before.
        """
        now = int(self.now())
        denied: dict[int, Denial] = {}
        with self._engine.begin() as connection:
            for starting, group in _in_groups(changes):
                if starting:
                    denied |= begin(connection, group, now)
                else:
                    settle(connection, group, now)
                    if self._telling is not None:
                        self._telling.bounces(connection, group, now)
        return denied


def _due_query(issue_id: int, page: Page) -> Select[Any]:
    wanted = [_at_domain(page.only_domain)] if page.only_domain else []
    own = and_(
        subscriptions.c.list == deliveries.c.list,
        subscriptions.c.subscriber_id == subscribers.c.id,
    )
    same = suppressions.c.suppression_key == subscribers.c.suppression_key
    wanted += [~_at_domain(one) for one in sorted(page.without)]
    return (
        select(
            deliveries.c.id,
            deliveries.c.list,
            deliveries.c.attempts,
            deliveries.c.attempted_at,
            deliveries.c.relay,
            deliveries.c.variant,
            subscribers.c.id,
            subscribers.c.address,
            subscribers.c.name,
            subscribers.c.language,
            subscribers.c.fields,
            subscriptions.c.state,
            suppressions.c.reason,
        )
        .join(subscribers, subscribers.c.id == deliveries.c.subscriber_id)
        .outerjoin(subscriptions, own)
        .outerjoin(suppressions, same)
        .where(
            deliveries.c.issue_id == issue_id,
            deliveries.c.id > page.after,
            _may_go(issue_id),
            *wanted,
        )
        .order_by(deliveries.c.id)
        .limit(page.limit)
    )


def _may_go(issue_id: int) -> ColumnElement[bool]:
    """Return the condition for a delivery that waits for no test of subjects."""
    waits = select(issues.c.id).where(issues.c.id == issue_id, undecided())
    return or_(deliveries.c.variant.is_not(None), ~waits.exists())


def _at_domain(domain: str) -> ColumnElement[bool]:
    return subscribers.c.address_key.endswith(f"@{domain}", autoescape=True)


def _recipient(row: Sequence[Any]) -> Recipient:
    delivery_id, list_id, attempts, attempted_at, relay, variant, *who, state, suppression = row
    person = Subscriber(*who)
    return Recipient(
        delivery_id=delivery_id,
        subscriber_id=person.id,
        address=person.address,
        name=person.name,
        list=list_id,
        values=person.values(),
        attempts=attempts,
        attempted_at=attempted_at,
        relay=relay,
        unwanted=unwanted(state, suppression),
        variant=variant or 0,
    )


def _in_groups(changes: Sequence[Change]) -> Iterator[tuple[bool, list[Change]]]:
    """Gather changes of one kind into one statement, in order where a row changes twice."""

    def starts(change: Change) -> bool:
        return isinstance(change, Start)

    if len({one.delivery_id for one in changes}) == len(changes):
        changes = sorted(changes, key=starts)
    return ((kind, list(group)) for kind, group in groupby(changes, key=starts))
