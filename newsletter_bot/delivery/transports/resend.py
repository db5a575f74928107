"""Resend: a hundred messages in one call, under a key by which it knows the call again for a day.

By its API reference and webhook pages as of November 2026; no live service was called.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parseaddr
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import Field, SecretStr

from newsletter_bot.delivery.calls.answers import by_status, waited
from newsletter_bot.delivery.calls.event_values import (
    date,
    decoded,
    moment,
    text,
    value,
)
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
from newsletter_bot.delivery.calls.structured import structured
from newsletter_bot.delivery.calls.svix import signing_key, verified
from newsletter_bot.delivery.calls.transport import CallTransport
from newsletter_bot.delivery.model import Message, Outcome, accepted, refused
from newsletter_bot.delivery.provider_events import (
    EventKind,
    HookRequest,
    ProviderEvent,
)
from newsletter_bot.settings.tables import Duration, Table, WebAddress, seconds

description = "Resend's API: batches of 100, and a key that makes a repeated call safe for a day."

_TAG = "ref"  # tags: ASCII letters, digits, underscores and dashes
_DONE = frozenset({200, 201})
_INVALID = 422
_SHAPE = Shape(most=100, most_bytes=20_000_000, key_lasts=23 * 3600)
# 503 may come from a machine before theirs: asked again with the same key, as all 5xx are.
_STATUSES = Sorted(
    lasting=frozenset({400, 401, 402, 403, 404, 405, 413, 422, 451}),
    later=frozenset({425, 429}),
)


class Options(Table):
    """[transport] kind = "resend"."""

    api_key: SecretStr = SecretStr("")
    api_key_file: str = ""
    webhook_secret: SecretStr = SecretStr("")
    webhook_secret_file: str = ""
    calls_per_second: float = Field(default=2.0, gt=0, le=1000)  # of a team, by default
    timeout: Duration = "60s"
    url: WebAddress = "https://api.resend.com"


def open_transport(options: Options, folder: Path) -> CallTransport:
    """Read the key; raises ConfigurationError."""
    key = secret_of("api_key", options.api_key, options.api_key_file, folder)
    return CallTransport(
        Resend(options.url, key), seconds(options.timeout), options.calls_per_second
    )


def open_events(options: Options, folder: Path) -> ResendEvents | None:
    """Read the signing secret, None where there is none; raises ConfigurationError."""
    written = secret_of(
        "webhook_secret",
        options.webhook_secret,
        options.webhook_secret_file,
        folder,
        needed=False,
    )
    return ResendEvents(signing_key(written)) if written else None


# ── handing over ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Resend:
    """POST /emails/batch, in permissive mode: an address that is no good spoils no other."""

    url: str
    api_key: str = field(repr=False)

    @property
    def shape(self) -> Shape:
        """See Provider. A key lasts a day by its document; we trust it an hour less."""
        return _SHAPE

    def request(self, messages: Sequence[Message], key: str) -> Request:
        """See Provider."""
        headers = {
            **self._authorized,
            "Content-Type": "application/json",
            "Idempotency-Key": key,
            "x-batch-validation": "permissive",
        }
        content = json.dumps([_email(one) for one in messages], ensure_ascii=False).encode()
        return Request("POST", f"{self.url}/emails/batch", headers, content)

    def read(self, answer: Answer, messages: Sequence[Message]) -> Verdict:
        """See Provider."""
        if answer.status in _DONE:
            return _outcomes(answer, len(messages))
        if answer.status == _INVALID and len(messages) == 1 and "`to`" in answer.find("message"):
            return [refused(f"Resend: {answer.words}")]
        return _by_name(answer) or by_status(answer, _STATUSES) or Unsure(answer.words)

    def check(self, ask: Callable[[Request], Answer], domain: str) -> Sequence[Finding]:
        """See Provider."""
        answer = ask(Request("GET", f"{self.url}/domains", self._authorized))
        if answer.status in _DONE:
            return self._standing(answer, domain, ask)
        if answer.find("name") == "restricted_api_key":
            return [
                Finding(
                    well=True,
                    sentence="The API key may send, and may not tell how the domain stands.",
                )
            ]
        return [
            Finding(
                well=False,
                sentence=f"Resend does not take the API key: {answer.words}.",
                next_step="Make a key at https://resend.com/api-keys and write it into the file"
                " that api_key_file names.",
            )
        ]

    def _standing(
        self, answer: Answer, domain: str, ask: Callable[[Request], Answer]
    ) -> Sequence[Finding]:
        listed = value(answer.json, "data")
        entries = listed if isinstance(listed, list) else []
        known = {text(one, "name").lower(): one for one in entries}
        above = domain.lower()
        while above and above not in known:
            above = above.partition(".")[2]
        if text(known.get(above), "status") != "verified":
            return [_unverified(domain, text(known.get(above), "status"))]
        place = f"{self.url}/domains/{quote(text(known[above], 'id'), safe='')}"
        tracking = _tracking(ask(Request("GET", place, self._authorized)), above)
        return [Finding(well=True, sentence=f"Resend sends for {above}."), *tracking]

    @property
    def _authorized(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.api_key}", "Accept": "application/json"}


def _email(message: Message) -> dict[str, Any]:
    parts = structured(message)
    found = {
        "from": _mailbox(parts.sender),
        "to": [parts.recipient],
        "subject": parts.subject,
        "html": parts.html,
        "text": parts.text,
        "headers": dict(parts.headers),
        "tags": [{"name": _TAG, "value": parts.reference}],
    }
    if parts.reply_to:
        found["reply_to"] = [parseaddr(parts.reply_to)[1]]
    if not parts.reference:  # a proof or a letter may have none
        del found["tags"]
    return found


def _mailbox(written: str) -> str:
    # Resend refuses names between quotes, as RFC 5322 has them, encoded ones as well, and a bare
    # name with punctuation in it (django-anymail's notes, 2026-11).
    name, address = parseaddr(written)
    plain = re.sub(r'[\s"(),:;<>@\[\\\]]+', " ", name).strip()
    return f"{plain} <{address}>" if plain else address


def _outcomes(answer: Answer, count: int) -> Verdict:
    """Read who was taken: `data` are those, in order, `errors` the others by their place."""
    document = answer.json
    taken, errors = value(document, "data"), value(document, "errors")
    refusals = _refusals(errors, count)
    if not isinstance(taken, list) or refusals is None or len(taken) + len(refusals) != count:
        return Unsure(f"an answer that does not fit {count} messages: {answer.words}")
    names = [text(one, "id") for one in taken]
    if not all(names):
        return Unsure(f"a message without an id: {answer.words}")
    ids = iter(names)
    return [refusals.get(at) or accepted(f"Resend {next(ids)}") for at in range(count)]


def _refusals(errors: Any, count: int) -> dict[int, Outcome] | None:
    if errors is None:
        return {}
    found: dict[int, Outcome] = {}
    for one in errors if isinstance(errors, list) else [None]:
        at = value(one, "index")
        if not isinstance(at, int) or isinstance(at, bool) or at in found or not 0 <= at < count:
            return None
        found[at] = refused(f"Resend: {text(one, 'message') or 'not valid'}")
    return found


def _by_name(answer: Answer) -> NotTaken | None:
    """Sort an error by its name (https://resend.com/docs/api-reference/errors, 2026-11)."""
    match answer.find("name"):
        case "daily_quota_exceeded" | "monthly_quota_exceeded":
            return NotTaken(f"the quota at Resend is used up: {answer.words}", lasting=True)
        case "rate_limit_exceeded":
            return NotTaken(answer.words, waited(answer))
        case "concurrent_idempotent_requests":
            return NotTaken(answer.words, waited(answer) or 2.0)
        case "invalid_idempotent_request":
            why = "a call was made again with other bytes under its key, which is a mistake of ours"
            return NotTaken(f"{why}: {answer.words}", lasting=True)
        case _:
            return None


def _unverified(domain: str, status: str) -> Finding:
    return Finding(
        well=False,
        sentence=f"{domain} is {status or 'not known'} at Resend: it sends nothing for it.",
        next_step=f"Add {domain} at https://resend.com/domains, and the records it shows to DNS.",
    )


def _tracking(answer: Answer, domain: str) -> list[Finding]:
    """Tracking is a setting of the domain, which no call can switch off."""
    kinds = [one for one in ("open", "click") if value(answer.json, f"{one}_tracking") is True]
    return [
        Finding(
            well=False,
            sentence=f"Resend counts {one}s for {domain}: it changes what readers get.",
            next_step="Switch it off on the domain's page at https://resend.com/domains.",
            grave=False,
        )
        for one in kinds
    ]


# ── events ───────────────────────────────────────────────────────────────────────────────────

_KINDS = {
    "email.delivered": EventKind.DELIVERED,
    "email.delivery_delayed": EventKind.DEFERRED,
    "email.bounced": EventKind.BOUNCED,
    "email.complained": EventKind.COMPLAINED,
    "email.suppressed": EventKind.REJECTED,
    "email.failed": EventKind.FAILED,
    "email.opened": EventKind.OPENED,
    "email.clicked": EventKind.CLICKED,
}
_PERMANENT = {"Permanent": True, "Transient": False}


@dataclass(frozen=True, slots=True)
class ResendEvents:
    """One event in each request, signed by Svix."""

    key: bytes

    def verify(self, request: HookRequest) -> str:
        """See Events."""
        return verified(self.key, request)

    def read(self, body: bytes) -> Sequence[ProviderEvent]:
        """See Events."""
        told = decoded(body)
        word = text(told, "type")
        if word.startswith("email.") and word in {"email.sent", "email.scheduled"}:
            return []  # nothing that we do not know
        bounce = value(told, "data", "bounce")
        event = ProviderEvent(
            key=hashlib.sha256(body).hexdigest(),
            kind=_KINDS.get(word, EventKind.UNKNOWN),
            at=date(told, "created_at") or moment(told, "created_at"),
            token=_token(value(told, "data", "tags")),
            address=_address(value(told, "data", "to")),
            reason=_reason(told),
            permanent=_PERMANENT.get(text(bounce, "type")),
            word=word,
        )
        return [event]

    def confirmation(self, body: bytes) -> str:
        """See Events; Resend asks for none."""
        del body
        return ""


def _token(tags: Any) -> str:
    # Documented as a table, seen as a list of name and value too.
    if isinstance(tags, list):
        return next((text(one, "value") for one in tags if text(one, "name") == _TAG), "")
    return text(tags, _TAG)


def _address(to: Any) -> str:
    first = to[0] if isinstance(to, list) and to else to
    return parseaddr(first)[1] if isinstance(first, str) else ""


def _reason(told: Any) -> str:
    codes = value(told, "data", "bounce", "diagnosticCode")
    if isinstance(codes, list):
        said = "; ".join(one for one in codes if isinstance(one, str))
        if said:
            return text({"said": said}, "said")
    kinds = ("bounce", "failed", "suppressed", "delivery_delayed")
    places = [("data", one, word) for one in kinds for word in ("message", "reason")]
    return next((found for one in places if (found := text(told, *one))), "")
