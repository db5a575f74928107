"""How many messages at a time a recipients' domain takes: more after successes, half after a no.

Additive increase, multiplicative decrease, as Postfix does it (smtp_destination_concurrency_*); the
figures for "stop" are Gmail's for 4.7.28 (its sender guidelines, 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from newsletter_bot.delivery.model import DeliveryState, Outcome
from newsletter_bot.delivery.relaying.replies import Kind, kind_of

_NO_LIMIT = 1_000_000
_FIRST = 5  # Postfix's default_destination_concurrency initial value
_STOP = 600  # seconds of silence for a domain that says we are far too fast
_FAR_TOO_FAST = re.compile(r"\b4\.7\.28\b")


@dataclass(slots=True)
class Limit:
    """One domain's limit as it stands."""

    connections: int = _FIRST
    not_before: float = 0.0  # seconds since 1970 UTC
    reason: str = ""
    under_way: int = 0
    successes: int = 0  # since the last increase
    older: int = 0  # of those under way, begun before the limit was last lowered

    def admits(self, now: float) -> bool:
        """Tell whether one more message may go there now."""
        return self.under_way < self.connections and now >= self.not_before

    def hear(self, outcome: Outcome, most: int, now: float) -> bool:
        """Learn from an outcome; tells whether the domain asked us to slow down.

        What was on its way already when it asked so teaches nothing: ten messages begun together
        and put off together halve the limit once, and none of them raises it again.
        """
        begun_before = self.older > 0
        self.older = max(0, min(self.older - 1, self.under_way))
        if outcome.state is DeliveryState.DEFERRED and kind_of(outcome.reason) is Kind.THROTTLE:
            if begun_before and not _FAR_TOO_FAST.search(outcome.reason):
                return False
            self._slow_down(outcome.reason, now)
            return True
        if outcome.state is DeliveryState.ACCEPTED and not begun_before:
            self._go_on(most)
        return False

    def _go_on(self, most: int) -> None:
        self.not_before = 0.0
        if self.connections >= most:
            return
        self.successes += 1
        if self.successes >= self.connections:
            self.successes = 0
            self.connections += 1

    def _slow_down(self, reason: str, now: float) -> None:
        self.successes = 0
        self.reason = reason
        self.older = self.under_way
        self.connections = max(1, self.connections // 2)
        if _FAR_TOO_FAST.search(reason):
            self.connections, self.not_before = 1, now + _STOP


class Domains:
    """The limits of every domain that a relay mails to, during one run."""

    def __init__(
        self, most: int, known: dict[tuple[str, str], Limit], free: Collection[str] = ()
    ) -> None:
        """`free` are relays that keep a queue for every domain themselves, as providers do."""
        self.most = most
        self._free = free
        self._limits = {key: one for key, one in known.items() if key[0] not in free}
        for one in self._limits.values():
            one.connections = max(1, min(one.connections, most))  # the setting may be lower now

    def limit(self, relay: str, domain: str) -> Limit:
        """Return a domain's limit on one relay."""
        key = (relay, domain)
        found = self._limits.get(key)
        if found is None:
            first = _NO_LIMIT if relay in self._free else min(_FIRST, self.most)
            found = self._limits[key] = Limit(first)
        return found

    def hear(self, relay: str, domain: str, outcome: Outcome, now: float) -> Limit | None:
        """Learn from an outcome; returns the limit when it is worth remembering."""
        limit = self.limit(relay, domain)
        limit.under_way -= 1
        before = limit.connections, limit.not_before
        slower = limit.hear(outcome, self.most, now)
        recovering = bool(limit.reason) and (limit.connections, limit.not_before) != before
        return limit if slower or recovering else None
