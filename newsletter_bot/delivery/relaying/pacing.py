"""How fast a relay may be fed: rate, sliding windows and warm-up, all remembered by the database.

The rate is a token bucket in its virtual form (the generic cell rate algorithm): one number, the
time from which the next message is allowed, says how full the bucket is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_BURST = 0.25  # seconds of the rate that are taken from the database at once, at most
VALID = 1  # seconds within which a departure that was taken must happen, or is given back


@dataclass(frozen=True, slots=True)
class Window:
    """At most `count` messages in any `seconds`."""

    count: int
    seconds: int

    @classmethod
    def read(cls, text: str) -> Window:
        """Read "500/h"."""
        count, _, unit = text.partition("/")
        return cls(int(count), _SECONDS[unit])


@dataclass(frozen=True, slots=True)
class WarmUp:
    """Daily numbers of a sender that nobody knows yet; after the last day there is no limit."""

    begin: date
    daily: Sequence[int]
    zone: ZoneInfo

    def limit(self, now: float) -> int | None:
        """Return how many messages may leave on the day of `now`."""
        day = (datetime.fromtimestamp(now, self.zone).date() - self.begin).days
        if day < 0:
            return 0
        return self.daily[day] if day < len(self.daily) else None

    def today(self, now: float) -> tuple[float, float]:
        """Return the beginning and the end of that day, in seconds since 1970 UTC."""
        day = datetime.fromtimestamp(now, self.zone).date()
        midnight = datetime.combine(day, time(), self.zone)
        tomorrow = datetime.combine(day + timedelta(days=1), time(), self.zone)
        return midnight.timestamp(), tomorrow.timestamp()


@dataclass(frozen=True, slots=True)
class Limits:
    """All that holds a relay back."""

    rate: Window | None = None
    windows: Sequence[Window] = ()
    warm_up: WarmUp | None = None

    @property
    def none(self) -> bool:
        """True when messages may leave as fast as they can."""
        return self.rate is None and not self.windows and self.warm_up is None

    @property
    def chunk(self) -> int:
        """How many messages to reserve at once: they leave together.

        A part of the rate's count without remainder, so that no stretch of its seconds holds more.
        """
        if self.rate is None:
            return min([20, *(one.count for one in self.windows)])
        most = max(1, int(self.rate.count / self.rate.seconds * _BURST))
        return next(one for one in range(most, 0, -1) if self.rate.count % one == 0)


@dataclass(frozen=True, slots=True)
class Grant:
    """The database's answer: how many may leave now, else from when on, and why not yet."""

    count: int
    not_before: float = 0.0  # seconds since 1970 UTC
    warming_up: bool = False


class Reservations(Protocol):
    """Where departures are counted for every process that uses the relay."""

    def reserve(self, relay: str, limits: Limits, want: int, now: float) -> Grant:
        """Take up to `want` departures."""
        ...

    def give_back(self, relay: str, count: int, taken_at: float) -> None:
        """Return departures that did not happen, to the time they were taken."""
        ...


class Pace:
    """One relay's limits as a run sees them."""

    def __init__(self, relay: str, limits: Limits, reservations: Reservations) -> None:
        self._relay = relay
        self._limits = limits
        self._reservations = reservations
        self._granted = 0
        self._granted_at = 0.0  # seconds since 1970 UTC
        self.not_before = 0.0  # the same
        self.warming_up = False  # it is the warm-up that says so: until tomorrow

    def allows(self, now: float) -> bool:
        """Tell whether a message may leave now."""
        if self._limits.none:
            return True
        if not self._granted_at <= now <= self._granted_at + VALID:
            self.end(now)
        if self._granted > 0:
            return True
        if now < self.not_before:
            return False
        grant = self._reservations.reserve(self._relay, self._limits, self._limits.chunk, now)
        self._granted, self._granted_at = grant.count, now
        self.not_before, self.warming_up = grant.not_before, grant.warming_up
        return self._granted > 0

    def depart(self) -> None:
        """Count a message that leaves."""
        if not self._limits.none:
            self._granted -= 1

    def end(self, now: float) -> None:
        """Give back what was reserved and not used."""
        if self._granted > 0:
            self._reservations.give_back(self._relay, self._granted, min(now, self._granted_at))
            self._granted = 0
