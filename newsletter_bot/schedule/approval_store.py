"""Proofs that were sent, and approvals: bound to what readers would get; these to whom, too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import approvals, proofs


@dataclass(frozen=True, slots=True)
class Approval:
    """What was approved: a hash of what goes to whom, and the file as it was."""

    rendering: str
    source: str
    approved_at: int


class ApprovalStore:
    """What the editor has seen and agreed to."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock

    def proof_sent(self, issue: str, rendering: str) -> None:
        """Record that the editor was sent a copy."""
        now = int(self._clock())
        statement = self._insert(proofs).values(issue=issue, rendering=rendering, sent_at=now)
        with self._engine.begin() as connection:
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["issue", "rendering"], set_={"sent_at": now}
                )
            )

    def was_proved(self, issue: str, rendering: str) -> bool:
        """Tell whether a copy of exactly this was sent to the editor."""
        statement = select(proofs.c.issue).where(
            proofs.c.issue == issue, proofs.c.rendering == rendering
        )
        with reading(self._engine) as connection:
            return connection.execute(statement).first() is not None

    def approve(self, issue: str, rendering: str, source: str) -> None:
        """Record the approval, in place of an earlier one."""
        values = {"rendering": rendering, "source": source, "approved_at": int(self._clock())}
        statement = self._insert(approvals).values(issue=issue, **values)
        with self._engine.begin() as connection:
            connection.execute(
                statement.on_conflict_do_update(index_elements=["issue"], set_=values)
            )

    def approval(self, issue: str) -> Approval | None:
        """Return the approval of an issue, or None."""
        statement = select(approvals.c.rendering, approvals.c.source, approvals.c.approved_at)
        with reading(self._engine) as connection:
            row = connection.execute(statement.where(approvals.c.issue == issue)).first()
        return None if row is None else Approval(*row)

    def withdraw(self, issue: str) -> bool:
        """Take an approval back; False when there was none."""
        with self._engine.begin() as connection:
            gone = connection.execute(delete(approvals).where(approvals.c.issue == issue))
            return gone.rowcount == 1

    @property
    def _insert(self) -> Callable[..., postgresql.Insert | sqlite.Insert]:
        return postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
