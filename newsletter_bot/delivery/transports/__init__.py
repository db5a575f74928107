"""Ways to hand messages over, one file each, found by discovery: a new file is a new transport."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from pydantic import BaseModel

from newsletter_bot import settings as configuration
from newsletter_bot.delivery.model import Message, Outcome
from newsletter_bot.errors import ConfigurationError
from newsletter_bot.settings import Settings, Table


class RelayError(Exception):
    """The relay, not a recipient, failed: what was pulled without an outcome was not delivered.

    `lasting` failures (login refused, sender refused) are not cured by trying again.
    """

    def __init__(self, reason: str, *, lasting: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.lasting = lasting


class ConnectionEndedError(RelayError):
    """The server ended the session between messages, as many do: connect again at once."""


class Connection(Protocol):
    """One session with a relay, used by one thread."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def deliver(
        self, messages: Iterator[Message], before_final: Callable[[Message], None]
    ) -> Iterator[tuple[Message, Outcome]]:
        """Hand messages over, one outcome for each message pulled, in the order pulled.

        At most two messages are without an outcome at any time. `before_final` is called for a
        message before the first byte leaves that could complete its delivery; when it raises, that
        message is not delivered. RelayError says that the messages pulled without an outcome were
        certainly not delivered; a message that may have been gets the outcome `unknown` first.
        """
        ...


class Transport(Protocol):
    """A configured way to reach one relay; connections are opened from several threads."""

    def connect(self) -> Connection:
        """Open a session; raises RelayError."""
        ...


class TransportKind(Protocol):
    """What a transport's module offers under its own name (`smtp.py` is `kind = "smtp"`)."""

    description: str
    Options: type[Table]

    def open_transport(self, options: Any, folder: Path) -> Transport:
        """Make the transport from its checked options."""
        ...


def kinds() -> dict[str, TransportKind]:
    """Return every transport there is, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: _kind(name) for name in names}


def open_transport(settings: Settings) -> Transport:
    """Make the transport that [transport] asks for; raises ConfigurationError."""
    table = settings.transport
    known = kinds()
    if table.kind not in known:
        raise ConfigurationError(
            f"newsletter.toml: transport.kind: {table.kind!r} is not a transport.",
            f"Known transports: {', '.join(known)}.",
        )
    kind = known[table.kind]
    options: BaseModel = configuration.read_options(
        kind.Options, table.options, "transport", settings.folder
    )
    return kind.open_transport(options, settings.folder)


def _kind(name: str) -> TransportKind:
    module: Any = importlib.import_module(f"{__name__}.{name}")
    found: TransportKind = module
    return found
