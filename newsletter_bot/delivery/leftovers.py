"""Calls that an earlier run left without an answer, made again as they were: same key, same bytes.

A provider that knows the key answers as it would have then, and sends nothing twice.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import Engine

from newsletter_bot.delivery.calls.attempts import Attempts
from newsletter_bot.delivery.calls.caller import Caller
from newsletter_bot.delivery.calls.chunks import Chunk, ChunkBook, payload_of
from newsletter_bot.delivery.calls.model import NotTaken, Request, Unsure
from newsletter_bot.delivery.calls.transport import CallTransport
from newsletter_bot.delivery.chunks_store import UNSETTLED, ChunkStore, issues_left
from newsletter_bot.delivery.composing.composer import Composer
from newsletter_bot.delivery.means import relays_of
from newsletter_bot.delivery.model import DeliveryState, Message, Outcome, Recipient, Settle
from newsletter_bot.delivery.planning.plan_store import IssueRow
from newsletter_bot.delivery.relaying.pacing_store import PacingStore
from newsletter_bot.delivery.relaying.relays import Relay
from newsletter_bot.delivery.relaying.retry import wait_after
from newsletter_bot.delivery.run import Run
from newsletter_bot.delivery.store import LedgerStore
from newsletter_bot.delivery.telling_store import Telling
from newsletter_bot.delivery.transports import Transport
from newsletter_bot.errors import DataError
from newsletter_bot.settings import Settings
from newsletter_bot.settings.tables import seconds

_AGAIN = 300  # seconds
_SPARE = 60  # seconds: a key near its end may be forgotten while the call is on its way
# An event may have shown of some meanwhile that they were accepted: it is the same call for them.
_MAY_HAVE_IT = (*UNSETTLED, DeliveryState.ACCEPTED)
_OWED = (DeliveryState.PLANNED, DeliveryState.SENDING)


@dataclass(frozen=True, slots=True)
class OpenCalls:
    """Finds the chunks of issues, and gives relays the books that they are written in."""

    engine: Engine
    settings: Settings
    pacing: PacingStore
    store: LedgerStore
    clock: Callable[[], float]  # the wall's
    _asked: dict[str, float] = field(default_factory=dict)  # issue → when `due` said so

    def due(self) -> list[str]:
        """Return the issues of which calls should be made again; each every five minutes."""
        now = self.clock()
        found = [one for one in issues_left(self.engine) if self._asked.get(one, 0) <= now - _AGAIN]
        self._asked.update(dict.fromkeys(found, now))
        return found

    def books(self, issue: IssueRow, relays: Sequence[Relay]) -> list[ChunkBook]:
        """Let relays whose provider knows keys write down their chunks."""
        books = []
        for relay in relays:
            transport = relay.transport
            if isinstance(transport, CallTransport) and transport.provider.shape.key_lasts:
                books.append(ChunkBook(relay.name, issue.identity, self._chunks(issue)))
                relay.transport = transport.with_book(books[-1])
        return books

    def left(
        self, issue: IssueRow, composer: Callable[[IssueRow], Composer], run: Run
    ) -> Leftovers | None:
        """Return what settles the calls that an earlier run left open; None where there are none.

        It is stopped with the run.
        """
        chunks = self._chunks(issue)
        chunks.forget()
        if not chunks.open():
            return None
        stop = threading.Event()
        run.woken_by(stop.set)
        if run.stopping:
            stop.set()
        return Leftovers(
            store=chunks,
            transports={one.name: one.transport for one in relays_of(self.settings, self.pacing)},
            read=lambda ids: self.store.members(issue.id, ids),
            composer=composer(issue),
            retry_after=seconds(self.settings.transport.retry_after),
            stop=stop,
        )

    def _chunks(self, issue: IssueRow) -> ChunkStore:
        return ChunkStore(self.engine, issue.id, self.clock, Telling(self.settings))


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What settles the open chunks of one issue; used under the issue's lock."""

    store: ChunkStore
    transports: Mapping[str, Transport]  # by relay
    read: Callable[[Sequence[int]], Sequence[Recipient]]  # deliveries as they stand now
    composer: Composer
    retry_after: int  # seconds
    stop: threading.Event

    def finish(self) -> None:
        """Make open calls again where that is safe, and settle their deliveries.

        Safe is: within the life of the key, the same bytes, and everybody still wants the message.
        A relay of which one call fails is left alone; its other chunks stay open.
        """
        failed: set[str] = set()
        found = self.store.open()
        members = Counter(one for chunk in found for one in chunk.deliveries)
        for chunk in found:
            if self.stop.is_set() or chunk.relay in failed:
                continue
            # None is in two of them; but if one were, a call could be the second for somebody.
            alone = all(members[one] == 1 for one in chunk.deliveries)
            call = self._call(chunk) if alone else None
            if call is None:
                self.store.end([chunk.key])
            elif not self._settled(chunk, *call):
                failed.add(chunk.relay)

    def drop_owed(self) -> None:
        """End chunks that still hold somebody who is owed the message: another call will send it.

        Call it once what an earlier run left is settled one way or the other.
        """
        for chunk in self.store.open():
            states = self.store.states(chunk.deliveries)
            if any(one in _OWED for one in states.values()):
                self.store.end([chunk.key])

    def _call(self, chunk: Chunk) -> tuple[CallTransport, Request, list[Message]] | None:
        """Write a chunk's call again; None where it would be another, or must not be made."""
        transport = self.transports.get(chunk.relay)
        if not isinstance(transport, CallTransport) or not self._lives(chunk, transport):
            return None
        states = self.store.states(chunk.deliveries)
        found = {states.get(one) for one in chunk.deliveries}
        if not found <= {*_MAY_HAVE_IT} or found == {DeliveryState.ACCEPTED}:
            return None
        messages = self._messages(chunk)
        if messages is None:
            return None
        request = transport.provider.request(messages, chunk.key)
        same = payload_of(request) == chunk.payload
        return (transport, request, messages) if same else None

    def _lives(self, chunk: Chunk, transport: CallTransport) -> bool:
        age = self.store.now() - chunk.frozen_at
        return 0 <= age < transport.provider.shape.key_lasts - _SPARE

    def _messages(self, chunk: Chunk) -> list[Message] | None:
        people = {one.delivery_id: one for one in self.read(chunk.deliveries)}
        found = [people.get(one) for one in chunk.deliveries]
        messages = []
        for one in found:
            if one is None or one.unwanted or one.attempted_at is None:
                return None
            try:
                messages.append(self.composer.compose(one, one.attempted_at))
            except (DataError, UnicodeError):
                return None
        return messages

    def _settled(
        self, chunk: Chunk, transport: CallTransport, request: Request, messages: list[Message]
    ) -> bool:
        before = self.store.states(chunk.deliveries)
        caller = Caller(transport.timeout)
        try:
            attempts = Attempts(transport.provider, caller, transport.pacer, self.stop)
            # An earlier run may never have come to the call: whoever was owed the message by that
            # must not be owed it any more once this one leaves.
            found, _ = attempts.make(request, messages, partial(self.store.doubt, chunk))
        finally:
            caller.close()
        if isinstance(found, NotTaken):
            self.store.trust(before)
        if isinstance(found, NotTaken | Unsure):
            return False
        pairs = zip(chunk.deliveries, found, strict=True)
        self.store.settle(chunk, [self._change(chunk, *one) for one in pairs])
        return True

    def _change(self, chunk: Chunk, row: int, outcome: Outcome) -> Settle:
        later = outcome.state is DeliveryState.DEFERRED
        not_before = int(self.store.now()) + wait_after(1, self.retry_after) if later else None
        return Settle(row, outcome, not_before, chunk.relay)
