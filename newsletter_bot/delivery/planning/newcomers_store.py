"""The SQL of newcomers: who is new on a list, and the deliveries that are added for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Insert,
    Select,
    case,
    func,
    literal,
    or_,
    select,
    update,
)

from newsletter_bot.delivery.model import DeliveryState, IssueKind, IssueState
from newsletter_bot.delivery.planning.links_store import keep_links
from newsletter_bot.delivery.planning.plan_store import (
    IssueRow,
    find_row,
    keep_rendering,
    paused,
    refuse_other_kind,
    wanted,
)
from newsletter_bot.delivery.planning.subject_test_store import late_variant
from newsletter_bot.rendering.model import Rendering
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import (
    deliveries,
    issues,
    subscribers,
    subscriptions,
    suppressions,
)
from newsletter_bot.storage.upsert import upserting
from newsletter_bot.subscribers.model import IMPORTED, Subscriber, SubscriptionState
from newsletter_bot.subscribers.segment_rules import Now
from newsletter_bot.subscribers.selection import Selection

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Span:
    """Subscriptions to these lists that became active within a time, both ends included."""

    lists: Sequence[str]
    since: int  # seconds since 1970 UTC
    until: int
    selection: Selection | None = None  # of an issue; a sequence message is for everybody
    instead: Sequence[int] = ()  # issues: who was owed one of them by a list is left out of it


class NewcomersStore:
    """Reads who is new, and adds deliveries for them; every method is one transaction.

    A newcomer's subscription is active and was not imported, the address is not suppressed, nothing
    is paused, and the message in question was never owed to them.
    """

    def __init__(
        self, engine: Engine, clock: Callable[[], float] = time.time, zone: tzinfo = UTC
    ) -> None:
        """`zone` is where the days that segments name begin."""
        self._engine = engine
        self._clock = clock
        self._zone = zone

    def now(self) -> int:
        """Whole seconds since 1970 UTC."""
        return int(self._clock())

    def any_new(self, issue_id: int, span: Span) -> bool:
        """Tell whether `add` would add somebody."""
        with reading(self._engine) as connection:
            return any(
                connection.execute(self._new(issue_id, name, span).limit(1)).first() is not None
                for name in span.lists
            )

    def people(self, issue_id: int, span: Span) -> Iterator[Subscriber]:
        """Read whom `add` would add, without writing."""
        new = or_(*(subscribers.c.id.in_(self._new(issue_id, name, span)) for name in span.lists))
        query = select(subscribers).where(new).order_by(subscribers.c.id).limit(_PAGE)
        after = 0
        while True:
            with reading(self._engine) as connection:
                page = query.where(subscribers.c.id > after)
                rows = connection.execute(page).mappings().all()
            for row in rows:
                yield Subscriber(
                    row["id"], row["address"], row["name"], row["language"], row["fields"]
                )
            if len(rows) < _PAGE:
                return
            after = rows[-1]["id"]

    def begin(self, rendering: Rendering, title: str, lists: Sequence[str]) -> IssueRow:
        """Make the row of a sequence message, or bring it up to date with its file.

        Call it under the message's lock: then no copy is on its way, and one that was put off
        arrived nowhere. Raises DataError when an issue has the identity.
        """
        now = self.now()
        with self._engine.begin() as connection:
            found = find_row(connection, rendering.issue)
            if found is not None:
                refuse_other_kind(found, IssueKind.SEQUENCE)
            keep_rendering(connection, rendering, now)
            said = {"title": title, "lists": list(lists), "rendering": rendering.hash}
            if found is None:
                new = {
                    "identity": rendering.issue,
                    "kind": IssueKind.SEQUENCE.value,
                    "state": IssueState.SENT.value,  # nothing of it is owed yet
                    "planned_at": now,
                    "finished_at": now,
                }
                connection.execute(issues.insert().values({**new, **said}))
            else:
                connection.execute(update(issues).where(issues.c.id == found.id).values(said))
            row = find_row(connection, rendering.issue)
            assert row is not None, "it was written above"
            keep_links(connection, row.id, rendering.tracking.links)
            return row

    def add(self, issue_id: int, span: Span) -> int:
        """Owe the message to everybody new, and let it be sent again; returns how many.

        Call it under the message's lock: a run that ends meanwhile would call it sent.
        """
        now = self.now()
        with self._engine.begin() as connection:
            count = sum(
                connection.execute(
                    _adding(connection, name, now, issue_id, self._new(issue_id, name, span))
                ).rowcount
                for name in span.lists
            )
            if count:
                _extend(connection, issue_id, now)
            return count

    def latest(self, since: int) -> list[IssueRow]:
        """Return the issues planned since then that were not cancelled, the newest first."""
        query = (
            select(issues.c.identity)
            .where(
                issues.c.kind == IssueKind.ISSUE.value,
                issues.c.state != IssueState.CANCELLED.value,
                issues.c.planned_at >= since,
            )
            .order_by(issues.c.planned_at.desc(), issues.c.id.desc())
        )
        with reading(self._engine) as connection:
            names = connection.execute(query).scalars().all()
            rows = (find_row(connection, one) for one in names)
            return [row for row in rows if row is not None]

    def _new(self, issue_id: int, name: str, span: Span) -> Select[Any]:
        now = Now(self.now(), self._zone)
        source = func.coalesce(subscriptions.c.consent["source"].as_string(), "")
        suppressed = select(suppressions.c.suppression_key).where(
            suppressions.c.suppression_key == subscribers.c.suppression_key
        )
        return (
            select(subscriptions.c.subscriber_id)
            .join(subscribers, subscribers.c.id == subscriptions.c.subscriber_id)
            .where(
                subscriptions.c.list == name,
                subscriptions.c.changed_at.between(span.since, span.until),
                subscriptions.c.state == SubscriptionState.ACTIVE.value,
                ~source.startswith(IMPORTED, autoescape=True),
                ~suppressed.exists(),
                ~paused(now.at),
                ~_owed(issue_id).exists(),
                ~_owed(*span.instead).where(deliveries.c.list == name).exists(),
                *self._chosen(span, now),
            )
        )

    def _chosen(self, span: Span, now: Now) -> list[ColumnElement[bool]]:
        if span.selection is None:
            return []
        usual = subscribers.c.frequency == span.selection.frequency.value
        return [usual, wanted(span.selection, now, self._engine.dialect.name)]


def _owed(*issue_ids: int) -> Select[Any]:
    return select(deliveries.c.id).where(
        deliveries.c.issue_id.in_(issue_ids),
        deliveries.c.subscriber_id == subscriptions.c.subscriber_id,
    )


def _adding(
    connection: Connection, name: str, now: int, issue_id: int, people: Select[Any]
) -> Insert:
    values = {
        "issue_id": literal(issue_id),
        "subscriber_id": subscriptions.c.subscriber_id,
        "list": literal(name),
        "state": literal(DeliveryState.PLANNED.value),
        "attempts": literal(0),
        "reason": literal(""),
        "changed_at": literal(now),
        "variant": late_variant(issue_id),
    }
    earliest_first = (subscriptions.c.changed_at, subscriptions.c.subscriber_id)
    new = people.with_only_columns(*values.values()).order_by(*earliest_first)
    insert = upserting(connection, deliveries).from_select(list(values), new)
    # SQLAlchemy forgets how many rows an INSERT wrote unless it is asked.
    return insert.on_conflict_do_nothing().execution_options(preserve_rowcount=True)


def _extend(connection: Connection, issue_id: int, now: int) -> None:
    was_sent = issues.c.state == IssueState.SENT.value
    connection.execute(
        update(issues)
        .where(issues.c.id == issue_id)
        .values(
            state=case((was_sent, IssueState.SENDING.value), else_=issues.c.state),
            finished_at=case((was_sent, None), else_=issues.c.finished_at),
            extended_at=now,
        )
    )
