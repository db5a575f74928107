"""When an attempt that failed is repeated, and when it is given up."""

from __future__ import annotations

import random

from newsletter_bot.hooks.model import Answer, HookState, Verdict

_HOUR = 3600
# Seconds before the second attempt, the third, …: Standard Webhooks 1.0.0, "Deliverability and
# reliability".
WAITS = (
    *(5, 300, 1800),
    *(2 * _HOUR, 5 * _HOUR, 10 * _HOUR, 14 * _HOUR, 20 * _HOUR, 24 * _HOUR),
)
_JITTER = 0.2
_LONGEST_REST = 86_400.0  # of a Retry-After


def verdict(answer: Answer, attempt: int, now: float) -> Verdict:
    """Decide what becomes of an event after its `attempt`, counted from 1.

    A Retry-After makes the wait longer, never shorter, and a day at most.
    """
    if answer.taken:
        return Verdict(HookState.DELIVERED, answer, int(now))
    if answer.gone or attempt > len(WAITS):
        return Verdict(HookState.FAILED, answer, int(now))
    wait = WAITS[attempt - 1] * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
    asked = min(answer.retry_after or 0.0, _LONGEST_REST)
    rests_until = int(now + asked) if answer.overloaded else 0
    return Verdict(HookState.PLANNED, answer, int(now + max(wait, asked)), rests_until)
