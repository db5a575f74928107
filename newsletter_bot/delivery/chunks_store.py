"""The SQL of chunks: frozen before a call, ended after it, found again by the next run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, select, update

from newsletter_bot.delivery.calls.chunks import Chunk
from newsletter_bot.delivery.changes_store import settle
from newsletter_bot.delivery.model import DeliveryState, IssueState, Settle
from newsletter_bot.delivery.telling_store import Telling
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import chunks, deliveries, issues

# Deliveries of a chunk that has no outcome yet: in these states, and in no other.
UNSETTLED = (DeliveryState.SENDING, DeliveryState.UNKNOWN, DeliveryState.PLANNED)
_OWED = (DeliveryState.PLANNED, DeliveryState.SENDING)
_ASKED = "asked for again with the same key, and not answered"
_LIVE = (IssueState.SENDING.value, IssueState.SENT.value)
_PAGE = 500
_KEPT = 7 * 86_400  # seconds


def issues_left(engine: Engine) -> list[str]:
    """Return the issues that have open chunks, and may be sent."""
    query = (
        select(issues.c.identity)
        .join(chunks, chunks.c.issue_id == issues.c.id)
        .where(chunks.c.ended_at.is_(None), issues.c.state.in_(_LIVE))
        .distinct()
        .order_by(issues.c.identity)
    )
    with reading(engine) as connection:
        return list(connection.execute(query).scalars())


class ChunkStore:
    """The chunks of one issue; every method is one transaction."""

    def __init__(
        self,
        engine: Engine,
        issue_id: int,
        clock: Callable[[], float] = time.time,
        telling: Telling | None = None,
    ) -> None:
        """`clock` is the wall's: a provider counts a key's life by its own."""
        self._engine = engine
        self._issue_id = issue_id
        self._clock = clock
        self._telling = telling

    def now(self) -> float:
        """Seconds since 1970 UTC."""
        return self._clock()

    def freeze(self, chunk: Chunk, ended: Sequence[str]) -> None:
        """See Freezer."""
        row = {
            "relay": chunk.relay,
            "issue_id": self._issue_id,
            "key": chunk.key,
            "deliveries": list(chunk.deliveries),
            "payload": chunk.payload,
            "frozen_at": chunk.frozen_at,
        }
        with self._engine.begin() as connection:
            self._end(connection, ended)
            connection.execute(insert(chunks).values(row))

    def end(self, ended: Sequence[str]) -> None:
        """See Freezer."""
        with self._engine.begin() as connection:
            self._end(connection, ended)

    def open(self) -> list[Chunk]:
        """Return the chunks that have not ended, the first first."""
        query = (
            select(
                chunks.c.key,
                chunks.c.relay,
                chunks.c.deliveries,
                chunks.c.payload,
                chunks.c.frozen_at,
            )
            .where(chunks.c.issue_id == self._issue_id, chunks.c.ended_at.is_(None))
            .order_by(chunks.c.id)
        )
        with reading(self._engine) as connection:
            found = connection.execute(query).all()
        return [Chunk(key, relay, tuple(ids), hashed, at) for key, relay, ids, hashed, at in found]

    def forget(self) -> None:
        """Remove what ended long ago, of all issues: there may be one for each message."""
        old = chunks.c.ended_at < int(self._clock()) - _KEPT
        with self._engine.begin() as connection:
            connection.execute(delete(chunks).where(old))

    def states(self, ids: Sequence[int]) -> Mapping[int, DeliveryState]:
        """Return how deliveries of this issue stand; those that are gone are left out."""
        query = select(deliveries.c.id, deliveries.c.state)
        mine = (deliveries.c.issue_id == self._issue_id, deliveries.c.id.in_(ids))
        with reading(self._engine) as connection:
            rows = connection.execute(query.where(*mine)).all()
        return {row: DeliveryState(state) for row, state in rows}

    def doubt(self, chunk: Chunk) -> None:
        """Call unknown what is about to be called again: from here on it may be taken."""
        self._move(chunk.deliveries, _OWED, DeliveryState.UNKNOWN, _ASKED)

    def trust(self, states: Mapping[int, DeliveryState]) -> None:
        """Put deliveries back to what they were before `doubt`: certainly nothing was taken."""
        for state in _OWED:
            rows = [one for one, before in states.items() if before is state]
            self._move(rows, (DeliveryState.UNKNOWN,), state, "")

    def settle(self, chunk: Chunk, changes: Sequence[Settle]) -> None:
        """Write the outcomes of a call that was made again, and end its chunk."""
        now = int(self._clock())
        with self._engine.begin() as connection:
            self._under_way(connection, chunk)
            settle(connection, changes, now)
            if self._telling is not None:
                self._telling.bounces(connection, changes, now)
            if any(one.outcome.state is DeliveryState.DEFERRED for one in changes):
                self._reopen(connection)
            self._end(connection, [chunk.key])

    def _move(
        self,
        ids: Sequence[int],
        before: Sequence[DeliveryState],
        after: DeliveryState,
        reason: str,
    ) -> None:
        theirs = (
            deliveries.c.issue_id == self._issue_id,
            deliveries.c.id.in_(ids),
            deliveries.c.state.in_([one.value for one in before]),
        )
        values = {"state": after.value, "reason": reason, "changed_at": int(self._clock())}
        with self._engine.begin() as connection:
            connection.execute(update(deliveries).where(*theirs).values(values))

    def _under_way(self, connection: Connection, chunk: Chunk) -> None:
        """Let those be settled that an earlier run had to call unknown."""
        begun = update(deliveries).where(
            deliveries.c.id.in_(chunk.deliveries),
            deliveries.c.state.in_([one.value for one in UNSETTLED]),
        )
        connection.execute(begun.values(state=DeliveryState.SENDING.value))

    def _reopen(self, connection: Connection) -> None:
        sent = (issues.c.id == self._issue_id, issues.c.state == IssueState.SENT.value)
        again: dict[str, Any] = {"state": IssueState.SENDING.value, "finished_at": None}
        connection.execute(update(issues).where(*sent).values(again))

    def _end(self, connection: Connection, keys: Sequence[str]) -> None:
        now = int(self._clock())
        for first in range(0, len(keys), _PAGE):
            some = chunks.c.key.in_(keys[first : first + _PAGE])
            connection.execute(update(chunks).where(some).values(ended_at=now))
