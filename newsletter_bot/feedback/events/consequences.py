"""What follows from what happened: one pure function, and the reason it gives.

A reader is never at fault for what is said about us, about the way, or in words that nobody
understands (promise 7); and nobody is suppressed on the word of somebody who shows no token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from newsletter_bot.delivery.provider_events import EventKind
from newsletter_bot.delivery.refusals_store import RELAY
from newsletter_bot.feedback.events.happened import MAIL, Proof, Told
from newsletter_bot.feedback.mails.model import Fault


class Act(StrEnum):
    """What is done."""

    NONE = "none"
    SUPPRESS = "suppress"  # the address is never mailed again
    UNSUBSCRIBE_AND_SUPPRESS = "unsubscribe and suppress"
    UNSUBSCRIBE = "unsubscribe"
    SCORE = "score"  # counted, towards a suppression
    ALERT = "alert"  # operators are told; it is about us


@dataclass(frozen=True, slots=True)
class Consequence:
    """What is done, and why, or why nothing is."""

    act: Act
    why: str

    def __str__(self) -> str:
        return f"{self.act}: {self.why}" if self.why else ""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator configured, times in seconds: [feedback]."""

    twice: bool = False  # a hard bounce counts when another delivery's came within `hard_window`
    hard_window: int = 8 * 86_400
    soft_issues: int = 5
    oldest: int = 14 * 86_400  # how old a delivery may be that a mail says was not delivered


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the message and its reader; no Known: there is no such message."""

    erased: bool = False
    mailed_at: int | None = None  # None: nothing was sent
    moved: bool = False  # the reader has had another address since
    suppression: str | None = None
    letter: bool = False  # a mail outside any issue
    hard_before: bool = False  # another delivery bounced hard, recently
    soft_issues: int = 0  # issues in a row that bounced softly, this one among them


def consequence(told: Told, known: Known | None, policy: Policy) -> Consequence:
    """Decide what follows from one event."""
    if told.kind in _QUIET:
        return _none(_QUIET[told.kind])
    doubt = _doubt(told, known)
    if known is None or doubt:
        return _none(doubt or "there is no such message")
    match told.kind:
        case EventKind.COMPLAINED:
            return _complained(told, known)
        case EventKind.UNSUBSCRIBED:
            return Consequence(Act.UNSUBSCRIBE, "the reader asked")
        case EventKind.REJECTED:
            return _rejected(told, known)
        case _:
            return _bounced(told, known, policy)


_QUIET = {
    EventKind.DELIVERED: "",
    EventKind.OPENED: "",
    EventKind.CLICKED: "",
    EventKind.DEFERRED: "it is still being tried",
    EventKind.FAILED: "the provider's own failure",
    EventKind.UNKNOWN: "a word we do not know",
}
_DOUBTS = {
    Proof.FORGED: "its token is not ours",
    Proof.NONE: "nothing ties it to a message of ours",
    Proof.ADDRESS: "an address alone proves nothing",
}


def _none(why: str) -> Consequence:
    return Consequence(Act.NONE, why)


def _doubt(told: Told, known: Known | None) -> str:
    """Say why it cannot be believed, or be about anybody."""
    if told.proof in _DOUBTS:
        return _DOUBTS[told.proof]
    if known is None:
        return ""
    if known.erased:
        return "the person was erased"
    if told.claim is not None:
        # A link is its reader's own word, however long ago it was sent, and no word about messages.
        bounced = told.kind is EventKind.BOUNCED
        return "an unsubscribe link does not say which message came back" if bounced else ""
    return "" if known.mailed_at is not None else "nothing was sent"


# ── complaints (RFC 5965 section 7.3 has the types) ──────────────────────────────────────────

_ABUSE = frozenset({"", "abuse", "fraud", "other"})
_ABOUT_US = frozenset({"auth-failure", "dmarc", "virus"})


def _complained(told: Told, known: Known) -> Consequence:
    if told.feedback.startswith("opt-out"):
        return Consequence(Act.UNSUBSCRIBE, "the reader asked")
    if told.feedback in _ABOUT_US:
        return Consequence(Act.ALERT, f"a report of {told.feedback}")
    if told.feedback not in _ABUSE:
        return _none(f"{told.feedback} is no complaint")
    if told.claim is not None:
        # Whoever was passed the mail on has the link too, which is made for one list.
        return Consequence(Act.UNSUBSCRIBE, "a complaint that shows no more than the link to do so")
    if known.moved:
        return Consequence(Act.UNSUBSCRIBE, "a complaint from the address that was left")
    return Consequence(Act.UNSUBSCRIBE_AND_SUPPRESS, "a complaint")


# ── bounces ──────────────────────────────────────────────────────────────────────────────────


def _bounced(told: Told, known: Known, policy: Policy) -> Consequence:
    if told.fault is Fault.BLOCK:
        # The sender itself tells of what relays refuse because of us.
        about = "it is about us, not the reader"
        return _none(about) if told.source == RELAY else Consequence(Act.ALERT, about)
    if told.fault not in {Fault.HARD, Fault.SOFT}:
        return _none("it is nobody's address that is at fault")
    idle = _idle(told, known, policy)
    if idle:
        return _none(idle)
    return _hard(told, known, policy) if told.fault is Fault.HARD else _soft(known, policy)


def _idle(told: Told, known: Known, policy: Policy) -> str:
    """Say why a bounce that is the reader's changes nothing."""
    # Tokens stand in every message and never expire; a mail that shows one may be anybody's.
    late = told.received_at - (known.mailed_at or 0) > policy.oldest
    if told.source == MAIL and late:
        return "the message is too old for a bounce"
    if known.moved:
        return "the reader has another address now"
    if known.suppression is not None:
        return f"suppressed already: {known.suppression}"
    return ""


def _hard(told: Told, known: Known, policy: Policy) -> Consequence:
    if policy.twice and not known.letter and not known.hard_before:
        return Consequence(Act.SCORE, "the first hard bounce, and [feedback] hard is twice")
    code = f" ({told.status})" if told.status else ""
    return Consequence(Act.SUPPRESS, f"hard bounce{code}")


def _soft(known: Known, policy: Policy) -> Consequence:
    if known.letter:
        return _none("a soft bounce of a letter counts for nothing")
    if known.soft_issues >= policy.soft_issues:
        return Consequence(Act.SUPPRESS, f"soft bounces of {known.soft_issues} issues in a row")
    return Consequence(Act.SCORE, f"soft bounce {known.soft_issues} of {policy.soft_issues}")


# ── not even tried ───────────────────────────────────────────────────────────────────────────

_LEFT_BEFORE = re.compile(r"unsubscri", re.IGNORECASE)
_BOUNCED_BEFORE = re.compile(
    r"bounc|does ?n.t exist|inactive|invalid(?:$| (?:e-?mail|address|recipient|mailbox|user))",
    re.IGNORECASE,
)
_COMPLAINED_BEFORE = re.compile(r"complain|spam ?report|marked .{0,20}spam", re.IGNORECASE)
# "Invalid SMTPAPI header" (SendGrid, 2026-11): all readers' messages are dropped alike.
_OURS = re.compile(r"\b(?:header|sender|quota|rate)\b|\bfrom:? (?:address|field)", re.IGNORECASE)


def _rejected(told: Told, known: Known) -> Consequence:
    """Follow a provider's own suppression list, where it says that the reader is why."""
    if known.moved:
        return _none("the reader has another address now")
    if _OURS.search(told.reason):
        return Consequence(Act.ALERT, "it is about us, not the reader")
    if _COMPLAINED_BEFORE.search(told.reason):
        return Consequence(
            Act.UNSUBSCRIBE_AND_SUPPRESS, "the provider does not try: it had a complaint"
        )
    if _LEFT_BEFORE.search(told.reason):
        return Consequence(Act.UNSUBSCRIBE, "the provider does not try: the reader left there")
    if told.fault is not Fault.HARD and not _BOUNCED_BEFORE.search(told.reason):
        return _none("the provider did not try, and does not say that the reader is why")
    if known.suppression is not None:
        return _none(f"suppressed already: {known.suppression}")
    return Consequence(Act.SUPPRESS, "the provider does not try: it bounced before")


# ── the score of soft bounces ────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Past:
    """One earlier or later delivery to the same reader, and how it went."""

    delivery_id: int
    at: int
    bounced_softly: bool
    arrived: bool  # accepted, and nothing came back


def soft_run(history: list[Past], delivery_id: int, window: int) -> int:
    """Count the issues that bounced softly around a delivery, with none between that arrived.

    Deliveries are counted in the order of their times, whenever their bounces came; the first and
    the last that count are at most `window` seconds apart.
    """
    run: list[Past] = []
    ours = False
    for one in sorted(history, key=lambda past: (past.at, past.delivery_id)):
        if one.arrived:
            if ours:
                break
            run = []
        elif one.bounced_softly:
            run.append(one)
            ours = ours or one.delivery_id == delivery_id
    if not ours:
        return 1
    return sum(one.at >= run[-1].at - window for one in run)
