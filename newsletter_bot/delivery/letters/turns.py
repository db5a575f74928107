"""When letters may leave through a relay with a rate, beside an issue that takes all of it."""

from __future__ import annotations

import time
from collections.abc import Callable

from newsletter_bot.delivery.relaying.pacing import VALID, Limits
from newsletter_bot.delivery.relaying.pacing_store import PacingStore

_SHARE = 1.5  # turns from one letter to the next: every second one is left to an issue


class Turns:
    """Books the rate's next turn, so that an issue being sent starves no letter.

    Nor is it kept waiting by letters: it gets every second turn. Windows and warm-up count letters,
    which are few and asked for, and do not hold them back.
    """

    def __init__(
        self,
        relay: str,
        limits: Limits,
        store: PacingStore,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._relay = relay
        self._limits = limits
        self._store = store
        self._clock = clock
        self._steady = steady
        rate = limits.rate
        self._apart = 0.0 if rate is None else _SHARE * rate.seconds / rate.count
        self._at: float | None = None  # steady time, as below
        self._not_before = 0.0

    def wait(self) -> float:
        """Return the seconds until the next letter may leave; book its turn when there is none."""
        if self._limits.none:
            return 0.0
        now = self._steady()
        if now < self._not_before:
            return self._not_before - now
        if self._at is None or self._at < now - VALID:
            wall = self._clock()
            self._at = now + self._store.next_turn(self._relay, self._limits, wall) - wall
        return max(0.0, self._at - now)

    def take(self) -> None:
        """Use the turn."""
        self._not_before = self._steady() + self._apart
        self._at = None
