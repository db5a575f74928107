"""What follows from a batch of events, done in the transaction that writes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from newsletter_bot.delivery.model import DeliveryState
from newsletter_bot.delivery.provider_events import EventKind
from newsletter_bot.delivery.refusals_store import RELAY
from newsletter_bot.delivery.relaying.replies import Kind, kind_of, without_identifiers
from newsletter_bot.feedback.events import events_store
from newsletter_bot.feedback.events.consequences import (
    Act,
    Consequence,
    Known,
    Past,
    Policy,
    consequence,
    soft_run,
)
from newsletter_bot.feedback.events.events_store import Bounce, Tie
from newsletter_bot.feedback.events.happened import MAIL, Proof, Told
from newsletter_bot.feedback.events.subjects_store import Subject, Subjects
from newsletter_bot.feedback.mails.model import Fault
from newsletter_bot.settings.people import HookType
from newsletter_bot.storage.outbox import Outbox
from newsletter_bot.subscribers.consent import By
from newsletter_bot.subscribers.store import keep_suppression
from newsletter_bot.subscribers.transitions_store import Moment, Transitions, lock_people

_THEIRS = frozenset({Fault.HARD, Fault.SOFT})
_REFUSED_THEM = frozenset({Kind.ADDRESS, Kind.MAILBOX})  # what the ledger tells as a bounce
_PROVEN = frozenset({Proof.TOKEN, Proof.MESSAGE_ID})


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that operators should know: it is about us."""

    key: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """An event, whose message it is about, and what followed."""

    told: Told
    subject: Subject | None
    consequence: Consequence

    @property
    def tie(self) -> Tie:
        """What its row says of whom it is about: of somebody erased, the delivery alone."""
        one = self.subject
        if one is None:
            return events_store.UNTIED
        person = None if one.erased else one.person
        return Tie(one.issue_id, one.delivery_id, person, one.erased)


@dataclass(frozen=True, slots=True)
class Rules:
    """What is the same for every batch."""

    policy: Policy
    soft_window: int
    lists: Sequence[str]
    secret: bytes
    outbox: Outbox


@dataclass
class Acting:
    """Decides and does; one for each transaction."""

    rules: Rules
    now: int
    alerts: dict[str, Alert] = field(default_factory=dict)
    _told_of: set[int] = field(default_factory=set)  # deliveries whose bounce was told to webhooks

    def act(self, connection: Connection, told: Sequence[Told]) -> list[Done]:
        """Decide what follows from each and do it; returns them in the order of their times."""
        pairs = self._locked(connection, told)
        pairs.sort(key=lambda pair: (pair[0].at, pair[0].source, pair[0].key))
        past = self._past(connection, pairs)
        done = []
        for one, subject in pairs:
            known = None if subject is None else past.known(one, subject)
            followed = consequence(one, known, self.rules.policy)
            if subject is not None:
                self._do(connection, one, subject, followed)
                past.note(subject, followed)
            done.append(Done(one, subject, followed))
        return done

    def _locked(
        self, connection: Connection, told: Sequence[Told]
    ) -> list[tuple[Told, Subject | None]]:
        """Look up whom they are about, and let nobody change or erase them meanwhile."""
        subjects = Subjects(self.rules.secret, self.now)
        pairs = subjects.find(connection, told)
        people = {one.person for _, one in pairs if one and one.person and not one.erased}
        lock_people(connection, *sorted(people))
        if connection.dialect.name == "postgresql":  # SQLite has one writer at a time
            return subjects.find(connection, told)
        return pairs

    def _past(self, connection: Connection, pairs: Sequence[tuple[Told, Subject | None]]) -> _Past:
        """Read what went before, of those of whom a bounce came."""
        bounced = [
            (one, subject)
            for one, subject in pairs
            if subject and one.kind is EventKind.BOUNCED and one.proof in _PROVEN
        ]
        people = sorted({subject.person for _, subject in bounced if subject.person})
        past = _Past(self.rules)
        if not people:
            return past
        since = self.now - 2 * max(self.rules.soft_window, self.rules.policy.hard_window)
        before = events_store.bounces(connection, people, since)
        self._told_of |= {one.delivery_id for one in before if one.fault in _THEIRS}
        past.bounces(before)
        past.bounces(_as_bounces(bounced))
        softly = sorted({s.person for t, s in bounced if s.person and t.fault is Fault.SOFT})
        if softly:
            past.sent(events_store.sent(connection, softly, since))
        return past

    # ── what is done ─────────────────────────────────────────────────────────────────────────

    def _do(
        self, connection: Connection, told: Told, subject: Subject, followed: Consequence
    ) -> None:
        match followed.act:
            case Act.SUPPRESS:
                self._suppress(connection, subject, followed)
            case Act.UNSUBSCRIBE_AND_SUPPRESS:
                self._leave(connection, subject, (), By.COMPLAINT)
                self._suppress(connection, subject, followed)
            case Act.UNSUBSCRIBE:
                self._leave(connection, subject, self._lists(told, subject), _by(told))
            case Act.ALERT:
                self._alert(told, subject, followed)
            case Act.SCORE | Act.NONE:
                pass
        self._tell(connection, told, subject)

    def _suppress(self, connection: Connection, subject: Subject, followed: Consequence) -> None:
        # Words of ours alone: the reason outlives the person's erasure.
        of = f", {subject.issue}" if subject.issue else ""
        keep_suppression(connection, subject.hashed, f"{followed.why}{of}", self.now)

    def _leave(
        self, connection: Connection, subject: Subject, lists: Sequence[str], by: By
    ) -> None:
        if subject.person is not None:
            moment = Moment(self.now, by)
            Transitions(self.rules.outbox).leave(connection, subject.person, lists, moment)

    def _lists(self, told: Told, subject: Subject) -> Sequence[str]:
        """Return what the reader of a message leaves: its list; all where that is not known."""
        if told.claim is not None:
            return [one for one in self.rules.lists if told.claim.matches(one)]
        return [subject.list] if subject.list else []

    def _alert(self, told: Told, subject: Subject, followed: Consequence) -> None:
        about = subject.issue or "a letter"
        kind = told.feedback or told.rule or told.status
        key = f"feedback:{about}:{told.source}:{kind}:{without_identifiers(told.reason)}"[:200]
        what = "Complaints" if told.kind is EventKind.COMPLAINED else "Mail is blocked"
        text = f"{told.reason or 'No reason was given.'} ({followed.why}; through {told.source})"
        self.alerts.setdefault(key, Alert(key, f"{what}: {about}", text))

    def _tell(self, connection: Connection, told: Told, subject: Subject) -> None:
        """Tell webhooks of a bounce, once for each delivery."""
        number = subject.delivery_id
        if number is None or not self._is_news(told, subject) or number in self._told_of:
            return
        self._told_of.add(number)
        data = {
            "subscriber_id": subject.person,
            "address": subject.address,
            "list": subject.list,
            "issue": subject.issue,
            "reason": told.reason,
        }
        self.rules.outbox.tell(connection, HookType.BOUNCED, data, told.received_at, subject.person)

    @staticmethod
    def _is_news(told: Told, subject: Subject) -> bool:
        # The ledger tells of what relays refuse at once, when they do.
        refused = subject.state == DeliveryState.REFUSED and kind_of(subject.said) in _REFUSED_THEM
        bounce = told.kind is EventKind.BOUNCED and told.fault in _THEIRS
        fits = not (subject.erased or subject.moved or refused) and told.source != RELAY
        return bounce and fits and told.proof in _PROVEN


def _by(told: Told) -> By:
    if told.kind is EventKind.COMPLAINED:
        return By.COMPLAINT
    return By.MAILTO if told.source == MAIL else By.PROVIDER


def _as_bounces(pairs: Iterable[tuple[Told, Subject]]) -> list[Bounce]:
    return [
        Bounce(subject.person, subject.delivery_id, told.fault, told.at)
        for told, subject in pairs
        if subject.person and subject.delivery_id and told.fault
    ]


class _Past:
    """What came back from whom before, and in this batch."""

    def __init__(self, rules: Rules) -> None:
        self._policy = rules.policy
        self._window = rules.soft_window
        self._bounces: dict[int, list[Bounce]] = defaultdict(list)
        self._sent: dict[int, list[events_store.Sent]] = defaultdict(list)
        self._shut: dict[bytes, str] = {}  # suppressed in this batch

    def bounces(self, found: Iterable[Bounce]) -> None:
        for one in found:
            self._bounces[one.subscriber_id].append(one)

    def sent(self, found: Iterable[events_store.Sent]) -> None:
        for one in found:
            self._sent[one.subscriber_id].append(one)

    def note(self, subject: Subject, followed: Consequence) -> None:
        """Remember a suppression, for what follows in this batch."""
        if followed.act in {Act.SUPPRESS, Act.UNSUBSCRIBE_AND_SUPPRESS}:
            self._shut[subject.hashed] = followed.why

    def known(self, told: Told, subject: Subject) -> Known:
        return Known(
            erased=subject.erased,
            mailed_at=subject.mailed_at,
            moved=subject.moved,
            suppression=self._shut.get(subject.hashed, subject.suppression),
            letter=subject.letter,
            hard_before=self._policy.twice and self._hard_before(told, subject),
            soft_issues=self._soft_issues(told, subject),
        )

    def _hard_before(self, told: Told, subject: Subject) -> bool:
        return any(
            one.fault is Fault.HARD
            and one.delivery_id != subject.delivery_id
            and abs(told.at - one.at) <= self._policy.hard_window
            for one in self._bounces[subject.person or 0]
        )

    def _soft_issues(self, told: Told, subject: Subject) -> int:
        if told.fault is not Fault.SOFT or subject.delivery_id is None:
            return 0
        faults: Mapping[int, set[Fault]] = defaultdict(set)
        for one in self._bounces[subject.person or 0]:
            faults[one.delivery_id].add(one.fault)
        history = [
            Past(
                one.delivery_id,
                one.at,
                Fault.SOFT in faults[one.delivery_id],
                one.state == DeliveryState.ACCEPTED and not faults[one.delivery_id],
            )
            for one in self._sent[subject.person or 0]
        ]
        return soft_run(history, subject.delivery_id, self._window)
