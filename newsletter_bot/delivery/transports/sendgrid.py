"""SendGrid: one message a call by `mail/send`, and its signed event webhook.

Facts are those of twilio.com/docs/sendgrid, read in 2026-11.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pydantic import SecretStr

from newsletter_bot.delivery.calls import event_values
from newsletter_bot.delivery.calls.answers import by_status
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
from newsletter_bot.delivery.calls.secrets import secret_of
from newsletter_bot.delivery.calls.structured import Structured, structured
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

description = "SendGrid by its API (`mail/send`): one message a call, signed by SendGrid."

_BASES = {"global": "https://api.sendgrid.com", "eu": "https://api.eu.sendgrid.com"}
_OK = 200
_ACCEPTED = 202
_BAD_REQUEST = 400
_TOO_LARGE = 413
_TOO_MANY = 429
_LONGEST_WAIT = 3600.0  # seconds that a reset may be away and still be believed
# Nothing says that a 503 comes before the message is taken.
_STATUSES = Sorted(later=frozenset({425}))
_SHAPE = Shape(most=1, most_bytes=30_000_000)
# It asks again for 24 hours, and nothing says that it signs anew each time. The signature covers
# the body: what repeats is the same, and known.
_OLDEST = 25 * 3600.0
# All that would change what a reader gets, or add a way to unsubscribe that we do not hear of.
_UNTRACKED = {
    "click_tracking": {"enable": False, "enable_text": False},
    "open_tracking": {"enable": False},
    "subscription_tracking": {"enable": False},
    "ganalytics": {"enable": False},
}


class Options(Table):
    """[transport] kind = "sendgrid"."""

    api_key: SecretStr = SecretStr("")
    api_key_file: str = ""
    region: Literal["global", "eu"] = "global"
    url: WebAddress | None = None
    timeout: Duration = "60s"
    webhook_public_key: str = ""


def open_transport(options: Options, folder: Path) -> CallTransport:
    """Use an account by a key that may send mail; raises ConfigurationError without one."""
    base = options.url or _BASES[options.region]
    key = secret_of("api_key", options.api_key, options.api_key_file, folder)
    return CallTransport(SendGrid(base, key), seconds(options.timeout))


def open_events(options: Options, folder: Path) -> SendGridEvents | None:
    """Hear the event webhook that is signed by the half of `webhook_public_key` that we lack."""
    del folder  # a public key is no secret
    written = re.sub(r"-----[^-]*-----|\s", "", options.webhook_public_key)
    return SendGridEvents(_public_key(written)) if written else None


def _public_key(written: str) -> EllipticCurvePublicKey:
    try:
        key = load_der_public_key(base64.b64decode(written, validate=True))
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return key
    raise ConfigurationError(
        "newsletter.toml: webhook_public_key is not SendGrid's verification key.",
        "Copy it from Settings, Mail Settings, Event Webhooks, Signature Verification;"
        " it begins with MFkw.",
    )


@dataclass(frozen=True, slots=True)
class SendGrid:
    """One account; see calls.model.Provider."""

    base: str
    key: str = field(repr=False)
    shape: Shape = _SHAPE

    def request(self, messages: Sequence[Message], key: str) -> Request:
        """See Provider; our reference comes back in events as the argument `ref`."""
        del key  # it has none
        (message,) = messages
        headers = {**self._headers(), "Content-Type": "application/json"}
        document = _document(structured(message))
        content = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        return Request("POST", f"{self.base}/v3/mail/send", headers, content)

    def read(self, answer: Answer, messages: Sequence[Message]) -> Verdict:
        """See Provider."""
        del messages  # one
        if answer.status == _ACCEPTED:
            name = answer.headers.get("x-message-id", "")
            # A page in between says nothing of what SendGrid did.
            return [accepted(f"SendGrid took it as {name}")] if name else Unsure(answer.words)
        if answer.status == _TOO_LARGE:
            return [refused(f"{answer.words} (message too large)")]
        if answer.status == _BAD_REQUEST and _about_recipient(answer):
            return [refused(answer.words)]
        if answer.status == _TOO_MANY:
            return NotTaken(answer.words, _until_reset(answer.headers))
        # Of other 4xx the next message would hear the same: the sender, the account (401 too when
        # its credits are used up), our request.
        return by_status(answer, _STATUSES) or NotTaken(answer.words, lasting=True)

    def check(self, ask: Callable[[Request], Answer], domain: str) -> Sequence[Finding]:
        """See Provider: what the key may do, and whether the domain is authenticated."""
        scopes = ask(Request("GET", f"{self.base}/v3/scopes", self._headers()))
        if scopes.status != _OK:
            return [
                Finding(
                    well=False,
                    sentence=f"SendGrid refuses the API key: {scopes.words}",
                    next_step="Make a key under Settings, API Keys, with Mail Send allowed.",
                )
            ]
        place = f"{self.base}/v3/whitelabel/domains?limit=50&domain="
        names = [domain, *_above(domain)]
        answers = (ask(Request("GET", place + quote(one), self._headers())) for one in names)
        return [_may_send(scopes), _authenticated(domain, names, answers)]

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


def _document(parts: Structured) -> dict[str, Any]:
    person = {"to": [_mailbox(parts.to)], "custom_args": {"ref": parts.reference}}
    kinds = (("text/plain", parts.text), ("text/html", parts.html))  # in this order, it asks
    document: dict[str, Any] = {
        "personalizations": [person],
        "from": _mailbox(parts.sender),
        "subject": parts.subject,
        "content": [{"type": kind, "value": text} for kind, text in kinds if text],
        # Sent again after an `unknown`, a message is the same to those who look at its id.
        "headers": {**dict(parts.headers), "Message-ID": parts.message_id},
        "tracking_settings": _UNTRACKED,
    }
    if parts.reply_to:
        document["reply_to"] = _mailbox(parts.reply_to)
    return document


def _mailbox(written: str) -> dict[str, str]:
    """Read `"Name" <address>`: the quotes belong to the header, not to the name."""
    quoted, opened, address = written.rpartition("<")
    if not opened:
        return {"email": written}
    name = re.sub(r"\\(.)", r"\1", quoted.strip()[1:-1])
    return {"email": address.rstrip(">"), "name": name}


def _about_recipient(answer: Answer) -> bool:
    errors = event_values.value(answer.json, "errors")
    fields = [event_values.text(one, "field") for one in errors] if isinstance(errors, list) else []
    return bool(fields) and all(one.startswith("personalizations.0.to") for one in fields)


def _until_reset(headers: Mapping[str, str]) -> float | None:
    """X-RateLimit-Reset is the second since 1970 at which it takes calls again."""
    reset = event_values.moment(headers.get("x-ratelimit-reset", ""))
    return min(max(0.0, reset - time.time()), _LONGEST_WAIT) if reset else None


def _above(domain: str) -> list[str]:
    """Return the domains above, the nearest first, down to two labels."""
    labels = domain.split(".")
    return [".".join(labels[at:]) for at in range(1, len(labels) - 1)]


def _may_send(scopes: Answer) -> Finding:
    known = event_values.value(scopes.json, "scopes")
    well = isinstance(known, list) and "mail.send" in known
    return Finding(
        well=well,
        sentence="The API key may send mail." if well else "The API key may not send mail.",
        next_step="" if well else "Allow it Mail Send under Settings, API Keys.",
    )


def _authenticated(domain: str, names: Sequence[str], answers: Any) -> Finding:
    """Say how the nearest domain stands that SendGrid knows; a domain above counts for DMARC."""
    for name, answer in zip(names, answers, strict=True):
        if answer.status != _OK or not isinstance(answer.json, list):
            return Finding(
                well=False,
                sentence=f"SendGrid does not say whether {domain} is authenticated: {answer.words}",
                next_step="Allow the key to read Sender Authentication, or look at it there.",
                grave=False,
            )
        known = [one for one in answer.json if event_values.text(one, "domain").lower() == name]
        if any(event_values.value(one, "valid") is True for one in known):
            return Finding(well=True, sentence=f"SendGrid has authenticated the domain {name}.")
        if known:
            return Finding(
                well=False,
                sentence=f"SendGrid knows the domain {name}, and does not find its DNS records.",
                next_step="Publish the records of Settings, Sender Authentication; verify there.",
            )
    return Finding(
        well=False,
        sentence=f"SendGrid does not know the domain {domain}.",
        next_step="Authenticate it under Settings, Sender Authentication.",
    )


_KINDS = {
    "delivered": EventKind.DELIVERED,
    "deferred": EventKind.DEFERRED,
    "bounce": EventKind.BOUNCED,
    "dropped": EventKind.REJECTED,
    "spamreport": EventKind.COMPLAINED,
    "unsubscribe": EventKind.UNSUBSCRIBED,
    "group_unsubscribe": EventKind.UNSUBSCRIBED,
    "open": EventKind.OPENED,
    "click": EventKind.CLICKED,
}


@dataclass(frozen=True, slots=True)
class SendGridEvents:
    """The event webhook of an account; see provider_events.Events."""

    key: EllipticCurvePublicKey

    def verify(self, request: HookRequest) -> str:
        """See Events. The key is of what was signed: of one text there are many signatures."""
        stamp = request.headers.get("x-twilio-email-event-webhook-timestamp", "")
        written = request.headers.get("x-twilio-email-event-webhook-signature", "")
        if not stamp or not written:
            raise ForgedError("it has no signature")
        signed = stamp.encode("utf-8", errors="replace") + request.body
        try:
            signature = base64.b64decode(written, validate=True)
            self.key.verify(signature, signed, ECDSA(SHA256()))
        except (binascii.Error, ValueError, InvalidSignature) as error:
            raise ForgedError("its signature is not SendGrid's") from error
        event_values.check_age(event_values.moment(stamp), request.now, _OLDEST)
        return hashlib.sha256(signed).hexdigest()

    def read(self, body: bytes) -> Sequence[ProviderEvent]:
        """See Events: a batch, also of mail that others sent by the account, without our token."""
        told = event_values.decoded(body)
        batch = told if isinstance(told, list) else [told]
        spare = hashlib.sha256(body).hexdigest()
        return [_event(one, f"{spare}.{at}") for at, one in enumerate(batch)]

    def confirmation(self, body: bytes) -> str:
        """See Events: there is nothing to confirm."""
        del body
        return ""


def _event(told: Any, spare: str) -> ProviderEvent:
    text = event_values.text
    word, sort = text(told, "event"), text(told, "type")
    bounced = word == "bounce"
    words = (word, sort if word in {"bounce", "dropped"} else "")
    return ProviderEvent(
        key=text(told, "sg_event_id") or spare,
        kind=_KINDS.get(word, EventKind.UNKNOWN),
        at=event_values.moment(told, "timestamp"),
        token=text(told, "ref"),
        address=text(told, "email"),
        status=text(told, "status"),
        reason=text(told, "reason") or text(told, "response"),
        # A block is about us or the moment: SendGrid goes on mailing the address.
        permanent={"bounce": True, "blocked": False}.get(sort) if bounced else None,
        word=" ".join(filter(None, (*words, text(told, "bounce_classification")))),
    )
