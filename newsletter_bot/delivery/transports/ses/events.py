"""SES's events and notifications, which come by SNS, in our words."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from newsletter_bot.delivery.calls.event_values import date, decoded, text, value
from newsletter_bot.delivery.provider_events import EventKind, HookRequest, ProviderEvent
from newsletter_bot.delivery.transports.ses.sns import (
    NOTIFICATION,
    SUBSCRIPTION,
    Envelope,
    Signatures,
    confirmation_of,
    envelope_of,
)

TAG = "newsletter-bot-ref"  # names of tags: letters, digits, `-` and `_`
_HEADER = "x-newsletter-bot-ref"


class SesEvents:
    """See provider_events.Events; believes what is signed for the topics it was given."""

    def __init__(self, topics: Collection[str], signatures: Signatures) -> None:
        self._topics = frozenset(topics)
        self._signatures = signatures

    def verify(self, request: HookRequest) -> str:
        """See Events; SNS gives a message one id, however often it posts it."""
        return self._signatures.check(request)["MessageId"]

    def confirmation(self, body: bytes) -> str:
        """See Events."""
        envelope = envelope_of(body)
        return "" if envelope is None else confirmation_of(envelope, self._topics)

    def read(self, body: bytes) -> Sequence[ProviderEvent]:
        """See Events; one for each recipient, though a message of ours has but one."""
        envelope = envelope_of(body)
        if envelope is None:
            return [ProviderEvent("unreadable", EventKind.UNKNOWN, 0)]
        return list(_events(envelope))


def _events(envelope: Envelope) -> Iterator[ProviderEvent]:
    key, at = envelope.get("MessageId", ""), date(envelope, "Timestamp")
    if envelope["Type"] == SUBSCRIPTION:
        return
    if envelope["Type"] != NOTIFICATION:
        yield ProviderEvent(key, EventKind.UNKNOWN, at, word=envelope["Type"])
        return
    told = decoded(envelope.get("Message", "").encode("utf-8", errors="replace"))
    name = text(told, "eventType") or text(told, "notificationType")
    if name in _IDLE or envelope.get("Message", "").startswith("Successfully validated SNS topic"):
        return
    for said in _READERS.get(name, _unknown)(told, name):
        address = said.address
        yield ProviderEvent(
            key=f"{key}:{address}",
            kind=said.kind,
            at=said.at or date(told, "mail", "timestamp") or at,
            token=_token(told),
            address=address,
            status=said.status,
            reason=said.reason,
            permanent=said.permanent,
            word=said.word,
        )


# We know that it was taken, and what SNS says when a topic is first used.
_IDLE = frozenset({"Send", "AmazonSnsSubscriptionSucceeded"})


@dataclass(frozen=True, slots=True)
class _Said:
    kind: EventKind
    word: str
    address: str = ""
    at: int = 0
    status: str = ""
    reason: str = ""
    permanent: bool | None = None


def _token(told: Any) -> str:
    """Return our reference: identities' notifications have no tags, but may have headers."""
    tags = value(told, "mail", "tags", TAG)
    if isinstance(tags, list) and tags and isinstance(tags[0], str):
        return text({"tag": tags[0]}, "tag")
    headers = value(told, "mail", "headers")
    for header in headers if isinstance(headers, list) else ():
        if text(header, "name").lower() == _HEADER:
            return text(header, "value")
    return ""


def _recipients(told: Any, *path: str) -> list[Any]:
    """Return a list of recipients, each a table or an address; the mail's where it is none."""
    found = value(told, *path) if path else None
    if not isinstance(found, list) or not found:
        found = value(told, "mail", "destination")
    return found if isinstance(found, list) and found else [""]


def _address(recipient: Any) -> str:
    return text({"address": recipient}, "address") or text(recipient, "emailAddress")


# ── bounces ──────────────────────────────────────────────────────────────────────────────────

_PERMANENT = {"Permanent": True, "Transient": False}
_LISTED = frozenset({"Suppressed", "OnAccountSuppressionList"})
# What a sub-type means, for bounces that no server explains.
_MEANS = {
    "MailboxFull": "mailbox full",
    "MessageTooLarge": "message too large",
    "ContentRejected": "message content rejected",
    "AttachmentRejected": "attachment rejected",
    "Suppressed": "on SES's suppression list: it bounced before",
    "OnAccountSuppressionList": "on the account's suppression list: it bounced before",
}


def _bounce(told: Any, name: str) -> Iterator[_Said]:
    kind, sub = text(told, "bounce", "bounceType"), text(told, "bounce", "bounceSubType")
    for one in _recipients(told, "bounce", "bouncedRecipients"):
        listed = sub in _LISTED  # not tried
        means = _MEANS.get(sub, f"{kind} {sub}".strip())
        yield _Said(
            EventKind.REJECTED if listed else EventKind.BOUNCED,
            f"{name} {kind} {sub}".strip(),
            _address(one),
            date(told, "bounce", "timestamp"),
            text(one, "status"),
            means if listed else text(one, "diagnosticCode") or means,
            _PERMANENT.get(kind),
        )


def _delay(told: Any, name: str) -> Iterator[_Said]:
    for one in _recipients(told, "deliveryDelay", "delayedRecipients"):
        kind = text(told, "deliveryDelay", "delayType")
        yield _Said(
            EventKind.DEFERRED,
            f"{name} {kind}".strip(),
            _address(one),
            date(told, "deliveryDelay", "timestamp"),
            text(one, "status"),
            text(one, "diagnosticCode") or kind,
        )


# ── what readers do ──────────────────────────────────────────────────────────────────────────

# RFC 5965 section 7.3. Nothing that a reader could have meant by it: not-spam is the contrary of a
# complaint, auth-failure and virus are about the message.
_NO_COMPLAINT = frozenset({"not-spam", "auth-failure", "virus"})


def _complaint(told: Any, name: str) -> Iterator[_Said]:
    kind = text(told, "complaint", "complaintFeedbackType").lower()
    found, reason = EventKind.COMPLAINED, kind
    if text(told, "complaint", "complaintSubType") in _LISTED:  # not tried
        found, reason = EventKind.REJECTED, "on the account's suppression list: it had a complaint"
    elif kind in _NO_COMPLAINT:
        found = EventKind.UNKNOWN
    elif kind.startswith("opt-out"):
        found = EventKind.UNSUBSCRIBED
    at = date(told, "complaint", "arrivalDate") or date(told, "complaint", "timestamp")
    for one in _recipients(told, "complaint", "complainedRecipients"):
        yield _Said(found, f"{name} {kind}".strip(), _address(one), at, reason=reason)


def _subscription(told: Any, name: str) -> Iterator[_Said]:
    gone = value(told, "subscription", "newTopicPreferences", "unsubscribeAll") is True
    kind = EventKind.UNSUBSCRIBED if gone else EventKind.UNKNOWN
    at = date(told, "subscription", "timestamp")
    for one in _recipients(told):
        yield _Said(kind, name, _address(one), at, reason=text(told, "subscription", "source"))


# ── the rest ─────────────────────────────────────────────────────────────────────────────────


def _delivery(told: Any, name: str) -> Iterator[_Said]:
    at, words = date(told, "delivery", "timestamp"), text(told, "delivery", "smtpResponse")
    for one in _recipients(told, "delivery", "recipients"):
        yield _Said(EventKind.DELIVERED, name, _address(one), at, reason=words)


def _reject(told: Any, name: str) -> Iterator[_Said]:
    for one in _recipients(told):  # "Bad content": a virus
        yield _Said(EventKind.REJECTED, name, _address(one), reason=text(told, "reject", "reason"))


def _failed(told: Any, name: str) -> Iterator[_Said]:
    for one in _recipients(told):
        yield _Said(
            EventKind.FAILED, name, _address(one), reason=text(told, "failure", "errorMessage")
        )


def _visit(told: Any, name: str) -> Iterator[_Said]:
    kind = EventKind.OPENED if name == "Open" else EventKind.CLICKED
    for one in _recipients(told):
        yield _Said(kind, name, _address(one), date(told, name.lower(), "timestamp"))


def _unknown(told: Any, name: str) -> Iterator[_Said]:
    yield _Said(EventKind.UNKNOWN, name or "no event of SES", _address(_recipients(told)[0]))


_READERS = {
    "Bounce": _bounce,
    "Complaint": _complaint,
    "Delivery": _delivery,
    "DeliveryDelay": _delay,
    "Reject": _reject,
    "Rendering Failure": _failed,
    "RenderingFailure": _failed,
    "Subscription": _subscription,
    "Open": _visit,
    "Click": _visit,
}
