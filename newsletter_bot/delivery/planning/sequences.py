"""What newcomers get: sequence messages when their time has come, and the latest issue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo

from sqlalchemy import Engine

from newsletter_bot.delivery.alone import alone
from newsletter_bot.delivery.model import IssueKind, IssueState
from newsletter_bot.delivery.planning.newcomers_store import NewcomersStore, Span
from newsletter_bot.delivery.planning.plan_store import IssueRow, PlanStore, refuse_other_kind
from newsletter_bot.errors import BusyError
from newsletter_bot.rendering.model import Rendering
from newsletter_bot.subscribers.consent import Frequency
from newsletter_bot.subscribers.model import Subscriber
from newsletter_bot.subscribers.selection import USUAL

LATEST = 14 * 86_400  # seconds that a sequence message may come late, before it is left out
STILL_NEWS = 30 * 86_400  # seconds after its plan that an issue is sent to newcomers
_AROUND_A_PLAN = 60  # seconds in which a subscription may have been written while a plan was read


@dataclass(frozen=True, slots=True)
class SequenceMessage:
    """What a sequence message's file says of whom it is for, and when."""

    identity: str
    title: str
    lists: Sequence[str]
    delay: int  # seconds after somebody subscribed


class Newcomers:
    """Owes messages to people who subscribed, each at their own time, in the issues' ledger."""

    def __init__(self, engine: Engine, clock: Callable[[], float], zone: tzinfo = UTC) -> None:
        self._engine = engine
        self._plans = PlanStore(engine, clock, zone)
        self._store = NewcomersStore(engine, clock, zone)

    def sequences(self) -> list[IssueRow]:
        """Return every sequence message that has begun, the newest first."""
        return self._plans.issues(IssueKind.SEQUENCE)

    def to_plan(self, message: SequenceMessage) -> bool:
        """Tell whether `plan` has anything to do: quick, and without a rendering.

        Raises DataError when an issue has the message's identity.
        """
        row = self._row(message.identity)
        if row is None:
            return True
        return row.state is not IssueState.CANCELLED and self._store.any_new(
            row.id, self._span(row, message)
        )

    def due(self, message: SequenceMessage) -> Iterator[Subscriber]:
        """Read whom `plan` would owe the message; nobody before its first plan."""
        row = self._row(message.identity)
        if row is not None and row.state is not IssueState.CANCELLED:
            yield from self._store.people(row.id, self._span(row, message))

    def plan(self, message: SequenceMessage, rendering: Rendering) -> int:
        """Owe a message to those whose time has come since the last plan; returns how many.

        The first plan is when the message begins: who subscribed before gets nothing. From then on
        all copies that have not been sent are sent as the file is now. Raises DataError when an
        issue has its identity, BusyError while it is being sent, TryAgainError when the database
        cannot be used.
        """
        with alone(self._engine, message.identity):
            row = self._store.begin(rendering, message.title, message.lists)
            if row.state is IssueState.CANCELLED:
                return 0
            return self._store.add(row.id, self._span(row, message))

    def plan_latest(self) -> list[str]:
        """Owe the latest issue for them to those who subscribed after its plan.

        That is, of each list, the latest of their frequency, and before it such as have a segment
        that they match: one of them. Returns the issues that were owed to somebody new. One that is
        being sent is left alone until the run has ended.
        """
        rows = self._store.latest(self._store.now() - STILL_NEWS)
        done: set[tuple[str, Frequency]] = set()
        extended = []
        for at, row in enumerate(rows):
            frequency = row.selection.frequency
            lists = [name for name in row.lists if (name, frequency) not in done]
            if row.selection.segment is None:
                done.update((name, frequency) for name in lists)
            # Who matches a segment or chose another frequency later on is no newcomer by that.
            instead = rows[:at] if row.selection == USUAL else rows
            span = self._since(row, lists, [one.id for one in instead if one is not row])
            if row.state is not IssueState.PAUSED and self._extended(row, span):
                extended.append(row.identity)
        return extended

    def _since(self, row: IssueRow, lists: Sequence[str], instead: Sequence[int]) -> Span:
        # Whoever was planned has a row: to look a little further back adds nobody twice.
        since = row.planned_at - _AROUND_A_PLAN
        return Span(lists, since, self._store.now(), row.selection, instead)

    def _extended(self, row: IssueRow, span: Span) -> bool:
        if not self._store.any_new(row.id, span):
            return False
        try:
            with alone(self._engine, row.identity):
                return self._store.add(row.id, span) > 0
        except BusyError:
            return False

    def _row(self, identity: str) -> IssueRow | None:
        row = self._plans.issue(identity)
        if row is not None:
            refuse_other_kind(row, IssueKind.SEQUENCE)
        return row

    def _span(self, row: IssueRow, message: SequenceMessage) -> Span:
        until = self._store.now() - message.delay
        return Span(message.lists, max(row.planned_at, until - LATEST), until)
