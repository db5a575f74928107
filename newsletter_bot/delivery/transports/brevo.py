"""Brevo: one message in each call, under a key by which it knows the call again for half an hour.

By its API reference and webhook pages as of November 2026; no live service was called.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parseaddr
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from newsletter_bot.delivery.calls.answers import by_status, waited
from newsletter_bot.delivery.calls.basic import credentials
from newsletter_bot.delivery.calls.event_values import decoded, moment, text, value
from newsletter_bot.delivery.calls.model import (
    Answer,
    Finding,
    NotTaken,
    Request,
    Shape,
    Sorted,
    Unsure,
    Verdict,
)
from newsletter_bot.delivery.calls.pacer import exhausted
from newsletter_bot.delivery.calls.secrets import secret_of
from newsletter_bot.delivery.calls.structured import structured
from newsletter_bot.delivery.calls.transport import CallTransport
from newsletter_bot.delivery.model import Message, accepted, refused
from newsletter_bot.delivery.provider_events import (
    EventKind,
    ForgedError,
    HookRequest,
    ProviderEvent,
)
from newsletter_bot.errors import ConfigurationError
from newsletter_bot.settings.tables import Duration, Table, WebAddress, seconds

description = "Brevo's API: one message in each call, which may be repeated for half an hour."

_DONE = frozenset({200, 201, 202})
_INVALID = 400
_SPACE = uuid.UUID("6f1a7c1e-52a4-5c0e-9a53-0d6a5f1c3b11")  # of keys made into UUIDs
_SHAPE = Shape(key_lasts=30 * 60)
# 503 may come from a machine before theirs: asked again with the same key, as all 5xx are.
_STATUSES = Sorted(
    lasting=frozenset({401, 402, 403, 404, 405, 406, 413, 422}),
    later=frozenset({425, 429}),
)


class Options(Table):
    """[transport] kind = "brevo"."""

    api_key: SecretStr = SecretStr("")
    api_key_file: str = ""
    webhook_user: str = ""  # with it, webhook_password is that of basic authentication
    webhook_password: SecretStr = SecretStr("")
    webhook_password_file: str = ""
    timeout: Duration = "60s"
    url: WebAddress = "https://api.brevo.com"


def open_transport(options: Options, folder: Path) -> CallTransport:
    """Read the key; raises ConfigurationError."""
    key = secret_of("api_key", options.api_key, options.api_key_file, folder)
    return CallTransport(Brevo(options.url, key), seconds(options.timeout))


def open_events(options: Options, folder: Path) -> BrevoEvents | None:
    """Read what its webhooks show us, None where there is nothing; raises ConfigurationError."""
    secret = secret_of(
        "webhook_password",
        options.webhook_password,
        options.webhook_password_file,
        folder,
        needed=False,
    )
    if options.webhook_user and not secret:
        raise ConfigurationError(
            "newsletter.toml: webhook_user stands there without webhook_password.",
            "Write the password into a file and name that in webhook_password_file.",
        )
    return BrevoEvents(options.webhook_user, secret) if secret else None


# ── handing over ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Brevo:
    """POST /v3/smtp/email."""

    url: str
    api_key: str = field(repr=False)

    @property
    def shape(self) -> Shape:
        """See Provider."""
        return _SHAPE

    def request(self, messages: Sequence[Message], key: str) -> Request:
        """See Provider."""
        (message,) = messages
        headers = {**self._authorized, "Content-Type": "application/json"}
        content = json.dumps(_email(message, key), ensure_ascii=False).encode()
        return Request("POST", f"{self.url}/v3/smtp/email", headers, content)

    def read(self, answer: Answer, messages: Sequence[Message]) -> Verdict:
        """See Provider."""
        if answer.status in _DONE:
            name = answer.find("messageId")
            return [accepted(f"Brevo {name}")] if name else Unsure(answer.words)
        found = _by_code(answer, messages[0]) or by_status(answer, _STATUSES)
        if isinstance(found, NotTaken) and found.wait is None:
            wait = waited(answer) or exhausted(answer.headers, time.time()) or None
            return NotTaken(found.reason, wait, found.lasting)
        return found or Unsure(answer.words)

    def check(self, ask: Callable[[Request], Answer], domain: str) -> Sequence[Finding]:
        """See Provider."""
        account = ask(Request("GET", f"{self.url}/v3/account", self._authorized))
        if account.status not in _DONE:
            return [
                Finding(
                    well=False,
                    sentence=f"Brevo does not take the API key: {account.words}.",
                    next_step="Make a key under SMTP & API at https://app.brevo.com and write it"
                    " into the file that api_key_file names; IP addresses may be restricted there.",
                )
            ]
        domains = ask(Request("GET", f"{self.url}/v3/senders/domains", self._authorized))
        return [_relay_of(account), _standing(domains, domain)]

    @property
    def _authorized(self) -> Mapping[str, str]:
        return {"api-key": self.api_key, "Accept": "application/json"}


def _email(message: Message, key: str) -> dict[str, Any]:
    parts = structured(message)
    found: dict[str, Any] = {
        "sender": _mailbox(parts.sender),
        "to": [{"email": parts.recipient}],
        "subject": parts.subject,
        "htmlContent": parts.html or None,
        "textContent": parts.text or None,
        "replyTo": _mailbox(parts.reply_to) if parts.reply_to else None,
        "headers": {**dict(parts.headers), "idempotencyKey": str(uuid.uuid5(_SPACE, key))},
        "tags": [parts.reference] if parts.reference else None,
    }
    return {name: one for name, one in found.items() if one is not None}


def _mailbox(written: str) -> dict[str, str]:
    name, address = parseaddr(written)
    # A name beyond ASCII with punctuation in it is silently dropped (django-anymail's notes).
    plain = (
        name if name.isascii() else "".join(one if one not in ',;:"<>()@' else " " for one in name)
    )
    return {"email": address, **({"name": " ".join(plain.split())} if plain.strip() else {})}


def _by_code(answer: Answer, message: Message) -> Verdict | None:
    """Sort an error by its code (https://developers.brevo.com/docs/how-it-works, 2026-11)."""
    code, said = answer.find("code"), answer.find("message")
    match code:
        case "duplicate_parameter" if "idempotency" in said.lower() or not said:
            # "The API returns duplicate_parameter and does not process the request" within the life
            # of a key (guide on idempotency, 2026-11): the call before, of which we do not know the
            # answer, was.
            return [accepted(f"Brevo had it already: {answer.words}")]
        case "invalid_parameter" | "missing_parameter" if _about(said, message):
            return [refused(f"Brevo: {answer.words}")]
        case "not_enough_credits":
            return NotTaken(f"the credits at Brevo are used up: {answer.words}", lasting=True)
    if answer.status == _INVALID:
        return NotTaken(answer.words, lasting=True)
    return None


def _about(said: str, message: Message) -> bool:
    """Tell whether an error is about the reader's address, and not about all messages."""
    words = said.lower()
    return message.recipient.lower() in words or "to is not valid" in words or "in to" in words


def _relay_of(account: Answer) -> Finding:
    enabled = value(account.json, "relay", "enabled")
    if enabled is False:
        return Finding(
            well=False,
            sentence="Brevo has not activated transactional mail for this account.",
            next_step="Ask Brevo's support to activate it.",
        )
    return Finding(well=True, sentence="Brevo takes the API key.")


def _standing(answer: Answer, domain: str) -> Finding:
    listed = value(answer.json, "domains")
    known = {
        text(one, "domain_name").lower(): value(one, "authenticated")
        for one in (listed if isinstance(listed, list) else [])
    }
    above = domain.lower()
    while above and above not in known:
        above = above.partition(".")[2]
    if known.get(above) is True:
        return Finding(well=True, sentence=f"Brevo sends for {above}.")
    return Finding(
        well=False,
        sentence=f"{domain} is not {'authenticated' if above else 'known'} at Brevo.",
        next_step=f"Add {domain} under Senders & IPs at https://app.brevo.com, and the records it"
        " shows to DNS.",
    )


# ── events ───────────────────────────────────────────────────────────────────────────────────

_KINDS = {
    "delivered": EventKind.DELIVERED,
    "deferred": EventKind.DEFERRED,
    "soft_bounce": EventKind.BOUNCED,
    "hard_bounce": EventKind.BOUNCED,
    "invalid_email": EventKind.BOUNCED,
    "blocked": EventKind.REJECTED,
    "error": EventKind.FAILED,
    "spam": EventKind.COMPLAINED,
    "unsubscribed": EventKind.UNSUBSCRIBED,
    "unsubscribe": EventKind.UNSUBSCRIBED,
    "opened": EventKind.OPENED,
    "unique_opened": EventKind.OPENED,
    "proxy_open": EventKind.OPENED,
    "unique_proxy_open": EventKind.OPENED,
    "click": EventKind.CLICKED,
}
_PERMANENT = {"hard_bounce": True, "invalid_email": True, "soft_bounce": False}
_LATEST = 1 << 50  # milliseconds since 1970
_SENT = frozenset({"request", "sent"})  # nothing that we do not know


@dataclass(frozen=True, slots=True)
class BrevoEvents:
    """Nothing is signed: a password or token in the Authorization header says who it is."""

    user: str
    secret: str = field(repr=False)

    def verify(self, request: HookRequest) -> str:
        """See Events; the key is a hash of the body, as Brevo gives its events no name."""
        if self.user:
            shown, wanted = credentials(request.headers), f"{self.user}:{self.secret}"
        else:
            shown, wanted = _bearer(request.headers), self.secret
        if not hmac.compare_digest(shown, wanted.encode()):
            raise ForgedError("it does not show what webhook_password holds")
        return hashlib.sha256(request.body).hexdigest()

    def read(self, body: bytes) -> Sequence[ProviderEvent]:
        """See Events; where webhooks are batched, a body is a list."""
        told = decoded(body)
        listed = told if isinstance(told, list) else [told]
        key = hashlib.sha256(body).hexdigest()
        events = [_event(one, f"{key}-{at}") for at, one in enumerate(listed)]
        return [one for one in events if one.word not in _SENT]

    def confirmation(self, body: bytes) -> str:
        """See Events; Brevo asks for none."""
        del body
        return ""


def _bearer(headers: Mapping[str, str]) -> bytes:
    scheme, _, shown = headers.get("authorization", "").partition(" ")
    return shown.strip().encode() if scheme.lower() == "bearer" else b""


def _event(told: Any, key: str) -> ProviderEvent:
    word = text(told, "event")
    tags = value(told, "tags")
    first = tags[0] if isinstance(tags, list) and tags else value(told, "tag")
    return ProviderEvent(
        key=key,
        kind=_KINDS.get(word, EventKind.UNKNOWN),
        # `ts` and `ts_event` follow the account's zone; the epoch is UTC, in milliseconds.
        at=_seconds(value(told, "ts_epoch")) or moment(told, "ts_event"),
        token=text({"tag": first}, "tag"),
        address=parseaddr(text(told, "email"))[1],
        reason=text(told, "reason"),
        permanent=_PERMANENT.get(word),
        word=word,
    )


def _seconds(milliseconds: Any) -> int:
    known = isinstance(milliseconds, int | float) and 0 < milliseconds < _LATEST
    return int(milliseconds // 1000) if known else 0
