"""What an answer's status says by itself, for all that a provider does not tell more finely."""

from __future__ import annotations

import time

from newsletter_bot.delivery.calls.model import Answer, NotTaken, Sorted, Unsure
from newsletter_bot.outside import retry_after

_SERVER = range(500, 600)
_GOOD = frozenset({*range(200, 300), 303})  # whatever was done: not what success looks like there
_DEFAULT = Sorted()


def by_status(answer: Answer, statuses: Sorted = _DEFAULT) -> NotTaken | Unsure | None:
    """Sort an answer that is no success by its status; None for one that says nothing for all."""
    if answer.status in statuses.later:
        return NotTaken(answer.words, waited(answer))
    if answer.status in statuses.lasting:
        return NotTaken(answer.words, lasting=True)
    if any(answer.status in some for some in (statuses.ambiguous, _GOOD, _SERVER)):
        return Unsure(answer.words, waited(answer))
    return None


def waited(answer: Answer) -> float | None:
    """Return the seconds that a provider wants us to wait, None when it does not say."""
    return retry_after(answer.headers.get("retry-after", ""), time.time())
