"""SMTP, driven phase by phase, so that the ledger knows what a lost connection means.

A drop before the final dot is certainly not a delivery; after it nobody can tell. With PIPELINING
(RFC 2920) the end of one message and the next envelope travel together: one round trip a message.
"""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple, Self

from pydantic import Field, SecretStr

from newsletter_bot.delivery.model import Message, Outcome, accepted, deferred, refused, unknown
from newsletter_bot.delivery.transports import ConnectionEndedError, RelayError
from newsletter_bot.errors import ConfigurationError
from newsletter_bot.settings import Table

description = "Any SMTP relay: your own server, or a provider's (TLS, login, PIPELINING)."

_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")
_CONNECT_TIMEOUT = 30.0  # seconds
_COMMAND_TIMEOUT = 300.0  # RFC 5321 section 4.5.3.2
_DATA_TIMEOUT = 600.0  # the same: a shorter wait after the dot makes `unknown`s
_MESSAGES_PER_CONNECTION = 1000  # then a new one: no server has to keep us for ever
_SERVICE_CLOSING = 421
_GO_ON = 354


class Options(Table):
    """[transport] kind = "smtp"."""

    host: str = "127.0.0.1"
    port: int = Field(default=2525, ge=1, le=65535)
    tls: Literal["none", "starttls", "implicit"] = "starttls"
    username: str = ""
    password: SecretStr = SecretStr("")
    password_file: str = ""
    helo: str = ""


def open_transport(options: Options, folder: Path) -> Smtp:
    """Check what the options say together; raises ConfigurationError."""
    if options.tls == "none" and not _LOOPBACK.fullmatch(options.host):
        raise ConfigurationError(
            f'newsletter.toml: transport.tls = "none" would send mail to {options.host} in clear.',
            'Write tls = "starttls" (port 587) or tls = "implicit" (port 465).',
        )
    return Smtp(options, _password(options, folder))


def _password(options: Options, folder: Path) -> str:
    if not options.password_file:
        return options.password.get_secret_value()
    path = folder / options.password_file
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(
            f"newsletter.toml: transport.password_file: {path} cannot be read: {error.strerror}.",
            "Write the password into that file, readable by you alone.",
        ) from error


@dataclass(frozen=True, slots=True)
class Smtp:
    """A relay's address and login."""

    options: Options
    password: str

    def connect(self) -> SmtpConnection:
        """Connect, start TLS and log in; raises RelayError naming the phase and the reply."""
        where = f"{self.options.host}:{self.options.port}"
        try:
            client = self._open()
        except smtplib.SMTPConnectError as error:
            raise RelayError(f"{where} did not greet us: {_said(error)}") from error
        except (OSError, smtplib.SMTPException) as error:
            raise RelayError(f"cannot connect to {where}: {_reason(error)}") from error
        try:
            self._greet(client)
        except smtplib.SMTPAuthenticationError as error:
            client.close()
            raise RelayError(f"{where} refused the login: {_said(error)}", lasting=True) from error
        except smtplib.SMTPNotSupportedError as error:
            client.close()
            raise RelayError(f"{where}: {error}", lasting=True) from error
        except (OSError, smtplib.SMTPException) as error:
            client.close()
            raise RelayError(f"{where} broke off the greeting: {_reason(error)}") from error
        assert client.sock is not None, "connected above"
        client.sock.settimeout(_COMMAND_TIMEOUT)
        # An envelope right behind a body would wait 40 ms for the server's delayed ACK (RFC 896).
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return SmtpConnection(client, client.sock)

    def _open(self) -> smtplib.SMTP:
        options = self.options
        local = options.helo or None
        if options.tls == "implicit":
            return smtplib.SMTP_SSL(
                options.host,
                options.port,
                local_hostname=local,
                timeout=_CONNECT_TIMEOUT,
                context=ssl.create_default_context(),
            )
        return smtplib.SMTP(
            options.host, options.port, local_hostname=local, timeout=_CONNECT_TIMEOUT
        )

    def _greet(self, client: smtplib.SMTP) -> None:
        client.ehlo_or_helo_if_needed()
        if self.options.tls == "starttls":
            client.starttls(context=ssl.create_default_context())
            client.ehlo()
        if self.options.username:
            client.login(self.options.username, self.password)


class SmtpConnection:
    """One SMTP session."""

    def __init__(self, client: smtplib.SMTP, sock: socket.socket) -> None:
        self._client = client
        self._sock = sock  # smtplib forgets its own after an error
        self._pipelining = client.has_extn("pipelining")
        encrypted = isinstance(sock, ssl.SSLSocket)  # takes no flags
        self._more_follows = 0 if encrypted else getattr(socket, "MSG_MORE", 0)
        self._left = _MESSAGES_PER_CONNECTION
        self._finished = 0  # messages that came to an outcome: a 421 after one is normal
        self._aborted = False  # the last transaction was refused midway and must be reset

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._sock.settimeout(_CONNECT_TIMEOUT)
                self._client.quit()
        except (OSError, smtplib.SMTPException):
            pass  # everything has its outcome already; a rude goodbye changes none
        finally:
            self._client.close()

    def deliver(
        self, messages: Iterator[Message], before_final: Callable[[Message], None]
    ) -> Iterator[tuple[Message, Outcome]]:
        """See Connection.deliver: at most one envelope waits behind the message on the wire."""
        current = self._pull(messages)
        sent = False  # whether the envelope of `current` travelled behind the message before it
        while current is not None:
            outcome = self._impossible(current) or self._envelope(current, sent=sent)
            sent = False
            if outcome is None:
                before_final(current)
                self._send_body(current)
                following = self._pull(messages)
                sent = self._send_early(following)
                outcome = self._final_outcome()
            else:
                following = self._pull(messages)
            self._finished += 1
            yield current, outcome
            current = following

    def _pull(self, messages: Iterator[Message]) -> Message | None:
        if self._left <= 0:
            return None
        self._left -= 1
        return next(messages, None)

    def _impossible(self, message: Message) -> Outcome | None:
        """Refuse here what the server's own words in EHLO rule out (RFC 6531, RFC 1870)."""
        if message.needs_smtputf8 and not self._client.has_extn("smtputf8"):
            return refused("the relay does not offer SMTPUTF8, which this address needs")
        limit = self._client.esmtp_features.get("size", "")
        if limit.isdigit() and 0 < int(limit) < len(message.content):
            return refused(f"{len(message.content)} bytes are more than the relay's SIZE {limit}")
        return None

    def _envelope(self, message: Message, *, sent: bool) -> Outcome | None:
        """Bring the session to the server's 354; otherwise say what became of the message."""
        commands = _envelope_commands(message)
        if self._aborted:
            self._ask(b"RSET\r\n")
            self._aborted = False
        if self._pipelining and not sent:
            self._send(b"".join(commands))
        mail = self._reply() if self._pipelining else self._ask(commands[0])
        if not mail.positive:
            raise RelayError(f"the relay refused our sender address: {mail}", lasting=mail.lasting)
        recipient = self._reply() if self._pipelining else self._ask(commands[1])
        if recipient.positive:
            data = self._reply() if self._pipelining else self._ask(commands[2])
            return None if data.code == _GO_ON else self._abort(data)
        if self._pipelining and self._reply().code == _GO_ON:
            # RFC 2920 section 3.1: a server that goes on without a recipient gets a lone dot.
            self._ask(b".\r\n")
        return self._abort(recipient)

    def _abort(self, reply: _Reply) -> Outcome:
        self._aborted = True
        return reply.outcome()

    def _send_body(self, message: Message) -> None:
        stuffed = message.content.replace(b"\r\n.", b"\r\n..")
        # Content ends in CRLF; when this raises, no dot has left. The end of it waits in the
        # kernel for what `_send_early` puts behind it.
        self._send(stuffed + b".\r\n", self._more_follows)

    def _send_early(self, message: Message | None) -> bool:
        """Put the next envelope behind the final dot, in the same segment where that is possible.

        Two segments would be answered by two writes, the second of which waits for our delayed
        acknowledgement (RFC 896, RFC 1122 section 4.2.3.2): 40 ms on Linux.
        """
        try:
            if message is None or not self._pipelining or self._impossible(message):
                self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # lets it go
                return False
            self._sock.sendall(b"".join(_envelope_commands(message)))
        except OSError:
            return False  # the reply to the message before it may still be there to read
        return True

    def _final_outcome(self) -> Outcome:
        try:
            self._sock.settimeout(_DATA_TIMEOUT)
            reply = _Reply.read(self._client)
            self._sock.settimeout(_COMMAND_TIMEOUT)
        except (OSError, smtplib.SMTPException) as error:
            return unknown(f"the connection was lost after the final dot: {_reason(error)}")
        return reply.outcome()

    def _ask(self, command: bytes) -> _Reply:
        self._send(command)
        return self._reply()

    def _send(self, data: bytes, flags: int = 0) -> None:
        try:
            self._sock.sendall(data, flags)
        except OSError as error:
            raise self._lost(_reason(error)) from error

    def _reply(self) -> _Reply:
        try:
            reply = _Reply.read(self._client)
        except (OSError, smtplib.SMTPException) as error:
            raise self._lost(_reason(error)) from error
        if reply.code == _SERVICE_CLOSING:
            raise self._lost(str(reply))
        return reply

    def _lost(self, reason: str) -> RelayError:
        # Servers that limit messages a connection say 421 or just hang up between two of them.
        if self._finished:
            return ConnectionEndedError(f"the relay ended the session: {reason}")
        return RelayError(f"the connection was lost: {reason}")


class _Reply(NamedTuple):
    code: int
    text: str

    @classmethod
    def read(cls, client: smtplib.SMTP) -> Self:
        if client.sock is None:  # smtplib closes it after an error
            raise smtplib.SMTPServerDisconnected("the connection was closed")
        code, text = client.getreply()
        if code < 0:
            raise smtplib.SMTPServerDisconnected("a reply without a code")
        return cls(code, text.decode("utf-8", "replace").replace("\n", " "))

    @property
    def positive(self) -> bool:
        return self.code // 100 == 2  # noqa: PLR2004 - RFC 5321 section 4.2.1

    @property
    def lasting(self) -> bool:
        return self.code // 100 == 5  # noqa: PLR2004 - the same

    def outcome(self) -> Outcome:
        if self.positive:
            return accepted(str(self))
        return refused(str(self)) if self.lasting else deferred(str(self))

    def __str__(self) -> str:
        return f"{self.code} {self.text}".strip()


def _envelope_commands(message: Message) -> tuple[bytes, bytes, bytes]:
    utf8 = " SMTPUTF8" if message.needs_smtputf8 else ""
    return (
        f"MAIL FROM:<{message.sender}>{utf8}\r\n".encode(),
        f"RCPT TO:<{message.recipient}>\r\n".encode(),
        b"DATA\r\n",
    )


def _said(error: smtplib.SMTPResponseException) -> str:
    text = error.smtp_error
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    return f"{error.smtp_code} {words}".strip()


def _reason(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return _said(error)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).strip()
