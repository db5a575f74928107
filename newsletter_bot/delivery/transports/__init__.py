"""Ways to hand messages over, one file each, found by discovery: a new file is a new transport."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from newsletter_bot.delivery.calls.model import Finding
from newsletter_bot.delivery.model import Message, Outcome
from newsletter_bot.settings.kinds import Kinds, choose
from newsletter_bot.settings.tables import RelayTable, Table


class RelayError(Exception):
    """The relay, not a recipient, failed: what it held without an outcome was not delivered.

    `lasting` failures (login refused, sender refused) are not cured by trying again. `wait` is how
    long the relay asked to be left alone (seconds), where it did.
    """

    def __init__(self, reason: str, *, lasting: bool = False, wait: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.lasting = lasting
        self.wait = wait


class ConnectionEndedError(RelayError):
    """The server ended the session between messages, as many do: connect again at once."""


BeforeFinal = Callable[[Message], None]


class Session(Protocol):
    """One session with a relay. The sender's thread alone uses it, and never waits inside.

    At most two messages are without an outcome at any time, or one batch where the relay takes many
    in one call. A message may be announced to the relay as soon as it is given, but nothing leaves
    that could complete its delivery before `clear`; `before_final`, which the transport got when it
    opened the session, is called right before that.
    """

    error: RelayError | None
    """Why the session is over, once it is: messages it still held were certainly not delivered.

    One that may have been delivered gets the outcome `unknown` from `listen` or `speak` first.
    """
    closed: bool
    """True once the session is over, in peace or with an error."""

    @property
    def room(self) -> int:
        """How many more messages it takes now; 0 until the relay has greeted us."""
        ...

    @property
    def file(self) -> int | None:
        """The descriptor that becomes readable, when there is one to watch."""
        ...

    @property
    def writing(self) -> bool:
        """True when that descriptor's becoming writable is waited for as well."""
        ...

    @property
    def deadline(self) -> float | None:
        """When `listen` and `speak` must be called at the latest (time.monotonic), if it waits."""
        ...

    def give(self, message: Message) -> None:
        """Take a message to deliver, once it is cleared."""
        ...

    def clear(self, message: Message) -> None:
        """Let a message that was given be delivered."""
        ...

    def withdraw(self, message: Message) -> None:
        """Take back a message that was not cleared: no outcome comes of it.

        The session may have to end over it.
        """
        ...

    def listen(self) -> list[tuple[Message, Outcome]]:
        """Hear what the relay has said by now; returns the outcomes that became known."""
        ...

    def speak(self) -> list[tuple[Message, Outcome]]:
        """Say all there is to say, in one write; after `listen`, `give` and `clear`.

        Returns outcomes as `listen` does: a relay that hung up says why in its last words.
        """
        ...

    def hurry(self) -> None:
        """The run ends: wait for nothing that may as well be left to the next one."""
        ...

    def finish(self) -> None:
        """Take no more messages; say goodbye once those held have their outcomes."""
        ...

    def abandon(self) -> list[tuple[Message, Outcome]]:
        """End it now; returns `unknown` for whatever may have been delivered."""
        ...


class Transport(Protocol):
    """A configured way to reach one relay."""

    def open(self, before_final: BeforeFinal, wake: Callable[[], None]) -> Session:
        """Begin a session. What must wait does so in a thread, which calls `wake` when done."""
        ...


@runtime_checkable
class Looked(Protocol):
    """A transport that can find out whether it would work: `doctor` asks those that can."""

    def check(self, domain: str) -> Iterable[Finding]:
        """Find out whether mail in the name of a domain could be sent; sends nothing.

        Raises nothing. It is called in a thread, which nobody waits for beyond half a minute.
        """
        ...


class TransportKind(Protocol):
    """What a transport's module offers under its own name (`smtp` is `kind = "smtp"`)."""

    description: str
    Options: type[Table]

    def open_transport(self, options: Any, folder: Path) -> Transport:
        """Make the transport from its checked options."""
        ...


def kinds() -> Kinds[TransportKind]:
    """Return every transport there is, by name."""
    return Kinds(__name__, __path__)


def open_transport(table: RelayTable, folder: Path) -> Transport:
    """Make the transport that a relay's table asks for; raises ConfigurationError."""
    kind, options = choose(kinds(), table, folder, "is not a transport", "Known transports")
    return kind.open_transport(options, folder)
