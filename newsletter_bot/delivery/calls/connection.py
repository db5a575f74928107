"""One connection of a transport that makes calls: batches go out, outcomes come back together."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from sqlalchemy.exc import DBAPIError

from newsletter_bot.delivery.calls.attempts import Attempts
from newsletter_bot.delivery.calls.caller import Caller
from newsletter_bot.delivery.calls.chunks import ChunkBook
from newsletter_bot.delivery.calls.model import NotTaken, Provider, Request, Unsure
from newsletter_bot.delivery.calls.pacer import Pacer
from newsletter_bot.delivery.inbox import Inbox
from newsletter_bot.delivery.model import Message, Outcome, unknown
from newsletter_bot.delivery.threaded import Announce
from newsletter_bot.delivery.transports import ConnectionEndedError, RelayError


class CallConnection:
    """See threaded.Connection."""

    def __init__(
        self, provider: Provider, caller: Caller, pacer: Pacer, book: ChunkBook | None
    ) -> None:
        self._provider = provider
        self._caller = caller
        self._pacer = pacer
        self._book = book

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._caller.close()

    def deliver(
        self, inbox: Inbox, announce: Announce
    ) -> Iterator[Sequence[tuple[Message, Outcome]]]:
        """Make a call for each batch; after one that is unsure the relay rests."""
        attempts = Attempts(self._provider, self._caller, self._pacer, inbox.hurried)
        shape = self._provider.shape
        while batch := inbox.gather(shape.most, shape.most_bytes):
            request = self._frozen(batch, inbox)
            found, failed = attempts.make(request, batch, lambda: announce(batch))
            if not isinstance(found, NotTaken):
                yield list(zip(batch, _outcomes(found, batch), strict=True))
            if failed is not None:
                raise _error(failed, hurried=inbox.hurried.is_set())

    def _frozen(self, batch: Sequence[Message], inbox: Inbox) -> Request:
        """Write the call, and have it on disk where the provider knows keys."""
        if not self._provider.shape.key_lasts:
            return self._provider.request(batch, "")
        if self._book is None:  # outside the ledger: the key serves attempts alone
            return self._provider.request(batch, f"single/{uuid.uuid4()}")
        key = self._book.new_key()
        request = self._provider.request(batch, key)
        try:
            with inbox.acting():
                self._book.freeze(key, batch, request)
        except DBAPIError as error:
            raise RelayError(f"a chunk cannot be written down: {error.orig}") from error
        return request


def _error(failed: NotTaken, *, hurried: bool) -> RelayError:
    if hurried and not failed.lasting:  # it was not waited for, which is no failure of the relay
        return ConnectionEndedError(failed.reason)
    return RelayError(failed.reason, lasting=failed.lasting, wait=failed.wait)


def _outcomes(found: Sequence[Outcome] | Unsure, batch: Sequence[Message]) -> Sequence[Outcome]:
    if isinstance(found, Unsure):
        return [unknown(found.reason)] * len(batch)
    return found
