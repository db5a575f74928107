"""The ledger's changes of one run: gathered from all sessions, committed together, in order.

A commit costs a flush of the disk, whatever the number of rows in it. `sending` must be on disk
before the bytes that could deliver leave (promise 1): the sender asks for it a message ahead, and
commits when no session has anything to say, so that the relay is busy meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from sqlalchemy.exc import DBAPIError

from newsletter_bot.delivery.model import Change, Denial, Outcome, Release, Settle, Start
from newsletter_bot.delivery.store import LedgerStore

_LARGEST_COMMIT = 500
_ATTEMPTS = 3  # each waits for a locked database as long as the engine's busy timeout
_PAUSE = 0.5  # seconds between them


class LedgerError(Exception):
    """The database took no more changes: nothing further may be sent."""


class Ledger:
    """Takes changes, and writes them at `commit`."""

    def __init__(self, store: LedgerStore, written: Callable[[Sequence[Change]], None]) -> None:
        """`written` is told which changes are on disk."""
        self._store = store
        self._written = written
        self._changes: list[Change] = []
        self.error: LedgerError | None = None

    @property
    def waiting(self) -> bool:
        """True while changes are to be committed."""
        return bool(self._changes) and self.error is None

    @property
    def full(self) -> bool:
        """True when a commit should come before more changes."""
        return len(self._changes) >= _LARGEST_COMMIT

    def start(self, start: Start) -> None:
        """Ask for `sending`; `commit` says that it is on disk, or why it may not be."""
        self._changes.append(start)

    def settle(
        self, delivery_id: int, outcome: Outcome, not_before: int | None = None, relay: str = ""
    ) -> None:
        """Record what became of a message."""
        self._changes.append(Settle(delivery_id, outcome, not_before, relay))

    def release(self, delivery_id: int) -> None:
        """Put back a delivery whose message certainly did not leave."""
        self._changes.append(Release(delivery_id))

    def commit(self) -> list[tuple[Start, Denial | None]]:
        """Write the changes; returns the starts among them, None for those that may go on.

        Writes nothing when the database takes no changes; `error` then says why, for good.
        """
        changes, self._changes = self._changes, []
        if not changes or self.error is not None:
            return []
        denied = self._write(changes)
        if denied is None:
            return []
        self._written(changes)
        starts = (one for one in changes if isinstance(one, Start))
        return [(one, denied.get(one.delivery_id)) for one in starts]

    def _write(self, changes: list[Change]) -> dict[int, Denial] | None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._store.write(changes)
            except DBAPIError as error:
                if attempt == _ATTEMPTS:
                    self.error = LedgerError(f"the ledger cannot be written: {error.orig}")
                    return None
            time.sleep(_PAUSE)
        raise AssertionError("the last attempt returned")
