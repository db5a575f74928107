"""A transport that hands messages over by HTTP calls, as its provider writes and reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import httpx

from newsletter_bot.delivery.calls.caller import Caller, NoAnswerError, NotSentError
from newsletter_bot.delivery.calls.chunks import ChunkBook
from newsletter_bot.delivery.calls.connection import CallConnection
from newsletter_bot.delivery.calls.model import Answer, Finding, Provider, Request
from newsletter_bot.delivery.calls.pacer import Pacer
from newsletter_bot.delivery.threaded import ThreadedSession
from newsletter_bot.delivery.transports import BeforeFinal


@dataclass(frozen=True, slots=True)
class CallTransport:
    """One provider; `timeout` is how long a call may take (seconds).

    `per_second` is how many calls a second all connections make together, 0 for no limit.
    """

    provider: Provider
    timeout: float = 60.0
    per_second: float = 0.0
    book: ChunkBook | None = None
    pacer: Pacer = field(init=False)

    def __post_init__(self) -> None:
        """Let all sessions share one pace."""
        object.__setattr__(self, "pacer", Pacer(self.per_second))

    def with_book(self, book: ChunkBook) -> CallTransport:
        """Return this transport as one whose chunks are written down."""
        return replace(self, book=book)

    def open(self, before_final: BeforeFinal, wake: Callable[[], None]) -> ThreadedSession:
        """Begin a session: a thread that makes one call after the other."""
        return ThreadedSession(self.connect, before_final, wake, self.provider.shape.most)

    def connect(self) -> CallConnection:
        """Make a connection; nothing is sent before the first call."""
        return CallConnection(self.provider, Caller(self.timeout), self.pacer, self.book)

    def check(self, domain: str) -> Sequence[Finding]:
        """Find out whether the credentials are good and may send for a domain; sends nothing."""
        caller = Caller(min(self.timeout, 30.0))

        def ask(request: Request) -> Answer:
            try:
                answer = caller.call(request)
            except (NotSentError, NoAnswerError) as error:
                raise httpx.ConnectError(str(error)) from error
            if answer.is_page:
                raise httpx.RemoteProtocolError(answer.words)
            return answer

        try:
            return self.provider.check(ask, domain)
        except httpx.HTTPError as error:
            return [
                Finding(
                    well=False,
                    sentence=f"The provider's API does not answer: {error}.",
                    next_step="Check the network, and the option url of the transport.",
                )
            ]
        finally:
            caller.close()
