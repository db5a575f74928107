"""When to try again: later and later, never in step with the others."""

from __future__ import annotations

import random
from collections.abc import Callable

_LONGEST = 8 * 3600  # seconds; greylisting clears in minutes, quotas in hours (RFC 5321 4.5.4.1)
_SPREAD = 0.2


def wait_after(attempts: int, first: int, chance: Callable[[], float] = random.random) -> int:
    """Return the seconds to wait after that many attempts: `first`, then double, within a fifth.

    At most eight hours, or `first` if that is longer, before the fifth is added. At least one
    second: a row is never due again in the second it was put off.
    """
    step = min(first << min(max(attempts, 1) - 1, 20), max(first, _LONGEST))
    return max(1, round(step * (1 - _SPREAD + 2 * _SPREAD * chance())))
