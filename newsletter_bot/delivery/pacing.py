"""How fast messages may leave: one clock shared by all connections of a run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


class Pace:
    """Evenly spaced departures for a rate like "14/s" or "500/h"; "unlimited" never waits."""

    def __init__(self, rate: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._gap = 0.0
        if rate != "unlimited":
            count, _, unit = rate.partition("/")
            self._gap = _SECONDS[unit] / int(count)
        self._clock = clock
        self._lock = threading.Lock()
        self._next = clock()

    def wait(self, stop: threading.Event) -> bool:
        """Wait for this caller's turn; False when `stop` was set meanwhile."""
        if not self._gap:
            return not stop.is_set()
        with self._lock:
            turn = max(self._next, self._clock())
            self._next = turn + self._gap
        return not stop.wait(max(0.0, turn - self._clock()))
