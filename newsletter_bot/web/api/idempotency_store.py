"""The SQL of idempotency keys: a write that is sent again is answered again, and not done again.

Two transactions. The first claims the key, and is on disk before anything is done. The second makes
the change and keeps its answer, both or neither. So what a crash between the two leaves behind is a
claim and no change: for a minute the key is `under way`, then a repetition takes the claim over and
makes the change. Whoever was slow and not dead finds the claim taken, and undoes its change.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, select, update

from newsletter_bot.storage.tables import idempotency
from newsletter_bot.storage.upsert import upserting
from newsletter_bot.storage.writer import Writer

KEPT = 24 * 3600  # seconds
_PATIENCE = 60  # seconds after which whoever claimed a key and did not answer is thought dead
_Columns = idempotency.c


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer as it is kept: its status, and all else as text."""

    status: int
    text: str


@dataclass(frozen=True, slots=True)
class Request:
    """A request that may come again: whose key, which idempotency key, and a hash of the rest."""

    api_key_id: int
    key: str
    fingerprint: bytes


class OtherRequestError(Exception):
    """The key was used for a request that said something else."""


class UnderWayError(Exception):
    """The same request is being answered just now."""


class IdempotencyStore:
    """Runs changes at most once for each key of each program."""

    def __init__(self, writer: Writer, clock: Callable[[], float] = time.time) -> None:
        self._writer = writer
        self._clock = clock

    def once(self, request: Request, change: Callable[[], Kept]) -> tuple[Kept, bool]:
        """Make a change, or return the answer to it; and whether it is one from before.

        `change` runs in the transaction that keeps its answer. What it raises undoes it, and frees
        the key: nothing was done. Raises OtherRequestError and UnderWayError.
        """
        now = int(self._clock())
        known = self._writer.run(lambda found: _claim(found, request, now))
        if known is not None:
            return known, True
        try:
            return self._writer.run(lambda found: _settle(found, request, now, change)), False
        except BaseException:
            mine = delete(idempotency).where(_is_claim(request, now))
            self._writer.run(lambda found: found.execute(mine))
            raise


def _claim(connection: Connection, request: Request, now: int) -> Kept | None:
    """Claim a key; returns the answer when there is one already."""
    values = {
        "api_key_id": request.api_key_id,
        "key": request.key,
        "request": request.fingerprint,
        "status": None,
        "at": now,
    }
    connection.execute(delete(idempotency).where(_is(request), _Columns.at < now - KEPT))
    insert = upserting(connection, idempotency).values(values).on_conflict_do_nothing()
    if connection.execute(insert.returning(_Columns.key)).scalar() is not None:
        return None
    row = connection.execute(select(idempotency).where(_is(request))).mappings().one_or_none()
    if row is None:  # freed between the two statements, by another process
        raise UnderWayError
    return _known(connection, request, row, now)


def _known(connection: Connection, request: Request, row: RowMapping, now: int) -> Kept | None:
    if row["request"] != request.fingerprint:
        raise OtherRequestError
    if row["status"] is not None:
        return Kept(row["status"], row["response"])
    if row["at"] > now - _PATIENCE:
        raise UnderWayError
    taken = update(idempotency).where(_is_claim(request, row["at"])).values(at=now)
    if not connection.execute(taken).rowcount:
        raise UnderWayError
    return None


def _settle(
    connection: Connection, request: Request, claimed_at: int, change: Callable[[], Kept]
) -> Kept:
    answer = change()
    values = {"status": answer.status, "response": answer.text}
    kept = update(idempotency).where(_is_claim(request, claimed_at)).values(values)
    if not connection.execute(kept).rowcount:
        raise UnderWayError
    return answer


def _is(request: Request) -> ColumnElement[bool]:
    return (_Columns.api_key_id == request.api_key_id) & (_Columns.key == request.key)


def _is_claim(request: Request, at: int) -> ColumnElement[bool]:
    return _is(request) & _Columns.status.is_(None) & (_Columns.at == at)
