"""The ledger's one writer: changes from all connections, committed together, in order.

A commit costs a flush of the disk, whatever the number of rows in it. Connections hand their
changes to one thread and wait only for the commit of `sending`, which must be on disk before the
bytes that could deliver leave (promise 1).
"""

from __future__ import annotations

import queue
import threading
import time
from types import TracebackType
from typing import Self

from sqlalchemy.exc import DBAPIError

from newsletter_bot.delivery.model import Change, Outcome, Release, Settle, Start
from newsletter_bot.delivery.store import LedgerStore

_LARGEST_COMMIT = 500
_ATTEMPTS = 3  # each waits for a locked database as long as the engine's busy timeout
_PAUSE = 0.5  # seconds between them


class LedgerError(Exception):
    """The database took no more changes: nothing further may be sent."""


class NotOwedError(Exception):
    """Somebody settled this delivery meanwhile: it must not be sent."""


class Ticket:
    """A promise that `sending` will be committed."""

    __slots__ = ("_error", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self._error: Exception | None = None

    def settle(self, error: Exception | None) -> None:
        """Let the waiting connection go on, or fail."""
        self._error = error
        self._lock.release()

    def wait(self) -> None:
        """Return once the commit is on disk; raises LedgerError or NotOwedError."""
        with self._lock:
            if self._error is not None:
                raise self._error


class Ledger:
    """Takes changes from many threads; used as a context, whose end waits for the last commit."""

    def __init__(self, store: LedgerStore) -> None:
        self._store = store
        self._queue: queue.SimpleQueue[tuple[Change, Ticket | None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="ledger", daemon=True)
        self.error: LedgerError | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._queue.put(None)
        self._thread.join()

    def start(self, delivery_id: int) -> Ticket:
        """Ask for `sending`; wait for the ticket before the message can be delivered."""
        ticket = Ticket()
        self._queue.put((Start(delivery_id), ticket))
        return ticket

    def settle(self, delivery_id: int, outcome: Outcome, not_before: int | None = None) -> None:
        """Record what became of a message."""
        self._queue.put((Settle(delivery_id, outcome, not_before), None))

    def release(self, delivery_id: int) -> None:
        """Put back a delivery whose message certainly did not leave."""
        self._queue.put((Release(delivery_id), None))

    def _write(self) -> None:
        going_on = True
        while going_on:
            batch, going_on = self._next_batch()
            if batch:
                self._commit(batch)

    def _next_batch(self) -> tuple[list[tuple[Change, Ticket | None]], bool]:
        batch = []
        entry = self._queue.get()
        while entry is not None:
            batch.append(entry)
            if len(batch) == _LARGEST_COMMIT:
                return batch, True
            try:
                entry = self._queue.get_nowait()
            except queue.Empty:
                return batch, True
        return batch, False

    def _commit(self, batch: list[tuple[Change, Ticket | None]]) -> None:
        begun: set[int] = set()
        if self.error is None:
            begun = self._try([change for change, _ in batch])
        for change, ticket in batch:
            if ticket is None:
                continue
            if self.error is not None:
                ticket.settle(self.error)
            elif change.delivery_id not in begun:
                ticket.settle(NotOwedError(f"delivery {change.delivery_id} is settled already"))
            else:
                ticket.settle(None)

    def _try(self, changes: list[Change]) -> set[int]:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._store.write(changes)
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
                if attempt == _ATTEMPTS or not isinstance(error, DBAPIError):
                    reason = getattr(error, "orig", None) or error
                    self.error = LedgerError(f"the ledger cannot be written: {reason}")
                    return set()
                time.sleep(_PAUSE)
        raise AssertionError("the last attempt returned")
