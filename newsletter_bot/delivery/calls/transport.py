"""A transport that hands messages over by HTTP calls, as its provider writes and reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from newsletter_bot.delivery.calls.model import Finding, Provider
from newsletter_bot.delivery.threaded import ThreadedSession
from newsletter_bot.delivery.transports import BeforeFinal


@dataclass(frozen=True, slots=True)
class CallTransport:
    """One provider; `timeout` is how long an answer may take (seconds)."""

    provider: Provider
    timeout: float = 60.0

    def open(self, before_final: BeforeFinal, wake: Callable[[], None]) -> ThreadedSession:
        """Begin a session: a thread that makes one call after the other."""
        raise NotImplementedError

    def check(self, domain: str) -> Sequence[Finding]:
        """Find out whether the credentials are good and may send for a domain."""
        raise NotImplementedError
