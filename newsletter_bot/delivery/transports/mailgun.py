"""Mailgun: our own MIME by `messages.mime`, one recipient a call, and its webhooks.

Facts are those of documentation.mailgun.com, read in 2026-11.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import Field, SecretStr

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
from newsletter_bot.delivery.calls.structured import reference_of, without_signature
from newsletter_bot.delivery.calls.transport import CallTransport
from newsletter_bot.delivery.model import Message, accepted, refused
from newsletter_bot.delivery.provider_events import (
    EventKind,
    ForgedError,
    HookRequest,
    ProviderEvent,
)
from newsletter_bot.settings.tables import Duration, OneLine, Table, WebAddress, seconds

description = "Mailgun by its API (`messages.mime`): our own MIME, signed by Mailgun."

_BASES = {"us": "https://api.mailgun.net", "eu": "https://api.eu.mailgun.net"}
_OK = 200
_BAD_REQUEST = 400
_TOO_LARGE = 413
# Nothing says that a 503 comes before the message is taken.
_STATUSES = Sorted(later=frozenset({425, 429}))
_SHAPE = Shape(most=1, most_bytes=25_000_000)
# "'to' parameter is not a valid address. please check documentation"
_ABOUT_RECIPIENT = re.compile(
    r"'to' parameter|\brecipient\b.{0,60}\b(?:in|not )valid", re.IGNORECASE
)
# It asks again for eight hours (10, 10, 15, 30 minutes; 1, 2, 4 hours), and nothing says that it
# signs anew each time. A shorter window would lose bounces; what repeats is known by its token.
_OLDEST = 9 * 3600.0


class Options(Table):
    """[transport] kind = "mailgun"."""

    domain: Annotated[OneLine, Field(min_length=1)]
    api_key: SecretStr = SecretStr("")
    api_key_file: str = ""
    region: Literal["us", "eu"] = "us"
    url: WebAddress | None = None
    timeout: Duration = "60s"
    webhook_signing_key: SecretStr = SecretStr("")
    webhook_signing_key_file: str = ""


def open_transport(options: Options, folder: Path) -> CallTransport:
    """Use the domain `domain` with a sending key; raises ConfigurationError without one."""
    base = options.url or _BASES[options.region]
    key = secret_of("api_key", options.api_key, options.api_key_file, folder)
    return CallTransport(Mailgun(base, options.domain, key), seconds(options.timeout))


def open_events(options: Options, folder: Path) -> MailgunEvents | None:
    """Hear webhooks that are signed with `webhook_signing_key`."""
    key = secret_of(
        "webhook_signing_key",
        options.webhook_signing_key,
        options.webhook_signing_key_file,
        folder,
        needed=False,
    )
    return MailgunEvents(key) if key else None


@dataclass(frozen=True, slots=True)
class Mailgun:
    """One domain of an account; see calls.model.Provider."""

    base: str
    domain: str
    key: str = field(repr=False)
    shape: Shape = _SHAPE

    def request(self, messages: Sequence[Message], key: str) -> Request:
        """See Provider; our reference comes back in events as the variable `ref`."""
        del key  # it has none
        (message,) = messages
        content = without_signature(message.content)
        fields = {
            "to": message.recipient,
            "o:tracking": "no",
            "o:tracking-clicks": "no",
            "o:tracking-opens": "no",
            "v:ref": reference_of(content),
        }
        boundary = hashlib.sha256(content).hexdigest()
        return Request(
            "POST",
            f"{self.base}/v3/{quote(self.domain, safe='')}/messages.mime",
            {**self._headers(), "Content-Type": f"multipart/form-data; boundary={boundary}"},
            _form(fields, content, boundary),
        )

    def read(self, answer: Answer, messages: Sequence[Message]) -> Verdict:
        """See Provider."""
        del messages  # one
        if answer.status == _OK:
            name = answer.find("id")
            # A page in between, or half an answer, says nothing of what Mailgun did.
            return [accepted(f"Mailgun took it as {name}")] if name else Unsure(answer.words)
        if answer.status == _TOO_LARGE:
            return [refused(f"{answer.words} (message too large)")]
        if answer.status == _BAD_REQUEST and _ABOUT_RECIPIENT.search(answer.find("message")):
            return [refused(answer.words)]
        # Of other 4xx the next message would hear the same: the sender, the account, our request.
        return by_status(answer, _STATUSES) or NotTaken(answer.words, lasting=True)

    def check(self, ask: Callable[[Request], Answer], domain: str) -> Sequence[Finding]:
        """See Provider: the domain's state and records, and what Mailgun would add to mails."""
        place = f"{self.base}/v3/domains/{quote(self.domain, safe='')}"
        answer = ask(Request("GET", place, self._headers()))
        if answer.status != _OK:
            return [self._no_answer(answer)]
        found = [self._state(answer), *_records(answer)]
        if domain.lower() != self.domain.lower():
            found.append(self._other_domain(domain))
        tracking = ask(Request("GET", f"{place}/tracking", self._headers()))
        return [*found, *_additions(tracking)]

    def _headers(self) -> dict[str, str]:
        word = base64.b64encode(f"api:{self.key}".encode()).decode()
        return {"Authorization": f"Basic {word}"}

    def _no_answer(self, answer: Answer) -> Finding:
        if answer.status in {401, 403}:
            return Finding(
                well=False,
                sentence=f"Mailgun refuses the API key: {answer.words}",
                next_step="Make a key in Mailgun under API keys, for the right region; a domain's"
                " sending key can send and not look, which this check needs.",
            )
        return Finding(
            well=False,
            sentence=f"Mailgun says nothing of {self.domain}: {answer.words}",
            next_step='Write `domain` as Mailgun lists it, and region = "eu" when it lies there.',
        )

    def _state(self, answer: Answer) -> Finding:
        state = answer.find("domain", "state") or "unknown"
        return Finding(
            well=state == "active",
            sentence=f"Mailgun calls the domain {self.domain} {state}.",
            next_step="" if state == "active" else "Look at the domain in Mailgun and verify it.",
        )

    def _other_domain(self, domain: str) -> Finding:
        # Its DKIM signature then names the one domain, and From the other.
        above = domain.lower().endswith(f".{self.domain.lower()}")
        below = self.domain.lower().endswith(f".{domain.lower()}")
        return Finding(
            well=above or below,
            sentence=f"Mailgun signs as {self.domain}, and the sender's domain is {domain}.",
            next_step=""
            if above or below
            else "Send from Mailgun's domain, or add the sender's domain to Mailgun: DMARC fails.",
        )


def _form(fields: dict[str, str], content: bytes, boundary: str) -> bytes:
    head = 'Content-Disposition: form-data; name="'
    parts = [f'--{boundary}\r\n{head}{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
    mime = (
        f'--{boundary}\r\n{head}message"; filename="message.eml"\r\n'
        "Content-Type: message/rfc822\r\n\r\n"
    )
    return b"".join(
        ("".join(parts).encode(), mime.encode(), content, f"\r\n--{boundary}--\r\n".encode())
    )


def _records(answer: Answer) -> Iterator[Finding]:
    records = event_values.value(answer.json, "sending_dns_records")
    for record in records if isinstance(records, list) else ():
        valid, kind = event_values.text(record, "valid"), event_values.text(record, "record_type")
        # The CNAME serves tracking alone, which is off.
        if valid and valid != "valid" and kind != "CNAME":
            name = event_values.text(record, "name")
            yield Finding(
                well=False,
                sentence=f"Mailgun does not find its {kind} record at {name} ({valid}).",
                next_step=f"Publish there: {event_values.text(record, 'value')}",
            )


def _additions(answer: Answer) -> Iterator[Finding]:
    # `o:tracking=no` holds for clicks and opens; the footer and header are the domain's alone.
    active = event_values.value(answer.json, "tracking", "unsubscribe", "active")
    if answer.status == _OK and str(active).lower() in {"true", "yes"}:
        yield Finding(
            well=False,
            sentence="Mailgun adds unsubscribe links of its own, which we do not hear of in time.",
            next_step="Switch unsubscribe tracking off in the domain's settings.",
            grave=False,
        )


_KINDS = {
    "delivered": EventKind.DELIVERED,
    "failed": EventKind.BOUNCED,
    "rejected": EventKind.REJECTED,
    "complained": EventKind.COMPLAINED,
    "unsubscribed": EventKind.UNSUBSCRIBED,
    "opened": EventKind.OPENED,
    "clicked": EventKind.CLICKED,
}


@dataclass(frozen=True, slots=True)
class MailgunEvents:
    """Webhooks of an account; see provider_events.Events."""

    signing_key: str = field(repr=False)

    def verify(self, request: HookRequest) -> str:
        """See Events. The key is the signature's token.

        The signature covers timestamp and token, and nothing of what is told. Whoever got hold of
        one could put another body behind it; but then a request of this key is kept already, and
        only one is kept. An event names a delivery by our own token besides, which is verified.
        """
        told = event_values.decoded(request.body)
        stamp = event_values.text(told, "signature", "timestamp")
        token = event_values.text(told, "signature", "token")
        if not stamp or not token:
            raise ForgedError("it has no signature")
        made = hmac.digest(self.signing_key.encode(), f"{stamp}{token}".encode(), "sha256").hex()
        # Of a subaccount's event the main account's signature is the second.
        names = ("signature", "parent-signature")
        given = [event_values.text(told, "signature", name) for name in names]
        if not any(hmac.compare_digest(made.encode(), one.encode()) for one in given):
            raise ForgedError("its signature is not Mailgun's")
        event_values.check_age(event_values.moment(stamp), request.now, _OLDEST)
        return hashlib.sha256(token.encode()).hexdigest()

    def read(self, body: bytes) -> Sequence[ProviderEvent]:
        """See Events: one event a request."""
        return [_event(event_values.value(event_values.decoded(body), "event-data"), body)]

    def confirmation(self, body: bytes) -> str:
        """See Events: there is nothing to confirm."""
        del body
        return ""


def _event(told: Any, body: bytes) -> ProviderEvent:
    text = event_values.text
    word, at = text(told, "event"), event_values.moment(told, "timestamp")
    severity, why = text(told, "severity"), text(told, "reason")
    name = text(told, "id") or hashlib.sha256(body).hexdigest()
    return ProviderEvent(
        key=f"{name}@{at}",  # an id is unique for a day
        kind=_kind(word, severity, why),
        at=at,
        token=text(told, "user-variables", "ref"),
        address=text(told, "recipient"),
        status=text(told, "delivery-status", "enhanced-code"),
        reason=_reason(told, why),
        permanent={"permanent": True, "temporary": False}.get(severity),
        word=" ".join(filter(None, (word, severity, why))),
    )


def _kind(word: str, severity: str, why: str) -> EventKind:
    if word == "failed" and why.startswith("suppress-"):
        return EventKind.REJECTED  # its own suppression list: nothing was tried
    if word == "failed" and severity == "temporary":
        return EventKind.DEFERRED  # it tries again, and tells of the end
    return _KINDS.get(word, EventKind.UNKNOWN)


def _reason(told: Any, why: str) -> str:
    text = event_values.text
    status = "delivery-status"
    said = text(told, status, "message") or text(told, status, "description")
    said = said or text(told, "reject", "reason") or text(told, "reject", "description") or why
    code = text(told, status, "code")
    # Codes of Mailgun's own (498, 605, 607, …) are no reply of a server.
    known = re.fullmatch(r"[245][0-5]\d", code) and not said.startswith(code)
    return f"{code} {said}" if known else said
