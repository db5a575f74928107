"""SMTP, driven phase by phase, so that the ledger knows what a lost connection means.

A drop before the final dot is certainly not a delivery; after it nobody can tell. With PIPELINING
(RFC 2920) the end of one message and the next envelope travel together: one round trip a message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from newsletter_bot.delivery.calls.model import Finding
from newsletter_bot.delivery.transports import BeforeFinal
from newsletter_bot.delivery.transports.smtp.greeting import Address, Login
from newsletter_bot.delivery.transports.smtp.looking import look
from newsletter_bot.delivery.transports.smtp.session import SmtpSession
from newsletter_bot.delivery.transports.smtp.wire import Patience
from newsletter_bot.errors import ConfigurationError
from newsletter_bot.settings.tables import Duration, Table, seconds

description = "Any SMTP relay: your own server, or a provider's (TLS, login, PIPELINING)."

_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")


class Options(Table):
    """[transport] kind = "smtp"."""

    host: str = "127.0.0.1"
    port: int = Field(default=2525, ge=1, le=65535)
    tls: Literal["none", "starttls", "implicit"] = "starttls"
    username: str = ""
    password: SecretStr = SecretStr("")
    password_file: str = ""
    helo: str = ""
    timeout: Duration = "5m"  # RFC 5321 section 4.5.3.2
    data_timeout: Duration = "10m"  # the same: a shorter wait after the dot makes `unknown`s


def open_transport(options: Options, folder: Path) -> Smtp:
    """Check what the options say together; raises ConfigurationError."""
    if options.tls == "none" and not _LOOPBACK.fullmatch(options.host):
        raise ConfigurationError(
            f'newsletter.toml: transport.tls = "none" would send mail to {options.host} in clear.',
            'Write tls = "starttls" (port 587) or tls = "implicit" (port 465).',
        )
    address = Address(options.host, options.port, options.tls, options.helo)
    password = _password(options, folder)
    login = Login(options.username, password) if options.username else None
    patience = Patience(seconds(options.timeout), seconds(options.data_timeout))
    return Smtp(address, login, patience)


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
    """A relay's address, login, and how long to wait for it."""

    address: Address
    login: Login | None
    patience: Patience

    def open(self, before_final: BeforeFinal, wake: Callable[[], None]) -> SmtpSession:
        """Begin to connect; the session has room once the relay has greeted us."""
        return SmtpSession(self.address, self.login, self.patience, before_final, wake)

    def check(self, domain: str) -> Iterable[Finding]:
        """Be greeted, log in, and ask whether we may send in a domain's name."""
        return look(self.address, self.login, domain)
