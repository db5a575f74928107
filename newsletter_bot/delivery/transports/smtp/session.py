"""One SMTP session that never waits: what it expects the server to say next is a queue.

Each command sent appends the reply it will get; each reply takes the first of them. PIPELINING
(RFC 2920) is then nothing but sending the next commands before the replies are in.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from newsletter_bot.delivery.model import Message, Outcome, deferred, unknown
from newsletter_bot.delivery.relaying.replies import SERVICE_CLOSING, Kind, kind_of
from newsletter_bot.delivery.transports import BeforeFinal, ConnectionEndedError, RelayError
from newsletter_bot.delivery.transports.smtp.greeting import Address, Greeting, Login, reason_of
from newsletter_bot.delivery.transports.smtp.reply import GO_ON, NoReplyError, Reply, ReplyReader
from newsletter_bot.delivery.transports.smtp.transaction import (
    Step,
    Transaction,
    dot_stuffed,
    impossible,
    mail,
    recipient,
)
from newsletter_bot.delivery.transports.smtp.wire import Patience, Wire

_AT_ONCE = 2  # messages without an outcome: one whose end is on the way, one whose envelope is
_MESSAGES = 1000  # then a new session: no server has to keep us for ever
_AGE = 300.0  # seconds, Postfix's smtp_connection_reuse_time_limit
_TOO_LARGE = 552  # RFC 1870 section 6.1
_GOODBYE = 2.0  # seconds to wait for the answer to QUIT


class SmtpSession:
    """See transports.Session."""

    def __init__(
        self,
        address: Address,
        login: Login | None,
        patience: Patience,
        before_final: BeforeFinal,
        wake: Callable[[], None],
    ) -> None:
        self.error: RelayError | None = None
        self.closed = False
        self._patience = patience
        self._before_final = before_final
        self._greeting = Greeting(address, login, patience.command, wake)
        self._wire: Wire | None = None  # once greeted
        self._features: dict[str, str] = {}
        self._pipelining = False
        self._replies = ReplyReader()
        self._held: dict[int, Transaction] = {}  # given, without an outcome
        self._waiting: deque[Transaction] = deque()  # of those, envelopes that were not sent
        self._expected: deque[tuple[Step, Transaction | None]] = deque()
        self._outcomes: list[tuple[Message, Outcome]] = []
        self._finished = 0  # messages that came to an outcome: a 421 after one is normal
        self._left = _MESSAGES
        self._begun = time.monotonic()
        self._mailing = False  # a transaction is open that has not reached its final dot
        self._aborted = False  # the last one was refused midway and must be reset
        self._finishing = False

    # ── what the sender asks ─────────────────────────────────────────────────────────────────

    @property
    def room(self) -> int:
        """See Session."""
        shut = self._wire is None or self._finishing or self.closed
        return 0 if shut else min(_AT_ONCE - len(self._held), self._left)

    @property
    def file(self) -> int | None:
        """See Session."""
        return None if self._wire is None or self.closed else self._wire.file

    @property
    def writing(self) -> bool:
        """See Session."""
        return bool(self._wire and self._wire.unsent)

    @property
    def deadline(self) -> float | None:
        """See Session."""
        if self.closed or self._wire is None or not (self._expected or self._wire.unsent):
            return None
        return self._wire.moved + self._wait(self._wire)

    def give(self, message: Message) -> None:
        """See Session."""
        self._left -= 1
        transaction = self._held[message.delivery_id] = Transaction(message)
        self._waiting.append(transaction)

    def clear(self, message: Message) -> None:
        """See Session."""
        self._held[message.delivery_id].cleared = True

    def withdraw(self, message: Message) -> None:
        """See Session."""
        transaction = self._held[message.delivery_id]
        if transaction in self._waiting:
            self._waiting.remove(transaction)
            del self._held[message.delivery_id]
        else:
            transaction.withdrawn = self._finishing = True

    def listen(self) -> list[tuple[Message, Outcome]]:
        """See Session."""
        return self._attempt(self._listen)

    def speak(self) -> list[tuple[Message, Outcome]]:
        """See Session."""
        return self._attempt(self._speak)

    def hurry(self) -> None:
        """See Session; nothing is waited for here but answers."""

    def finish(self) -> None:
        """See Session."""
        self._finishing = True

    def abandon(self) -> list[tuple[Message, Outcome]]:
        """See Session."""
        self._end(RelayError("the run ended"))
        return self._attempt(lambda _wire: None)

    # ── from the greeting to the goodbye ─────────────────────────────────────────────────────

    def _opened(self) -> Wire | None:
        if self._wire is None:
            greeted = self._greeting.result()
            if greeted is not None:
                self._wire = Wire(greeted.socket)
                self._features = greeted.features
                self._pipelining = "pipelining" in self._features
                self._begun = time.monotonic()
        return self._wire

    def _attempt(self, action: Callable[[Wire], None]) -> list[tuple[Message, Outcome]]:
        if not self.closed:
            try:
                wire = self._opened()
                if wire is not None:
                    action(wire)
            except RelayError as error:
                self._end(error)
            except OSError as error:
                self._end(self._lost(reason_of(error)))
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def _speak(self, wire: Wire) -> None:
        self._refuse_impossible()
        self._send_invited(wire)
        self._begin_next(wire)
        self._say_goodbye(wire)
        try:
            wire.flush()
        except OSError:
            self._listen(wire)  # what it said before it hung up tells more than the error
            raise
        if (self._expected or wire.unsent) and time.monotonic() > wire.moved + self._wait(wire):
            raise self._lost("no answer in time")

    def _say_goodbye(self, wire: Wire) -> None:
        if self._left == 0 or time.monotonic() > self._begun + _AGE:
            self._finishing = True
        if self._finishing and not self._held and not self._expected:
            self._expect(wire, Step.QUIT)
            wire.put(b"QUIT\r\n")

    def _wait(self, wire: Wire) -> float:
        step, transaction = self._expected[0] if self._expected else (None, None)
        if step is Step.QUIT:
            return _GOODBYE
        after_dot = transaction is not None and transaction.has_left(wire)
        return self._patience.data if after_dot else self._patience.command

    def _end(self, error: RelayError | None) -> None:
        """Close; a message whose final dot has left may have been delivered."""
        if self.closed:
            return
        self.closed = True
        self._greeting.abandon()
        if self._wire is None:
            self.error = error
            return
        self._wire.close()
        self.error = None if self._expected and self._expected[0][0] is Step.QUIT else error
        for step, transaction in self._expected:
            if step is Step.FINAL and transaction is not None and transaction.has_left(self._wire):
                why = "the server ended the session" if error is None else error.reason
                lost = unknown(f"the connection was lost after the final dot: {why}")
                self._settle(transaction, lost)

    # ── what we say ──────────────────────────────────────────────────────────────────────────

    def _begin_next(self, wire: Wire) -> None:
        """Send the next envelope, whole where the server takes it so."""
        if self._mailing or not self._waiting or (self._expected and not self._pipelining):
            return
        if impossible(self._waiting[0].message, self._features) is not None:
            return  # to be refused once the ledger knows of it
        if self._aborted:
            self._aborted = False
            self._expect(wire, Step.RSET)
            wire.put(b"RSET\r\n")
            if not self._pipelining:
                return
        self._mailing = True
        transaction = self._waiting.popleft()
        self._expect(wire, Step.MAIL, transaction)
        wire.put(mail(transaction.message, self._features))
        if self._pipelining:
            self._expect(wire, Step.RCPT, transaction)
            self._expect(wire, Step.DATA, transaction)
            wire.put(recipient(transaction.message), b"DATA\r\n")

    def _refuse_impossible(self) -> None:
        for transaction in [one for one in self._waiting if one.cleared]:
            no = impossible(transaction.message, self._features)
            if no is not None:
                self._waiting.remove(transaction)
                self._settle(transaction, no)

    def _send_invited(self, wire: Wire) -> None:
        """Send the content that the server waits for, if it may be delivered by now."""
        for transaction in self._held.values():
            if transaction.invited and transaction.withdrawn:
                # Whatever we said now would be taken for its content.
                raise ConnectionEndedError("a message was withdrawn")
            if transaction.invited and transaction.cleared:
                transaction.invited = False
                self._send_body(transaction, wire)
                return

    def _send_body(self, transaction: Transaction, wire: Wire) -> None:
        """Send the message to its final dot; the next envelope goes right behind, in one write.

        Two segments would be answered by two, the second of which waits for our delayed
        acknowledgement (RFC 896, RFC 1122 section 4.2.3.2), 40 ms on Linux.
        """
        self._mailing = False
        self._expect(wire, Step.FINAL, transaction)
        wire.put(dot_stuffed(transaction.message), b".\r\n")
        transaction.end = wire.queued
        wire.announce(lambda: self._before_final(transaction.message))

    def _expect(self, wire: Wire, step: Step, transaction: Transaction | None = None) -> None:
        if not self._expected:
            wire.moved = time.monotonic()
        self._expected.append((step, transaction))

    # ── what the server says ─────────────────────────────────────────────────────────────────

    def _listen(self, wire: Wire) -> None:
        data, hung_up = wire.read()
        try:
            for reply in self._replies.feed(data):
                self._hear(reply, wire)
        except NoReplyError as error:
            raise RelayError(f"the relay does not speak SMTP: {error}") from error
        if hung_up and not self.closed:
            raise self._lost("it hung up")

    def _hear(self, reply: Reply, wire: Wire) -> None:
        if not self._expected:
            raise self._lost(str(reply))
        step, transaction = self._expected.popleft()
        if step is Step.QUIT:
            self._end(None)
            return
        if step is Step.FINAL and transaction is not None:
            self._hear_final(transaction, reply, wire)
        if reply.code == SERVICE_CLOSING:
            raise self._lost(str(reply))
        match step, transaction:
            case Step.MAIL, Transaction():
                self._hear_mail(transaction, reply, wire)
            case Step.RCPT, Transaction():
                self._hear_recipient(transaction, reply, wire)
            case Step.DATA, Transaction():
                self._hear_data(transaction, reply, wire)
            case Step.LONE_DOT, Transaction(outcome=Outcome() as outcome):
                self._abort(transaction, outcome)
            case _:
                pass  # RSET: whatever it says, MAIL will tell

    def _hear_mail(self, transaction: Transaction, reply: Reply, wire: Wire) -> None:
        if not reply.positive:
            if reply.code != _TOO_LARGE and kind_of(str(reply)) is not Kind.CONTENT:
                why = f"the relay refused our sender address: {reply}"
                raise RelayError(why, lasting=reply.lasting)
            transaction.outcome = reply.outcome()  # 552 to SIZE: this message, not the sender
        self._go_on(transaction, Step.RCPT, recipient(transaction.message), wire)

    def _hear_recipient(self, transaction: Transaction, reply: Reply, wire: Wire) -> None:
        if not reply.positive and transaction.outcome is None:
            transaction.outcome = reply.outcome()
        self._go_on(transaction, Step.DATA, b"DATA\r\n", wire)

    def _go_on(self, transaction: Transaction, step: Step, command: bytes, wire: Wire) -> None:
        """Send the next command, where it was not sent already."""
        if self._pipelining:
            return
        if transaction.outcome is not None:
            self._abort(transaction, transaction.outcome)
            return
        self._expect(wire, step, transaction)
        wire.put(command)

    def _hear_data(self, transaction: Transaction, reply: Reply, wire: Wire) -> None:
        if reply.code != GO_ON:
            told = deferred(f"no 354 but {reply}") if reply.positive else reply.outcome()
            self._abort(transaction, transaction.outcome or told)
        elif transaction.outcome is None:
            transaction.invited = True
        else:
            # RFC 2920 section 3.1: a server that goes on without a recipient gets a lone dot.
            self._expect(wire, Step.LONE_DOT, transaction)
            wire.put(b".\r\n")

    def _hear_final(self, transaction: Transaction, reply: Reply, wire: Wire) -> None:
        if transaction.has_left(wire):
            self._settle(transaction, reply.outcome())
        elif reply.positive:
            raise RelayError(f"the relay accepted a message before its end: {reply}")
        else:
            self._settle(transaction, reply.outcome())
            raise ConnectionEndedError(f"the relay refused a message before its end: {reply}")

    def _abort(self, transaction: Transaction, outcome: Outcome) -> None:
        self._mailing = False
        self._aborted = True
        self._settle(transaction, outcome)

    def _settle(self, transaction: Transaction, outcome: Outcome) -> None:
        self._held.pop(transaction.message.delivery_id, None)
        self._finished += 1
        if not transaction.withdrawn:
            self._outcomes.append((transaction.message, outcome))

    def _lost(self, reason: str) -> RelayError:
        # Servers that limit messages a connection say 421 or just hang up between two of them.
        if self._finished:
            return ConnectionEndedError(f"the relay ended the session: {reason}")
        return RelayError(f"the connection was lost: {reason}")
