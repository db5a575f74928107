"""The plan's SQL: an issue bound to its rendering, and a row for everyone owed it."""

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
    RowMapping,
    Select,
    and_,
    case,
    func,
    literal,
    or_,
    select,
    true,
)

from newsletter_bot.delivery.model import IssueKind, IssueState
from newsletter_bot.delivery.planning.links_store import Counted, keep_links, link_numbers
from newsletter_bot.delivery.planning.subject_test import Terms
from newsletter_bot.delivery.planning.subject_test_store import share_out
from newsletter_bot.errors import DataError
from newsletter_bot.rendering.model import Rendering
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import (
    deliveries,
    issues,
    renderings,
    subscribers,
    subscriptions,
    suppressions,
)
from newsletter_bot.storage.upsert import upserting
from newsletter_bot.subscribers.conditions_store import condition
from newsletter_bot.subscribers.consent import Frequency
from newsletter_bot.subscribers.model import Subscriber, SubscriptionState
from newsletter_bot.subscribers.segment_rules import Now
from newsletter_bot.subscribers.selection import USUAL, Selection

_ACTIVE = SubscriptionState.ACTIVE.value
_PAGE = 1000
_MONTHLY = "gets the monthly digest"  # why a delivery is skipped
_PAUSED = "paused by the reader"


@dataclass(frozen=True, slots=True)
class IssueRow:
    """An issue or sequence message that was planned: its state and the rendering it has."""

    id: int
    identity: str
    title: str
    state: IssueState
    rendering: str
    lists: tuple[str, ...]
    planned_at: int
    finished_at: int | None
    reason: str = ""  # why it is paused
    kind: IssueKind = IssueKind.ISSUE
    extended_at: int | None = None  # when newcomers were added, or who waited was let go
    selection: Selection = USUAL

    @property
    def owed_since(self) -> int:
        """When its deadline began to run."""
        return self.extended_at or self.planned_at


class PlanStore:
    """Reads and writes issues and their plans; every method is one transaction."""

    def __init__(
        self, engine: Engine, clock: Callable[[], float] = time.time, zone: tzinfo = UTC
    ) -> None:
        """`zone` is where the days that segments name begin."""
        self._engine = engine
        self._clock = clock
        self._zone = zone

    def issue(self, identity: str) -> IssueRow | None:
        """Return a planned issue or a sequence message."""
        with reading(self._engine) as connection:
            return find_row(connection, identity)

    def issues(self, kind: IssueKind = IssueKind.ISSUE) -> list[IssueRow]:
        """Return every planned issue, the newest first; or all sequence messages."""
        query = (
            select(issues)
            .where(issues.c.kind == kind.value)
            .order_by(issues.c.planned_at.desc(), issues.c.id.desc())
        )
        with reading(self._engine) as connection:
            return [_issue_row(row) for row in connection.execute(query).mappings()]

    def rendering(self, name: str) -> Rendering:
        """Return the rendering of that content hash."""
        query = select(renderings.c.content).where(renderings.c.hash == name)
        with reading(self._engine) as connection:
            return Rendering.from_json(connection.execute(query).scalar_one())

    def counted(self, issue_id: int) -> Counted:
        """Return what a composer needs, so that an issue's links lead through our site."""
        with reading(self._engine) as connection:
            return Counted(issue_id, link_numbers(connection, issue_id))

    def plan(  # noqa: PLR0913 - an issue, whom it is for, and how it goes to them
        self,
        rendering: Rendering,
        title: str,
        lists: Sequence[str],
        selection: Selection = USUAL,
        *,
        engaged_first: bool = False,
        test: Terms | None = None,
    ) -> IssueRow:
        """Write a row for everyone owed this issue; a second call changes nothing.

        One person on two lists is owed one copy. Of those the issue is for, who is suppressed, has
        paused, or chose to get fewer mails is written as skipped, so that the numbers say what
        happened to them; who does not match its segment has no row, and of a monthly digest, who
        did not ask for it. Rows are sent in the order written: `engaged_first` puts those first who
        confirmed last, which a relay that warms up needs. `test` is held where the issue has
        several subjects.
        Raises DataError when a sequence message has the issue's identity.
        """
        now = int(self._clock())
        with self._engine.begin() as connection:
            found = find_row(connection, rendering.issue)
            if found is not None:
                refuse_other_kind(found, IssueKind.ISSUE)
                return found
            keep_rendering(connection, rendering, now)
            values = {
                "identity": rendering.issue,
                "title": title,
                "state": IssueState.SENDING.value,
                "rendering": rendering.hash,
                "lists": list(lists),
                "selection": selection.to_json(),
                "planned_at": now,
            }
            connection.execute(issues.insert().values(values))
            planned = find_row(connection, rendering.issue)
            assert planned is not None, "it was inserted above"
            keep_links(connection, planned.id, rendering.tracking.links)
            wanted = self._wanted(selection, now)
            for name in lists:
                people = _people(planned.id, name, now, selection, engaged_first=engaged_first)
                _plan_list(connection, people.where(wanted))
            if test is not None:
                share_out(connection, planned.id, test, now)
            return planned

    def forecast(
        self, lists: Sequence[str], selection: Selection = USUAL
    ) -> Iterator[tuple[Subscriber, str]]:
        """Read whom `plan` would write and why they would be skipped, without writing."""
        now, after = int(self._clock()), 0
        query = _forecast_query(lists, now, selection).where(self._wanted(selection, now))
        while True:
            with reading(self._engine) as connection:
                page = query.where(subscribers.c.id > after)
                rows = connection.execute(page).mappings().all()
            for row in rows:
                yield _subscriber(row), row["reason"]
            if len(rows) < _PAGE:
                return
            after = rows[-1]["id"]

    def _wanted(self, selection: Selection, now: int) -> ColumnElement[bool]:
        """Return the condition for a person that an issue is meant for."""
        return wanted(selection, Now(now, self._zone), self._engine.dialect.name)


def find_row(connection: Connection, identity: str) -> IssueRow | None:
    """Return the row of an issue or sequence message."""
    query = select(issues).where(issues.c.identity == identity)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _issue_row(row)


def _plan_list(connection: Connection, people: Select[Any]) -> None:
    """Owe the issue to these people, save those whom another list made it owed to already."""
    insert = upserting(connection, deliveries).from_select(_COLUMNS, people)
    connection.execute(insert.on_conflict_do_nothing())


def _issue_row(row: RowMapping) -> IssueRow:
    return IssueRow(
        id=row["id"],
        identity=row["identity"],
        title=row["title"],
        state=IssueState(row["state"]),
        rendering=row["rendering"],
        lists=tuple(row["lists"]),
        planned_at=row["planned_at"],
        finished_at=row["finished_at"],
        reason=row["reason"],
        kind=IssueKind(row["kind"]),
        extended_at=row["extended_at"],
        selection=Selection.from_json(row["selection"]),
    )


def refuse_other_kind(row: IssueRow, kind: IssueKind) -> None:
    """Raise DataError when a row is no `kind`: an identity is that of one thing for ever."""
    if row.kind is not kind:
        known = "an issue" if row.kind is IssueKind.ISSUE else "a sequence message"
        raise DataError(
            f"{row.identity} is the name of {known} in the ledger already.",
            "Give the file another `issue:`.",
        )


def keep_rendering(connection: Connection, rendering: Rendering, now: int) -> None:
    """Store a rendering, when it is not there yet."""
    values = {"hash": rendering.hash, "content": rendering.to_json(), "made_at": now}
    connection.execute(upserting(connection, renderings).values(values).on_conflict_do_nothing())


def _same_suppression() -> ColumnElement[bool]:
    return suppressions.c.suppression_key == subscribers.c.suppression_key


def wanted(selection: Selection, now: Now, dialect: str) -> ColumnElement[bool]:
    """Return the condition for a person that an issue with this selection is meant for."""
    monthly = subscribers.c.frequency == Frequency.MONTHLY.value
    chosen = true() if selection.frequency is Frequency.EVERY else monthly
    segment = selection.segment
    return chosen if segment is None else and_(chosen, condition(segment.rule, now, dialect))


def paused(now: int) -> ColumnElement[bool]:
    """Return the condition for a person who wants no mail yet: true, false, never NULL."""
    return func.coalesce(subscribers.c.paused_until, 0) > now


def _skips(now: int, selection: Selection) -> list[tuple[ColumnElement[bool], ColumnElement[str]]]:
    """Return why somebody an issue is for gets none, the first that holds being the reason."""
    suppressed = suppressions.c.suppression_key.is_not(None)
    return [
        (suppressed, literal("suppressed: ") + suppressions.c.reason),
        (subscribers.c.frequency != selection.frequency.value, literal(_MONTHLY)),
        (paused(now), literal(_PAUSED)),
    ]


def _skip_reason(now: int, selection: Selection) -> ColumnElement[str]:
    return case(*_skips(now, selection), else_=literal(""))


_COLUMNS = ["issue_id", "subscriber_id", "list", "state", "attempts", "reason", "changed_at"]


def _people(
    issue_id: int, name: str, now: int, selection: Selection, *, engaged_first: bool
) -> Select[Any]:
    skipped = or_(*(one for one, _ in _skips(now, selection)))
    state = case((skipped, literal("skipped")), else_=literal("planned"))
    confirmed_last = [subscriptions.c.changed_at.desc()] if engaged_first else []
    return (
        select(
            literal(issue_id),
            subscribers.c.id,
            literal(name),
            state,
            literal(0),
            _skip_reason(now, selection),
            literal(now),
        )
        .select_from(subscriptions)
        .join(subscribers, subscribers.c.id == subscriptions.c.subscriber_id)
        .outerjoin(suppressions, _same_suppression())
        .where(subscriptions.c.list == name, subscriptions.c.state == _ACTIVE)
        .order_by(*confirmed_last, subscribers.c.id)
    )


def _forecast_query(lists: Sequence[str], now: int, selection: Selection) -> Select[Any]:
    active = select(subscriptions.c.list).where(
        subscriptions.c.list.in_(lists),
        subscriptions.c.subscriber_id == subscribers.c.id,
        subscriptions.c.state == _ACTIVE,
    )
    return (
        select(subscribers, _skip_reason(now, selection).label("reason"))
        .outerjoin(suppressions, _same_suppression())
        .where(active.exists())
        .order_by(subscribers.c.id)
        .limit(_PAGE)
    )


def _subscriber(row: RowMapping) -> Subscriber:
    return Subscriber(row["id"], row["address"], row["name"], row["language"], row["fields"])
