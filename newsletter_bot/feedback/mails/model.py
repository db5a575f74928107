"""What a mail that came back says: its kind, whom it is about, and what ties it to a delivery."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What a mail is."""

    BOUNCE = "bounce"  # a message was not delivered, for good
    COMPLAINT = "complaint"  # a reader called it spam (RFC 5965)
    DELAY = "delay"  # not delivered yet, still being tried
    AUTO_REPLY = "auto-reply"  # nobody wrote it: on holiday, no longer here, read receipts
    UNSUBSCRIBE = "unsubscribe"  # sent to the address of a List-Unsubscribe header
    OTHER = "other"  # anything else: a person, a challenge, a report of success


class Fault(StrEnum):
    """Whose fault a failure is; in JSON and in the documents it is called `class`."""

    HARD = "hard"  # the address: nobody there, no such domain, closed for good
    SOFT = "soft"  # the mailbox, and not for good: full, greylisted, message too large
    BLOCK = "block"  # we: our name, reputation, authentication, content; never the reader
    TECHNICAL = "technical"  # neither: expired, loops, name servers, servers out of order


@dataclass(frozen=True, slots=True)
class Affected:
    """One address that a mail tells something about."""

    address: str  # the one we wrote to, where both are told
    status: str  # enhanced code (RFC 3463) like "5.1.1", or ""
    fault: Fault
    reason: str  # what was said, in one line
    rule: str  # the rule of `rules.py` or the code that decided
    found: str  # where the address stood
    final: str = ""  # where it went in the end, if that is another address


@dataclass(frozen=True, slots=True)
class Ties:
    """What ties a mail to one of our deliveries, best first; nothing of it is verified here."""

    bounce_tokens: tuple[str, ...] = ()  # for TokenSigner.read_bounce_token
    unsubscribe_tokens: tuple[str, ...] = ()  # for TokenSigner.read_unsubscribe_token
    envelope_ids: tuple[str, ...] = ()  # Original-Envelope-Id (RFC 3464 section 2.2.1)
    message_ids: tuple[str, ...] = ()  # of the message that was returned, without brackets

    def __bool__(self) -> bool:
        return bool(
            self.bounce_tokens or self.unsubscribe_tokens or self.envelope_ids or self.message_ids
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """What one mail says."""

    kind: Kind
    reason: str  # why it is of this kind, a sentence
    found: str  # what told so: "delivery-status", "feedback-report", "text", a header's name …
    recipients: tuple[Affected, ...] = ()
    ties: Ties = field(default_factory=Ties)
    feedback: str = ""  # of complaints: the Feedback-Type, "abuse" where none is told
    sender: str = ""  # From, as written
    subject: str = ""
    message_id: str = ""  # of the mail itself, to know it again
    cut: bool = False  # longer than what is read

    def about(self, address: str) -> Affected | None:
        """Return what is told of an address; of several, where none is named, the least grave.

        A delivery that a token names has one reader, whatever address a forwarder reports.
        """
        wanted = address.casefold()
        for one in self.recipients:
            if wanted in {one.address.casefold(), one.final.casefold()}:
                return one
        return min(self.recipients, key=lambda one: one.fault is Fault.HARD, default=None)
