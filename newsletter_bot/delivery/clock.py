"""The time of day that does not jump while a program runs."""

from __future__ import annotations

import time


class SteadyClock:
    """Seconds since 1970 UTC: the wall clock when it was made, then real seconds from there.

    Somebody who sets the clock an hour forward in the middle of a run expires no delivery, and
    somebody who sets it back does not make a run wait for an hour.
    """

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def __call__(self) -> float:
        """Return the time."""
        return self._offset + time.monotonic()
