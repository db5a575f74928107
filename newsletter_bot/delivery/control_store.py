"""What an operator does to an issue in the ledger: pause, resume, cancel, retry, resolve."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, Engine, select, update

from newsletter_bot.delivery.changes_store import keep_replies
from newsletter_bot.delivery.model import DeliveryState, IssueState
from newsletter_bot.storage.tables import deliveries, issues

_PAGE = 5000
_OWED = (DeliveryState.PLANNED, DeliveryState.DEFERRED)
_FAILED = (DeliveryState.REFUSED, DeliveryState.EXPIRED)


class ControlStore:
    """Changes how an issue stands; every method is one transaction.

    A process that sends the issue asks for each message whether it still may, so that a change
    holds from the next message on.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._clock = clock

    def move(
        self, issue_id: int, before: Sequence[IssueState], after: IssueState, reason: str = ""
    ) -> bool:
        """Change an issue's state, if it stands in one of `before`; tells whether it did."""
        moved = (
            update(issues)
            .where(issues.c.id == issue_id, issues.c.state.in_(before))
            .values(state=after.value, reason=reason)
        )
        with self._engine.begin() as connection:
            return connection.execute(moved).rowcount > 0

    def skip_owed(self, issue_id: int, reason: str) -> int:
        """Skip whatever is still owed of a cancelled issue; returns how many."""
        owed = (
            deliveries.c.issue_id == issue_id,
            deliveries.c.state.in_(_OWED),
            select(issues.c.id)
            .where(issues.c.id == issue_id, issues.c.state == IssueState.CANCELLED.value)
            .exists(),
        )
        values = {
            "state": DeliveryState.SKIPPED.value,
            "reason": reason,
            "changed_at": int(self._clock()),
        }
        with self._engine.begin() as connection:
            return connection.execute(update(deliveries).where(*owed).values(values)).rowcount

    def retry_failed(self, issue_id: int) -> int:
        """Owe refused and expired deliveries again; what was said to them is kept."""
        with self._engine.begin() as connection:
            count = self._owe_again(connection, issue_id, _FAILED)
            if count:
                self._reopen(connection, issue_id)
            return count

    def resolve_unknown(self, issue_id: int, *, resend: bool) -> int:
        """Settle the unknown deliveries of an issue as the operator says; returns how many."""
        with self._engine.begin() as connection:
            if not resend:
                return self._skip_unknown(connection, issue_id)
            count = self._owe_again(connection, issue_id, (DeliveryState.UNKNOWN,))
            if count:
                self._reopen(connection, issue_id)
            return count

    def _skip_unknown(self, connection: Connection, issue_id: int) -> int:
        unsettled = (
            deliveries.c.issue_id == issue_id,
            deliveries.c.state == DeliveryState.UNKNOWN,
        )
        ids = list(connection.execute(select(deliveries.c.id).where(*unsettled)).scalars())
        for at in range(0, len(ids), _PAGE):
            keep_replies(connection, ids[at : at + _PAGE])
        values = {
            "state": DeliveryState.SKIPPED.value,
            "reason": "outcome unknown; the operator chose not to send it again",
            "changed_at": int(self._clock()),
        }
        return connection.execute(update(deliveries).where(*unsettled).values(values)).rowcount

    def _owe_again(
        self, connection: Connection, issue_id: int, states: Sequence[DeliveryState]
    ) -> int:
        chosen = deliveries.c.issue_id == issue_id, deliveries.c.state.in_(states)
        ids = list(connection.execute(select(deliveries.c.id).where(*chosen)).scalars())
        for at in range(0, len(ids), _PAGE):
            keep_replies(connection, ids[at : at + _PAGE])
        values = {
            "state": DeliveryState.PLANNED.value,
            "reason": "",
            "not_before": None,
            "changed_at": int(self._clock()),
        }
        return connection.execute(update(deliveries).where(*chosen).values(values)).rowcount

    def _reopen(self, connection: Connection, issue_id: int) -> None:
        finished = issues.c.id == issue_id, issues.c.state == IssueState.SENT.value
        values = {"state": IssueState.SENDING.value, "finished_at": None, "reason": ""}
        connection.execute(update(issues).where(*finished).values(values))
