"""Connecting, TLS and login, by the standard library: done in a thread, because each step waits."""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from newsletter_bot.delivery.transports import RelayError

_CONNECT_TIMEOUT = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class Address:
    """Where a relay listens, and how the way there is secured."""

    host: str
    port: int
    tls: str
    helo: str


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are to the relay."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Greeted:
    """A connection on which the relay waits for MAIL, and what it said it can do."""

    socket: socket.socket
    features: dict[str, str]  # EHLO keywords in lower case, with their parameters


class Greeting:
    """The greeting of one session, going on in a thread."""

    def __init__(
        self, address: Address, login: Login | None, timeout: float, wake: Callable[[], None]
    ) -> None:
        self._found: Greeted | RelayError | None = None
        self._abandoned = False
        words = (address, login, timeout, wake)
        threading.Thread(target=self._greet, args=words, name="greeting", daemon=True).start()

    def result(self) -> Greeted | None:
        """Return the connection once it is there; raises RelayError when it will not be."""
        if isinstance(self._found, RelayError):
            raise self._found
        return self._found

    def abandon(self) -> None:
        """Close the connection, now or as soon as it is there."""
        self._abandoned = True
        if isinstance(self._found, Greeted):
            self._found.socket.close()

    def _greet(
        self, address: Address, login: Login | None, timeout: float, wake: Callable[[], None]
    ) -> None:
        try:
            self._found = greet(address, login, timeout)
        except RelayError as error:
            self._found = error
        except Exception as error:  # noqa: BLE001 - a thread must never end unheard
            self._found = RelayError(f"unexpected {type(error).__name__}: {error}")
        if self._abandoned:
            self.abandon()
        wake()


def greet(address: Address, login: Login | None, timeout: float) -> Greeted:
    """Connect, start TLS and log in; raises RelayError naming the phase and the reply."""
    where = f"{address.host}:{address.port}"
    try:
        client = _connect(address, min(timeout, _CONNECT_TIMEOUT))
    except smtplib.SMTPConnectError as error:
        lasting = _for_good(error.smtp_code)
        raise RelayError(f"{where} did not greet us: {_said(error)}", lasting=lasting) from error
    except ssl.SSLCertVerificationError as error:
        raise _certificate_wrong(where, error) from error
    except (OSError, smtplib.SMTPException) as error:
        raise RelayError(f"cannot connect to {where}: {reason_of(error)}") from error
    try:
        _introduce(client, address, login, timeout)
    except BaseException as error:
        client.close()
        raise _explained(where, error) from error
    assert client.sock is not None, "connected above"
    # An envelope right behind a body would wait 40 ms for the server's delayed ACK (RFC 896).
    client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    client.sock.setblocking(False)
    return Greeted(client.sock, client.esmtp_features)


def _connect(address: Address, timeout: float) -> smtplib.SMTP:
    local = address.helo or None
    if address.tls == "implicit":
        return smtplib.SMTP_SSL(
            address.host,
            address.port,
            local_hostname=local,
            timeout=timeout,
            context=ssl.create_default_context(),
        )
    return smtplib.SMTP(address.host, address.port, local_hostname=local, timeout=timeout)


def _introduce(client: smtplib.SMTP, address: Address, login: Login | None, timeout: float) -> None:
    assert client.sock is not None, "connected by the caller"
    client.sock.settimeout(timeout)
    client.ehlo_or_helo_if_needed()
    if address.tls == "starttls":
        _start_tls(client)
        client.ehlo()
    if login is not None:
        client.login(login.username, login.password)


def _start_tls(client: smtplib.SMTP) -> None:
    """Start TLS, or refuse: words in clear behind the reply were put there by somebody else.

    A client that kept them would take them for the server's own, said under TLS (CVE-2011-0411).
    """
    if not client.has_extn("starttls"):
        raise RelayError(
            'it does not offer STARTTLS, and mail must not travel in clear; tls = "implicit"'
            " (port 465) may be what it speaks",
            lasting=True,
        )
    code, text = client.docmd("STARTTLS")
    if code != 220:  # noqa: PLR2004 - RFC 3207 section 4
        raise smtplib.SMTPResponseException(code, text)
    if _unread(client):
        raise RelayError(
            "words in clear followed its answer to STARTTLS: somebody may be tampering with the"
            " connection",
            lasting=True,
        )
    assert client.sock is not None, "it just answered"
    context = ssl.create_default_context()
    client.sock = context.wrap_socket(client.sock, server_hostname=_name(client))
    client.file = None
    client.helo_resp = client.ehlo_resp = None
    client.esmtp_features = {}
    client.does_esmtp = False


def _name(client: smtplib.SMTP) -> str:
    name: str = client._host  # type: ignore[attr-defined]  # noqa: SLF001 - as smtplib's own starttls
    return name


def _unread(client: smtplib.SMTP) -> bytes:
    """Return what arrived beyond the reply just read, without waiting for more."""
    assert client.sock is not None, "it just answered"
    assert client.file is not None, "the reply was read from it"
    wait = client.sock.gettimeout()
    client.sock.settimeout(0)
    try:
        found: bytes = client.file.peek(1)
    except OSError:
        found = b""
    client.sock.settimeout(wait)
    return found


def _explained(where: str, error: BaseException) -> BaseException:
    match error:
        case RelayError():
            return RelayError(f"{where}: {error.reason}", lasting=error.lasting)
        case smtplib.SMTPAuthenticationError():
            lasting = _for_good(error.smtp_code)
            return RelayError(f"{where} refused the login: {_said(error)}", lasting=lasting)
        case smtplib.SMTPResponseException():
            lasting = _for_good(error.smtp_code)
            return RelayError(f"{where} broke off the greeting: {_said(error)}", lasting=lasting)
        case smtplib.SMTPNotSupportedError():
            return RelayError(f"{where}: {error}", lasting=True)
        case ssl.SSLCertVerificationError():
            return _certificate_wrong(where, error)
        case OSError() | smtplib.SMTPException():
            return RelayError(f"{where} broke off the greeting: {reason_of(error)}")
        case _:
            return error


def _for_good(code: int) -> bool:
    return code // 100 == 5  # noqa: PLR2004 - RFC 5321 section 4.2.1


def _certificate_wrong(where: str, error: ssl.SSLCertVerificationError) -> RelayError:
    return RelayError(
        f"{where} showed a certificate that cannot be trusted: {error.verify_message}",
        lasting=True,
    )


def _said(error: smtplib.SMTPResponseException) -> str:
    text = error.smtp_error
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    return f"{error.smtp_code} {words}".strip().replace("\n", " ")


def reason_of(error: Exception) -> str:
    """Say what went wrong on a connection in a few words, never empty."""
    if isinstance(error, smtplib.SMTPResponseException):
        return _said(error)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).strip()
