"""One run over an issue's due deliveries: several connections, one ledger, nothing twice."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from newsletter_bot.delivery import retry
from newsletter_bot.delivery.composer import Composer
from newsletter_bot.delivery.feed import Feed
from newsletter_bot.delivery.ledger import Ledger, LedgerError, NotOwedError, Ticket
from newsletter_bot.delivery.model import DeliveryState, Message, Outcome, Recipient, refused
from newsletter_bot.delivery.pacing import Pace
from newsletter_bot.delivery.store import LedgerStore
from newsletter_bot.delivery.transports import Connection, RelayError, Transport
from newsletter_bot.errors import DataError

_log = logging.getLogger(__name__)

# Seconds to wait before a relay that failed is asked again; after the last the run ends.
_RELAY_PAUSES = (0.2, 1.0, 3.0)
_TURN = 0.0002  # seconds
_GRACE = 10.0  # seconds that messages in flight get when the run is told to stop


@dataclass
class Run:
    """What a run shares between its threads: when to stop, and why it stopped."""

    stop: threading.Event = field(default_factory=threading.Event)
    trouble: str = ""
    due: int | None = None  # deliveries this run set out to make, once counted

    def give_up(self, reason: str) -> None:
        """End the run for everybody; the first reason is the one shown."""
        if not self.trouble:
            self.trouble = reason
        self.stop.set()


@dataclass
class _OnTheWire:
    """A message pulled by a connection, without an outcome yet."""

    recipient: Recipient
    ticket: Ticket


class Sender:
    """Hands over what is due of one planned issue; made anew for each run."""

    def __init__(
        self,
        store: LedgerStore,
        transport: Transport,
        composer: Composer,
        pace: Pace,
        progress: Callable[[Outcome], None] = lambda _outcome: None,
    ) -> None:
        self._store = store
        self._transport = transport
        self._composer = composer
        self._pace = pace
        self._progress = progress

    def run(self, issue_id: int, connections: int, run: Run) -> None:
        """Send until nothing is due, `run.stop` is set, or the relay gives out.

        Returns with `run.trouble` set when deliveries that were due remain. Outcomes of every
        message that left are on disk by then.
        """
        feed = Feed(self._store, issue_id)
        with _threads_that_take_turns(), Ledger(self._store) as ledger:
            worker = _Worker(self, feed, ledger, run)
            threads = [
                threading.Thread(target=worker.work, name=f"connection-{n}", daemon=True)
                for n in range(connections)
            ]
            for thread in threads:
                thread.start()
            _join(threads, run)

    def connect(self) -> Connection:
        """Open one session with the relay."""
        return self._transport.connect()

    def compose(self, recipient: Recipient) -> Message:
        """Write a message, dated at its first attempt."""
        return self._composer.compose(recipient, recipient.attempted_at or self._store.now())

    def may_leave(self, run: Run) -> bool:
        """Wait for a turn within the rate; False when the run is to stop."""
        return self._pace.wait(run.stop)

    def settle(self, ledger: Ledger, recipient: Recipient, outcome: Outcome) -> None:
        """Record an outcome, and when to try again if it is a deferral."""
        not_before = None
        if outcome.state is DeliveryState.DEFERRED:
            not_before = self._store.now() + retry.wait_after(recipient.attempts + 1)
        ledger.settle(recipient.delivery_id, outcome, not_before)
        self._progress(outcome)


class _Worker:
    """What each connection's thread does."""

    def __init__(self, sender: Sender, feed: Feed, ledger: Ledger, run: Run) -> None:
        self._sender = sender
        self._feed = feed
        self._ledger = ledger
        self._run = run

    def work(self) -> None:
        """Connect and send until the feed is empty; a relay that fails is asked again later."""
        failures = 0
        while not self._run.stop.is_set() and not self._feed.empty:
            conversation = _Conversation(self._sender, self._feed, self._ledger, self._run)
            try:
                conversation.hold()
                failures = 0
            except RelayError as error:
                failures = 0 if conversation.settled else failures + 1
                if error.lasting or failures > len(_RELAY_PAUSES):
                    self._run.give_up(error.reason)
                elif failures:
                    self._run.stop.wait(_RELAY_PAUSES[failures - 1])
            except LedgerError as error:
                self._run.give_up(str(error))
            except NotOwedError:
                pass  # settled by somebody else: this connection ends, the next goes on behind it
            except Exception as error:  # noqa: BLE001 - a thread must never end unheard
                _log.exception("a connection's thread ended")
                self._run.give_up(f"unexpected {type(error).__name__}: {error}")


class _Conversation:
    """One connection's messages, and which of them have no outcome yet."""

    def __init__(self, sender: Sender, feed: Feed, ledger: Ledger, run: Run) -> None:
        self._sender = sender
        self._feed = feed
        self._ledger = ledger
        self._run = run
        self._open: dict[int, _OnTheWire] = {}
        self.settled = 0

    def hold(self) -> None:
        """Deliver until the feed or the connection ends; raises RelayError, LedgerError."""
        try:
            with self._sender.connect() as connection:
                for message, outcome in connection.deliver(self._messages(), self._before_final):
                    entry = self._open.pop(message.delivery_id)
                    self._sender.settle(self._ledger, entry.recipient, outcome)
                    self.settled += 1
        except (RelayError, NotOwedError):
            self._give_back()
            raise

    def _messages(self) -> Iterator[Message]:
        while not self._run.stop.is_set():
            due = self._feed.take()
            if due is None:
                return
            if due.skip:
                skipped = Outcome(DeliveryState.SKIPPED, due.skip)
                self._sender.settle(self._ledger, due.recipient, skipped)
                continue
            if not self._sender.may_leave(self._run):
                self._feed.give_back(due.recipient)
                return
            message = self._composed(due.recipient)
            if message is not None:
                yield message

    def _composed(self, recipient: Recipient) -> Message | None:
        try:
            message = self._sender.compose(recipient)
        except (DataError, UnicodeError) as error:
            self._sender.settle(self._ledger, recipient, refused(f"cannot be written: {error}"))
            return None
        ticket = self._ledger.start(recipient.delivery_id)
        self._open[recipient.delivery_id] = _OnTheWire(recipient, ticket)
        return message

    def _before_final(self, message: Message) -> None:
        self._open[message.delivery_id].ticket.wait()

    def _give_back(self) -> None:
        for entry in self._open.values():
            try:
                entry.ticket.wait()
            except (LedgerError, NotOwedError):
                continue
            self._ledger.release(entry.recipient.delivery_id)
            self._feed.give_back(entry.recipient)
        self._open.clear()


@contextmanager
def _threads_that_take_turns() -> Iterator[None]:
    """Let the ledger's thread in quickly.

    SQLite gives the interpreter up at every row, and by default waits 5 ms to get it back from a
    thread that composes messages.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(_TURN)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _join(threads: list[threading.Thread], run: Run) -> None:
    """Wait for the threads; once told to stop, only as long as messages in flight may take."""
    for thread in threads:
        while thread.is_alive() and not run.stop.is_set():
            thread.join(0.1)
    end = time.monotonic() + _GRACE
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
