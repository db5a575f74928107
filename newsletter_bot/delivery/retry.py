"""When to try again: later and later, never in step with the others."""

from __future__ import annotations

import random
from collections.abc import Callable

# Greylisting clears after 5 to 15 minutes; quotas after hours (RFC 5321 section 4.5.4.1).
_STEPS = (300, 900, 1800, 3600, 7200, 14400, 28800)
_SPREAD = 0.2


def wait_after(attempts: int, chance: Callable[[], float] = random.random) -> int:
    """Return the seconds to wait after that many attempts, within a fifth of the schedule."""
    step = _STEPS[min(max(attempts, 1), len(_STEPS)) - 1]
    return round(step * (1 - _SPREAD + 2 * _SPREAD * chance()))
