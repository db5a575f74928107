"""A look at a relay that sends nothing: greeting, TLS, login, and whose name it lets us use."""

from __future__ import annotations

import contextlib
import smtplib
from collections.abc import Iterator

from newsletter_bot.delivery.calls.model import Finding
from newsletter_bot.delivery.transports import RelayError
from newsletter_bot.delivery.transports.smtp.greeting import (
    Address,
    Greeted,
    Login,
    greet,
    reason_of,
)

_PATIENCE = 10.0  # seconds for an answer: a look need not wait as long as a message does
_SMALL = 1_000_000  # bytes: an issue with its headers stays well below
_WAYS = {
    "none": "in clear, on this machine",
    "starttls": "with STARTTLS",
    "implicit": "over TLS",
}


def look(address: Address, login: Login | None, domain: str) -> Iterator[Finding]:
    """Look at a relay, as far as the sender of a message is asked about."""
    where = f"{address.host}:{address.port}"
    try:
        greeted = greet(address, login, _PATIENCE)
    except RelayError as error:
        yield Finding(well=False, sentence=f"{error.reason}.", next_step=_mend(login))
        return
    with greeted.socket:
        way = _WAYS[address.tls] + (", and takes our login" if login else "")
        yield Finding(well=True, sentence=f"{where} greets us {way}")
        size = greeted.features.get("size", "")
        if size.isdecimal() and 0 < int(size) < _SMALL:
            yield Finding(
                well=False,
                sentence=f"{where} takes {int(size):,} bytes at most: many issues are larger.",
                next_step="Raise the limit there (Postfix: message_size_limit).",
                grave=False,
            )
        yield _may_send(where, greeted, domain)


def _mend(login: Login | None) -> str:
    words = "host, port, tls, username and password" if login else "host, port and tls"
    more = "" if login else "; no username is set, so none is shown"
    return f"Check {words} in newsletter.toml{more}."


def _may_send(where: str, greeted: Greeted, domain: str) -> Finding:
    """Say MAIL, as every message does, and go: nobody is named who would get one."""
    client = smtplib.SMTP(local_hostname="localhost")  # said already, and else looked up in DNS
    client.sock = greeted.socket
    client.sock.settimeout(_PATIENCE)
    try:
        code, text = client.docmd("MAIL", f"FROM:<bounce@{domain}>")
    except (OSError, smtplib.SMTPException) as error:
        return Finding(
            well=False,
            sentence=f"{where} hung up when it was told the sender: {reason_of(error)}.",
            next_step="Look into the log of that server.",
        )
    with contextlib.suppress(OSError, smtplib.SMTPException):
        client.docmd("QUIT")
    said = f"{code} {text.decode('utf-8', 'replace')}".replace("\n", " ")
    if code // 100 == 2:  # noqa: PLR2004 - RFC 5321 section 4.2.1
        return Finding(well=True, sentence=f"it takes mail from {domain}")
    return Finding(
        well=False,
        sentence=f"{where} takes no mail from bounce@{domain}: {said}",
        next_step="Let the relay send in the name of that domain, or send from one that it knows.",
        grave=code // 100 == 5,  # noqa: PLR2004 - the same
    )
