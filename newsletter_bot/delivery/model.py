"""The words of sending: states, outcomes, a message and the person it is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class IssueState(StrEnum):
    """Where an issue stands in the ledger; `draft` and `ready` are said by its file."""

    SENDING = "sending"
    SENT = "sent"
    PAUSED = "paused"
    CANCELLED = "cancelled"


class IssueKind(StrEnum):
    """What a row of `issues` is: both are sent through the same ledger."""

    ISSUE = "issue"
    SEQUENCE = "sequence"  # a message that newcomers get, each at their own time


class DeliveryState(StrEnum):
    """Where one delivery stands; all but the first three are final."""

    PLANNED = "planned"
    SENDING = "sending"  # committed before the byte that could deliver leaves
    DEFERRED = "deferred"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"  # settled by `resolve`, never silently
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one message; the reason is the server's own text and never empty."""

    state: DeliveryState
    reason: str

    def __post_init__(self) -> None:
        if not self.reason:
            raise ValueError("an outcome without a reason")


def accepted(reason: str) -> Outcome:
    """Say that the server took responsibility for the message."""
    return Outcome(DeliveryState.ACCEPTED, reason)


def deferred(reason: str) -> Outcome:
    """Say that the server refused for now (a 4xx): tried again until the issue's deadline."""
    return Outcome(DeliveryState.DEFERRED, reason)


def refused(reason: str) -> Outcome:
    """Say that the server refused for good (a 5xx)."""
    return Outcome(DeliveryState.REFUSED, reason)


def unknown(reason: str) -> Outcome:
    """Say that the message may or may not have been delivered."""
    return Outcome(DeliveryState.UNKNOWN, reason)


@dataclass(frozen=True, slots=True)
class Recipient:
    """One delivery owed to one person, with what their slots are filled with."""

    delivery_id: int
    subscriber_id: int
    address: str
    name: str
    list: str
    values: Mapping[str, str]
    attempts: int = 0
    attempted_at: int | None = None
    relay: str = ""  # that made the last attempt
    unwanted: str = ""  # why it must not be sent after all, as far as was known when it was read
    variant: int = 0  # which of the issue's subjects

    @property
    def domain(self) -> str:
        """The domain of the address, in lower case."""
        return self.address.rpartition("@")[2].lower()


@dataclass(frozen=True, slots=True)
class Message:
    """One message, ready for a transport: envelope and bytes (CRLF lines, not dot-stuffed)."""

    delivery_id: int
    sender: str
    recipient: str
    content: bytes
    needs_smtputf8: bool = False
    dotless: bool = False  # certainly no line begins with a dot: none has to be doubled


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """`planned | deferred → sending`, before the bytes that could deliver leave."""

    delivery_id: int
    again: bool = False  # not the first attempt


@dataclass(frozen=True, slots=True)
class Settle:
    """`sending → outcome`; a deferred one says when to try again (seconds since 1970 UTC)."""

    delivery_id: int
    outcome: Outcome
    not_before: int | None = None
    relay: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    """`sending → planned`: certainly not delivered, still owed."""

    delivery_id: int


class DenialKind(StrEnum):
    """Why a delivery may not begin."""

    SETTLED = "settled"  # somebody settled it already
    UNWANTED = "unwanted"  # the person left or was suppressed: it is skipped
    HALTED = "halted"  # the issue was paused or cancelled: it stays owed


@dataclass(frozen=True, slots=True)
class Denial:
    """The ledger's no to a start."""

    kind: DenialKind
    reason: str


Change = Start | Settle | Release


@dataclass(frozen=True, slots=True)
class Tally:
    """How many deliveries of an issue stand in each state."""

    issue: str
    state: str
    planned: int = 0  # all that were ever planned: the sum the others must reach
    accepted: int = 0
    deferred: int = 0
    refused: int = 0
    skipped: int = 0
    unknown: int = 0
    expired: int = 0
    sending: int = 0

    @property
    def settled(self) -> int:
        """Deliveries that came to an end."""
        return self.accepted + self.refused + self.skipped + self.unknown + self.expired

    @property
    def remaining(self) -> int:
        """Deliveries still owed."""
        return self.planned - self.settled

    @property
    def balanced(self) -> bool:
        """True when every planned delivery came to an end (promise 1)."""
        return self.planned == self.settled

    def to_json(self) -> dict[str, object]:
        """Return the document of `status ISSUE --json`."""
        return {
            "issue": self.issue,
            "state": self.state,
            "planned": self.planned,
            "accepted": self.accepted,
            "deferred": self.deferred,
            "refused": self.refused,
            "skipped": self.skipped,
            "unknown": self.unknown,
            "expired": self.expired,
            "sending": self.sending,
            "remaining": self.remaining,
            "balanced": self.balanced,
        }
