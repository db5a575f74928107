"""The ledger's one writer: changes from all sessions, committed together, in order.

A commit costs a flush of the disk, whatever the number of rows in it. The sender hands its changes
to one thread and goes on; it is told when `sending` is on disk, which must be before the bytes that
could deliver leave (promise 1).
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from sqlalchemy.exc import DBAPIError

from newsletter_bot.delivery.model import Change, Denial, Outcome, Release, Settle, Start
from newsletter_bot.delivery.store import LedgerStore

_LARGEST_COMMIT = 500
_GATHER = 0.0005  # seconds: what comes within them shares a commit
_ATTEMPTS = 3  # each waits for a locked database as long as the engine's busy timeout
_PAUSE = 0.5  # seconds between them


class LedgerError(Exception):
    """The database took no more changes: nothing further may be sent."""


class Ledger:
    """Takes changes; used as a context, whose end waits for the last commit."""

    def __init__(
        self,
        store: LedgerStore,
        wake: Callable[[], None],
        settled: Callable[[Iterable[int]], None] = lambda _ids: None,
    ) -> None:
        self._store = store
        self._wake = wake
        self._settled = settled
        self._queue: queue.SimpleQueue[Change | None] = queue.SimpleQueue()
        self._answers: deque[tuple[Start, Denial | None]] = deque()
        self._thread = threading.Thread(target=self._write, name="ledger", daemon=True)
        self._asked = 0  # changes handed in
        self._done = 0  # of those, changes that were committed
        self.error: LedgerError | None = None

    @property
    def idle(self) -> bool:
        """True when every change handed in is on disk, or none will be any more."""
        return self._done == self._asked or self.error is not None

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

    def start(self, start: Start) -> None:
        """Ask for `sending`; `answers` says when it is on disk, or why it may not be."""
        self._put(start)

    def settle(
        self, delivery_id: int, outcome: Outcome, not_before: int | None = None, relay: str = ""
    ) -> None:
        """Record what became of a message."""
        self._put(Settle(delivery_id, outcome, not_before, relay))

    def release(self, delivery_id: int) -> None:
        """Put back a delivery whose message certainly did not leave."""
        self._put(Release(delivery_id))

    def answers(self) -> list[tuple[Start, Denial | None]]:
        """Return the starts that were answered since the last call; None means it is on disk."""
        found = []
        while self._answers:
            found.append(self._answers.popleft())
        return found

    def _put(self, change: Change) -> None:
        self._asked += 1
        self._queue.put(change)

    def _write(self) -> None:
        going_on = True
        while going_on:
            batch, going_on = self._next_batch()
            if batch and self.error is None:
                self._commit(batch)

    def _next_batch(self) -> tuple[list[Change], bool]:
        batch: list[Change] = []
        change = self._queue.get()
        if change is not None:
            time.sleep(_GATHER)
        while change is not None:
            batch.append(change)
            if len(batch) == _LARGEST_COMMIT:
                return batch, True
            try:
                change = self._queue.get_nowait()
            except queue.Empty:
                return batch, True
        return batch, False

    def _commit(self, batch: list[Change]) -> None:
        denied = self._try(batch)
        if self.error is None:
            self._settled(one.delivery_id for one in batch if not isinstance(one, Start))
            started = (one for one in batch if isinstance(one, Start))
            self._answers.extend((one, denied.get(one.delivery_id)) for one in started)
        self._done += len(batch)
        self._wake()

    def _try(self, changes: list[Change]) -> dict[int, Denial]:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._store.write(changes)
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
                if attempt == _ATTEMPTS or not isinstance(error, DBAPIError):
                    reason = getattr(error, "orig", None) or error
                    self.error = LedgerError(f"the ledger cannot be written: {reason}")
                    return {}
                time.sleep(_PAUSE)
        raise AssertionError("the last attempt returned")
