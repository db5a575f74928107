"""The circuit breaker: refusals that are our own fault stop a run before they spoil it.

Thresholds: a complaint about us in more than 5 % of the first 200 messages, at least three; or
three refusals in the same words for what the message holds, which will be everybody's.
"""

from __future__ import annotations

from collections import Counter

from newsletter_bot.delivery.model import DeliveryState, Outcome
from newsletter_bot.delivery.relaying.replies import Kind, kind_of, without_identifiers

_FIRST = 200  # messages that are watched
_FEW = 3
_SHARE = 0.05


class Breaker:
    """Watches the first outcomes of a run, until it has broken it off."""

    def __init__(self) -> None:
        self._seen = 0
        self._about_us = 0
        self._content: Counter[str] = Counter()

    def hear(self, outcome: Outcome) -> str | None:
        """Take an outcome into account; returns why the run must pause, if it must."""
        if self._seen >= _FIRST:
            return None
        self._seen += 1
        if outcome.state is not DeliveryState.REFUSED:
            return None
        why = self._refused(outcome.reason)
        if why is not None:
            self._seen = _FIRST  # messages still in flight say nothing new
        return why

    def _refused(self, reason: str) -> str | None:
        match kind_of(reason):
            case Kind.ABOUT_US:
                return self._against_us(reason)
            case Kind.CONTENT:
                return self._against_content(reason)
            case _:
                return None

    def _against_us(self, reason: str) -> str | None:
        self._about_us += 1
        if self._about_us < _FEW or self._about_us <= self._seen * _SHARE:
            return None
        return (
            f"{self._about_us} of the first {self._seen} messages were refused for reasons about"
            f" us, the last with: {reason}"
        )

    def _against_content(self, reason: str) -> str | None:
        words = without_identifiers(reason)
        self._content[words] += 1
        if self._content[words] < _FEW:
            return None
        return f"{_FEW} messages were refused for what they hold, in the same words: {reason}"
