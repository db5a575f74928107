"""Counts visits without making visitors wait: handed in, kept by a thread, judged by a duty.

What waits is bounded. When the database is slower than the visits, visits are lost, and how many is
logged: a reader's way on is worth more than a count.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from sqlalchemy import Engine

from newsletter_bot.errors import TryAgainError
from newsletter_bot.feedback.visits.visitors import Visit
from newsletter_bot.feedback.visits.visitors_store import VisitorsStore, keep_visits
from newsletter_bot.logs import log
from newsletter_bot.settings.tables import TrackingTable, seconds
from newsletter_bot.storage.lock import exclusive
from newsletter_bot.storage.writer import Writer

_ROOM = 20_000  # visits that wait
_AT_ONCE = 500  # of one change
_GATHER = 0.05  # seconds in which visits come together to one change
_PAUSE = 1.0  # seconds before another try, when the database takes nothing
_CLOSING = 5.0  # seconds for what waits at the end
_TELL = 60.0  # seconds between two words about visits that were lost
_TIDY = 3600.0


class VisitCounter:
    """Keeps visits of one newsletter; `note` may be called from any thread."""

    def __init__(
        self,
        engine: Engine,
        writer: Writer,
        table: TrackingTable,
        clock: Callable[[], float] = time.time,
        room: int = _ROOM,
    ) -> None:
        self._engine = engine
        self._store = VisitorsStore(engine, writer)
        self._writer = writer
        self._keep = seconds(table.keep)
        self._clock = clock
        self._room = room
        self._waiting: deque[Visit] = deque()
        self._bell = threading.Condition()
        self._held = 0  # that the thread has taken and not yet kept
        self._closed = False
        self._thread: threading.Thread | None = None
        self._lost, self._told_at = 0, 0.0
        self._tidied_at = 0.0

    def note(self, visit: Visit) -> bool:
        """Hand in a visit without waiting; False when there is no room, and it is lost."""
        with self._bell:
            if self._closed or len(self._waiting) >= self._room:
                self._lose(1)
                return False
            self._waiting.append(visit)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="visits", daemon=True)
                self._thread.start()
            if len(self._waiting) in {1, _AT_ONCE}:  # waking it for each would cost more than each
                self._bell.notify_all()
        return True

    def flush(self, patience: float = _CLOSING) -> bool:
        """Wait until everything handed in was kept; False when it takes too long."""
        with self._bell:
            return self._bell.wait_for(lambda: not self._waiting and not self._held, patience)

    def close(self) -> None:
        """Keep what waits, and take no more."""
        with self._bell:
            self._closed = True
            self._bell.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(_CLOSING)

    def judge(self) -> int:
        """Judge visits whose time has come, and forget what was kept long enough; returns how many.

        One worker does it at a time; killed at any moment and done again, it comes to the same.
        """
        with exclusive(self._engine, "visits") as held:
            return self._judge() if held else 0

    def _judge(self) -> int:
        now = self._clock()
        total = 0
        while count := self._store.judge(int(now)):
            total += count
        if not 0 <= now - self._tidied_at < _TIDY:
            self._store.forget(int(now) - self._keep)
            self._tidied_at = now
        return total

    # ── the thread ───────────────────────────────────────────────────────────────────────────────

    def _work(self) -> None:
        while visits := self._take():
            kept = self._keep_some(visits)
            with self._bell:
                if not kept:
                    self._waiting.extendleft(reversed(visits))
                self._held = 0
                self._bell.notify_all()
                if not kept and self._bell.wait_for(lambda: self._closed, _PAUSE):
                    self._lose(len(self._waiting))
                    return

    def _take(self) -> list[Visit]:
        """Wait for visits; none when there will be no more."""
        with self._bell:
            self._bell.wait_for(lambda: self._waiting or self._closed)
            if not self._closed:
                self._bell.wait_for(lambda: self._closed or len(self._waiting) >= _AT_ONCE, _GATHER)
            count = min(len(self._waiting), _AT_ONCE)
            self._held = count
            return [self._waiting.popleft() for _ in range(count)]

    def _keep_some(self, visits: list[Visit]) -> bool:
        try:
            self._writer.run(partial(keep_visits, visits=visits))
        except TryAgainError:
            return False
        except Exception as error:  # noqa: BLE001 - counting must never end for one bad change
            log("visits.failed", error=error)
            with self._bell:
                self._lose(len(visits))
        return True

    def _lose(self, count: int) -> None:
        self._lost += count
        now = time.monotonic()
        if self._lost and (self._closed or now - self._told_at >= _TELL):
            log("visits.lost", count=self._lost)
            self._lost, self._told_at = 0, now
