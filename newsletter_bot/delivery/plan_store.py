"""The plan's SQL: an issue bound to its rendering, and a row for everyone owed it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    Select,
    Table,
    case,
    literal,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from newsletter_bot.delivery.model import IssueKind, IssueState
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
from newsletter_bot.subscribers.model import Subscriber, SubscriptionState

_ACTIVE = SubscriptionState.ACTIVE.value
_PAGE = 1000


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
    extended_at: int | None = None  # when newcomers were added

    @property
    def owed_since(self) -> int:
        """When its deadline began to run."""
        return self.extended_at or self.planned_at


class PlanStore:
    """Reads and writes issues and their plans; every method is one transaction."""

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._clock = clock

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

    def plan(
        self,
        rendering: Rendering,
        title: str,
        lists: Sequence[str],
        *,
        engaged_first: bool = False,
    ) -> IssueRow:
        """Write a row for everyone owed this issue; a second call changes nothing.

        One person on two lists is owed one copy. A suppressed address is written as skipped, so
        that the numbers say what happened to everybody. Rows are sent in the order written:
        `engaged_first` puts those first who confirmed last, which a relay that warms up needs.
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
                "planned_at": now,
            }
            connection.execute(issues.insert().values(values))
            planned = find_row(connection, rendering.issue)
            assert planned is not None, "it was inserted above"
            for name in lists:
                _plan_list(connection, planned.id, name, now, engaged_first=engaged_first)
            return planned

    def forecast(self, lists: Sequence[str]) -> Iterator[tuple[Subscriber, str]]:
        """Read whom `plan` would write and why they would be skipped, without writing."""
        after = 0
        while True:
            query = _forecast_query(lists, after)
            with reading(self._engine) as connection:
                rows = connection.execute(query).mappings().all()
            for row in rows:
                yield _subscriber(row), row["reason"]
            if len(rows) < _PAGE:
                return
            after = rows[-1]["id"]


def find_row(connection: Connection, identity: str) -> IssueRow | None:
    """Return the row of an issue or sequence message."""
    query = select(issues).where(issues.c.identity == identity)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _issue_row(row)


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
    connection.execute(inserting(connection, renderings).values(values).on_conflict_do_nothing())


def inserting(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """Begin an INSERT … ON CONFLICT in the words of the connection's database."""
    return (
        postgresql.insert(table)
        if connection.dialect.name == "postgresql"
        else sqlite.insert(table)
    )


def _same_suppression() -> ColumnElement[bool]:
    return suppressions.c.suppression_key == subscribers.c.suppression_key


def _skip_reason() -> ColumnElement[str]:
    reason = literal("suppressed: ") + suppressions.c.reason
    return case((suppressions.c.suppression_key.is_not(None), reason), else_=literal(""))


def _plan_list(
    connection: Connection, issue_id: int, name: str, now: int, *, engaged_first: bool
) -> None:
    suppressed = suppressions.c.suppression_key.is_not(None)
    state = case((suppressed, literal("skipped")), else_=literal("planned"))
    confirmed_last = [subscriptions.c.changed_at.desc()] if engaged_first else []
    people = (
        select(
            literal(issue_id),
            subscribers.c.id,
            literal(name),
            state,
            literal(0),
            _skip_reason(),
            literal(now),
        )
        .select_from(subscriptions)
        .join(subscribers, subscribers.c.id == subscriptions.c.subscriber_id)
        .outerjoin(suppressions, _same_suppression())
        .where(subscriptions.c.list == name, subscriptions.c.state == _ACTIVE)
        .order_by(*confirmed_last, subscribers.c.id)
    )
    columns = ["issue_id", "subscriber_id", "list", "state", "attempts", "reason", "changed_at"]
    insert = inserting(connection, deliveries).from_select(columns, people)
    connection.execute(insert.on_conflict_do_nothing())


def _forecast_query(lists: Sequence[str], after: int) -> Select[Any]:
    active = select(subscriptions.c.list).where(
        subscriptions.c.list.in_(lists),
        subscriptions.c.subscriber_id == subscribers.c.id,
        subscriptions.c.state == _ACTIVE,
    )
    return (
        select(subscribers, _skip_reason().label("reason"))
        .outerjoin(suppressions, _same_suppression())
        .where(active.exists(), subscribers.c.id > after)
        .order_by(subscribers.c.id)
        .limit(_PAGE)
    )


def _subscriber(row: RowMapping) -> Subscriber:
    return Subscriber(row["id"], row["address"], row["name"], row["language"], row["fields"])
