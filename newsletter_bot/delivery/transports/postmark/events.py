"""Postmark's webhooks in our words; basic authentication is all that shows whose they are."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from newsletter_bot.delivery.calls.basic import credentials
from newsletter_bot.delivery.calls.event_values import date, decoded, text, value
from newsletter_bot.delivery.provider_events import (
    EventKind,
    ForgedError,
    HookRequest,
    ProviderEvent,
)

METADATA = "newsletter-bot-ref"  # 20 characters at most, a value 80


@dataclass(frozen=True, slots=True)
class PostmarkEvents:
    """Webhooks with basic authentication; see provider_events.Events."""

    user: str
    password: str = field(repr=False)

    def verify(self, request: HookRequest) -> str:
        """See Events; it has no signature and no time, so what repeats is known by its key."""
        known = f"{self.user}:{self.password}".encode()
        if not hmac.compare_digest(credentials(request.headers), known):
            raise ForgedError("it does not know the password")
        return _key(request.body)

    def read(self, body: bytes) -> Sequence[ProviderEvent]:
        """See Events; one in each request."""
        told = decoded(body)
        name = text(told, "RecordType")
        kind, permanent, words = _READERS.get(name, _unknown)(told)
        sort = text(told, "Type") or text(told, "SuppressionReason")
        return [
            ProviderEvent(
                key=_key(body),
                kind=kind,
                at=next(filter(None, (date(told, one) for one in _TIMES)), 0),
                token=text(told, "Metadata", METADATA),
                address=text(told, "Email") or text(told, "Recipient"),
                reason=words,
                permanent=permanent,
                word=f"{name} {sort}".strip(),
            )
        ]

    def confirmation(self, body: bytes) -> str:
        """See Events; it asks for none."""
        del body
        return ""


_TIMES = ("BouncedAt", "DeliveredAt", "ChangedAt", "ReceivedAt")
_ONCE = frozenset({"Bounce", "Delivery", "SpamComplaint"})  # for a message and its reader
_Said = tuple[EventKind, bool | None, str]


def _key(body: bytes) -> str:
    """Name an event, the same when it is told again: Postmark gives only bounces an id."""
    told = decoded(body)
    name = text(told, "RecordType")
    if not name:
        return hashlib.sha256(body).hexdigest()
    fields = ["MessageID", "ID", "Email", "Recipient"]
    if name not in _ONCE:
        fields += ["ChangedAt", "ReceivedAt", "OriginalLink", "SuppressSending"]
    said = [name, *(str(value(told, one)) for one in fields)]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


_BOUNCES: dict[str, tuple[EventKind, bool | None]] = {
    "HardBounce": (EventKind.BOUNCED, True),
    "BadEmailAddress": (EventKind.BOUNCED, True),
    "SoftBounce": (EventKind.BOUNCED, False),
    "Transient": (EventKind.DEFERRED, False),
    "DnsError": (EventKind.DEFERRED, False),
    # Filters' words, whatever the name: no reader complained, and none is at fault.
    "SpamNotification": (EventKind.BOUNCED, False),
    "Blocked": (EventKind.BOUNCED, False),
    "DMARCPolicy": (EventKind.BOUNCED, False),
    "VirusNotification": (EventKind.BOUNCED, False),
    "SpamComplaint": (EventKind.COMPLAINED, None),
    "Unsubscribe": (EventKind.UNSUBSCRIBED, None),
    "ManuallyDeactivated": (EventKind.REJECTED, None),
    "Unconfirmed": (EventKind.REJECTED, None),
    "SMTPApiError": (EventKind.FAILED, None),
    "TemplateRenderingFailed": (EventKind.FAILED, None),
    # Answers of people and machines, which are no bounces.
    "AutoResponder": (EventKind.UNKNOWN, None),
    "AddressChange": (EventKind.UNKNOWN, None),
    "ChallengeVerification": (EventKind.UNKNOWN, None),
    "OpenRelayTest": (EventKind.UNKNOWN, None),
    "Subscribe": (EventKind.UNKNOWN, None),
    "InboundError": (EventKind.UNKNOWN, None),
}


# What Postmark makes of these is said beside the server's words, which may not say it.
_ABOUT_US = {
    "SpamNotification": "classified as spam",
    "Blocked": "blocked by policy",
    "DMARCPolicy": "rejected by DMARC policy",
    "VirusNotification": "rejected: virus found",
}


def _bounce(told: Any) -> _Said:
    name = text(told, "Type")
    kind, permanent = _BOUNCES.get(name, (EventKind.BOUNCED, None))
    words = text(told, "Details") or text(told, "Description") or text(told, "Name")
    if name in _ABOUT_US:
        words = f"{words} ({_ABOUT_US[name]})".lstrip()
    return kind, permanent, words


def _complaint(told: Any) -> _Said:
    return EventKind.COMPLAINED, None, text(told, "Details") or text(told, "Description")


def _subscription(told: Any) -> _Said:
    """Follow the stream's suppression list: what it takes up, not what it lets go."""
    why, origin = text(told, "SuppressionReason"), text(told, "Origin")
    if value(told, "SuppressSending") is not True:
        return EventKind.UNKNOWN, None, f"reactivated by {origin}"
    match why:
        case "HardBounce":
            return EventKind.BOUNCED, True, "suppressed after a hard bounce"
        case "SpamComplaint":
            return EventKind.COMPLAINED, None, "suppressed after a complaint"
        case "ManualSuppression" if origin == "Recipient":
            return EventKind.UNSUBSCRIBED, None, "through Postmark's link"
        case _:
            return EventKind.REJECTED, None, f"suppressed by hand ({origin})"


def _unknown(told: Any) -> _Said:
    del told
    return EventKind.UNKNOWN, None, ""


_READERS: dict[str, Callable[[Any], _Said]] = {
    "Bounce": _bounce,
    "SpamComplaint": _complaint,
    "SubscriptionChange": _subscription,
    "Delivery": lambda told: (EventKind.DELIVERED, None, text(told, "Details")),
    "Open": lambda _told: (EventKind.OPENED, None, ""),
    "Click": lambda _told: (EventKind.CLICKED, None, ""),
}
