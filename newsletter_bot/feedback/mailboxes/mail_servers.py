"""What IMAP and POP3 share: how to reach a server, who we are, and doubt in all that it says."""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from newsletter_bot.errors import ConfigurationError
from newsletter_bot.feedback.mailboxes import LONGEST_KEPT, MailboxError
from newsletter_bot.settings.tables import Duration, OneLine, Table, seconds

ANSWER = LONGEST_KEPT + 200_000  # bytes that the answer to one command may have
_LONGEST_LINE = 1_000_000
_VISIT = 300.0  # seconds after which a visit is broken off, however the server dawdles
_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")
# What servers say of themselves and not of us (RFC 5530, RFC 2449, RFC 3206; Gmail, 2026-11).
_PASSING = re.compile(
    r"\[(?:UNAVAILABLE|INUSE|LIMIT|SERVERBUG|IN-USE|LOGIN-DELAY|SYS/TEMP)\b|too many", re.IGNORECASE
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class ServerOptions(Table):
    """What [[mailboxes]] of a server have in common."""

    host: OneLine
    port: int = Field(default=0, ge=0, le=65535)  # 0: the usual one
    tls: Literal["implicit", "starttls", "none"] = "implicit"
    username: OneLine
    password: SecretStr = SecretStr("")
    password_file: str = ""
    timeout: Duration = "60s"


class RefusedError(MailboxError):
    """The server understood a command, and said no."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a mailbox is, and how the way there is secured."""

    host: str
    port: int
    tls: str
    username: str
    timeout: float

    @property
    def where(self) -> str:
        """Name it, for messages."""
        return f"{self.host}:{self.port}"


def server_of(options: ServerOptions, ports: dict[str, int]) -> Server:
    """Check what the options say together; raises ConfigurationError."""
    if options.tls == "none" and not _LOOPBACK.fullmatch(options.host):
        raise ConfigurationError(
            f'newsletter.toml: [[mailboxes]] tls = "none" would show {options.host} our password'
            " in clear.",
            'Write tls = "implicit" or tls = "starttls".',
        )
    port = options.port or ports[options.tls]
    return Server(
        options.host, port, options.tls, options.username, float(seconds(options.timeout))
    )


def secret_of(value: SecretStr, file: str, folder: Path, key: str) -> str:
    """Return a secret from its file, read anew each time, or from the settings."""
    if not file:
        return value.get_secret_value()
    path = folder / file
    try:
        found = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise MailboxError(f"{key}: {path} cannot be read: {reason}", lasting=True) from error
    if not found or _CONTROL.search(found):
        raise MailboxError(f"{key}: {path} holds nothing, or more than one line", lasting=True)
    return found


@dataclass(slots=True)
class Wire:
    """Reads what a server sends: in time, and never more than was asked for."""

    timeout: float
    _ends: float = field(default_factory=lambda: time.monotonic() + _VISIT)
    _left: int = ANSWER
    _buffer: bytearray = field(default_factory=bytearray)
    _from: socket.socket | None = None

    def allow(self, count: int = ANSWER) -> None:
        """Let the next answer have so many bytes."""
        self._left = count

    def line(self, source: socket.socket) -> bytes:
        """Return a line with its end; less when the server hung up."""
        self._turn_to(source)
        at = 0
        while (end := self._buffer.find(b"\n", at)) < 0:
            at = len(self._buffer)
            if at > _LONGEST_LINE:
                raise MailboxError("the server sent a line without an end")
            if not self._receive(source):
                return self._take(at)
        return self._take(end + 1)

    def exactly(self, source: socket.socket, size: int) -> bytes:
        """Return so many bytes; less when the server hung up."""
        self._turn_to(source)
        if size > LONGEST_KEPT:
            raise MailboxError(f"the server announced {size:,} bytes, more than we asked for")
        while len(self._buffer) < size and self._receive(source):
            pass
        return self._take(min(size, len(self._buffer)))

    def _turn_to(self, source: socket.socket) -> None:
        """Mind that STARTTLS brings another socket: words in clear before it were not theirs."""
        if self._from is not source:
            if self._buffer:
                raise MailboxError("words in clear stood behind the answer to STARTTLS")
            self._from = source

    def _receive(self, source: socket.socket) -> bool:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise MailboxError(f"it took longer than {_VISIT:.0f} s")
        source.settimeout(min(self.timeout, left))
        data = source.recv(65_536)
        self._left -= len(data)
        if self._left < 0:
            raise MailboxError("the server sent much more than we asked for")
        self._buffer += data
        return bool(data)

    def _take(self, count: int) -> bytes:
        found = bytes(self._buffer[:count])
        del self._buffer[:count]
        return found


@contextmanager
def doubting(where: str, step: str, *errors: type[Exception]) -> Iterator[None]:
    """Say in a sentence what went wrong with a server; `errors` are those of its library."""
    # ValueError: numbers with thousands of digits, bytes that are no text.
    known: tuple[type[Exception], ...] = (OSError, EOFError, ValueError, *errors)
    try:
        yield
    except MailboxError as error:
        raise MailboxError(f"{where}: {step}: {error.reason}", lasting=error.lasting) from error
    except ssl.SSLCertVerificationError as error:
        raise MailboxError(
            f"{where}: its certificate is not to be trusted: {error.verify_message}", lasting=True
        ) from error
    except known as error:
        raise MailboxError(f"{where}: {step}: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """Return an error's words in one short line."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return words_of(error.args[0] if len(error.args) == 1 else str(error)) or type(error).__name__


def is_lasting(refusal: str) -> bool:
    """Tell whether a refusal, of a login or a folder, is about what we asked for."""
    return _PASSING.search(refusal) is None


def words_of(said: object) -> str:
    """Return what a server said, as one short line of text."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return " ".join(_CONTROL.sub(" ", text).split())[:300]
