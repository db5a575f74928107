"""When the next call may be made: so many a second, and none while the provider has had enough."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

_PREFIXES = ("ratelimit-", "x-ratelimit-", "x-sib-ratelimit-")
_A_DATE = 1_000_000_000  # a reset this large is a time, not a number of seconds
_LONGEST = 60.0  # seconds that a limit's headers may hold us up; a 429 says what is meant


class Pacer:
    """Shared by all connections of a transport."""

    def __init__(self, per_second: float = 0.0) -> None:
        """`per_second` is how many calls a second are allowed, 0 for as many as there are."""
        self._gap = 1 / per_second if per_second else 0.0
        self._lock = threading.Lock()
        self._next = 0.0  # time.monotonic

    def wait(self, stop: threading.Event) -> bool:
        """Wait for the turn of a call; False when there is none because of `stop`."""
        with self._lock:
            turn = max(time.monotonic(), self._next)
            self._next = turn + self._gap
        return not stop.wait(max(0.0, turn - time.monotonic()))

    def hear(self, headers: Mapping[str, str]) -> None:
        """Hold all calls back when an answer says that no more are allowed just now."""
        rest = min(_LONGEST, exhausted(headers, time.time()))
        if rest:
            with self._lock:
                self._next = max(self._next, time.monotonic() + rest)


def exhausted(headers: Mapping[str, str], now: float) -> float:
    """Return for how many seconds an answer's rate headers allow no call, 0 when they allow one."""
    for prefix in _PREFIXES:
        remaining = headers.get(f"{prefix}remaining", "").strip()
        if remaining.isdecimal() and int(remaining) == 0:
            reset = _number(headers.get(f"{prefix}reset", ""))
            return max(0.0, reset - now if reset > _A_DATE else reset)
    return 0.0


def _number(written: str) -> float:
    try:
        return float(written[:20])
    except ValueError:
        return 0.0
