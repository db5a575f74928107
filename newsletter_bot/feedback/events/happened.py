"""The words of interpretation: what came in, what it tells of, and how sure it is of whom."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from newsletter_bot.delivery.provider_events import EventKind
from newsletter_bot.feedback.mails.model import Fault
from newsletter_bot.subscribers.tokens import UnsubscribeClaim

MAIL = "mail"  # the source of what mailboxes and pipes bring; others are providers and RELAY


class RawState(StrEnum):
    """Where something that came in stands."""

    NEW = "new"
    READ = "read"
    BROKEN = "broken"  # its reader failed: kept until `events replay`, or until it is purged


@dataclass(frozen=True, slots=True)
class Raw:
    """A request, a mail or a relay's refusal, as it was kept."""

    id: int
    source: str
    key: str
    body: bytes
    received_at: int


class Proof(StrEnum):
    """How sure it is whose message something is about."""

    TOKEN = "token"  # noqa: S105 - no secret; signed by us: in a return path, a header, an event's metadata
    MESSAGE_ID = "message-id"  # one that only we could have made for this person
    ADDRESS = "address"  # an address alone, which anybody can write
    FORGED = "forged"  # a token that we did not make
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that happened, as we were told; whose message it is about is looked up later."""

    source: str
    key: str
    kind: EventKind
    at: int
    raw_id: int
    received_at: int
    proof: Proof = Proof.NONE
    delivery_id: int | None = None
    letter_id: int | None = None
    claim: UnsubscribeClaim | None = None
    fault: Fault | None = None
    status: str = ""
    reason: str = ""  # one line, without addresses
    rule: str = ""  # what decided the fault
    feedback: str = ""  # of complaints by mail: RFC 5965's Feedback-Type
    addresses: tuple[str, ...] = ()
    message_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Read:
    """What became of something that came in: the things it tells of, and why if there are none."""

    raw: Raw
    told: tuple[Told, ...] = ()
    note: str = ""
    state: RawState = RawState.READ
