"""What may be done with people: the same functions for the web, the API and the command line.

Every change is one transaction of the Writer. Each step of a subscription is written, with its
evidence, by `transitions_store`; the other `*_store` files here hold the SQL of one act each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Engine

from newsletter_bot.errors import DataError
from newsletter_bot.settings import Settings
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.outbox import Outbox
from newsletter_bot.storage.writer import Writer
from newsletter_bot.subscribers.asking_store import Asking
from newsletter_bot.subscribers.choices_store import (
    Choosing,
    consent_of,
    keep_tags,
    read_address,
    read_choices,
)
from newsletter_bot.subscribers.consent import (
    By,
    Choices,
    ClosedError,
    Confirmed,
    Evidence,
    Frequency,
    LimitError,
    PendingSignup,
    SignupRequest,
    SignupState,
    UnknownPersonError,
)
from newsletter_bot.subscribers.given import (
    checked_evidence,
    checked_fields,
    checked_language,
    checked_lists,
    checked_name,
    checked_tags,
    network_prefix,
)
from newsletter_bot.subscribers.letters_store import Letters
from newsletter_bot.subscribers.limits_store import Limits
from newsletter_bot.subscribers.model import AddOutcome, NewSubscriber
from newsletter_bot.subscribers.persons_store import PersonRow, Persons
from newsletter_bot.subscribers.settle_store import Settling
from newsletter_bot.subscribers.signup_store import Confirming, find_signup, keep_request
from newsletter_bot.subscribers.spike_store import Spikes
from newsletter_bot.subscribers.store import SubscriberStore
from newsletter_bot.subscribers.transitions_store import Moment, Transitions

__all__ = [
    "Backing",
    "By",
    "Choices",
    "ClosedError",
    "Confirmed",
    "Evidence",
    "Frequency",
    "LimitError",
    "PendingSignup",
    "People",
    "SignupRequest",
    "SignupState",
    "UnknownPersonError",
]

_AT_ONCE = 50  # requests settled in one transaction
_LONGEST_PAUSE = 2 * 366 * 86_400  # seconds


@dataclass(frozen=True, slots=True)
class Backing:
    """What people are kept in: the database, its writer, the outbox, the secret behind hashes."""

    engine: Engine
    writer: Writer
    outbox: Outbox
    secret: bytes
    clock: Callable[[], float] = time.time


class People:
    """The people of a newsletter, and everything that may become of them."""

    def __init__(self, settings: Settings, backing: Backing) -> None:
        self._settings = settings
        self._engine = backing.engine
        self._writer = backing.writer
        self._clock = backing.clock
        self._store = SubscriberStore(backing.engine, backing.secret, backing.clock, backing.outbox)
        self._persons = Persons(backing.secret)
        self._transitions = Transitions(backing.outbox)
        self.limits = Limits(backing.clock)
        self._letters = Letters(backing.secret, self.limits)
        self._spikes = Spikes(settings.signup, self.limits)
        self._asking = Asking(settings, self.limits, self._spikes, backing.clock)

    # ── signing up ───────────────────────────────────────────────────────────────────────────

    def ask(self, request: SignupRequest) -> int:
        """Keep a request of the form; returns its id. `settle` does the rest.

        Who is known is not looked at: the answer and the work are the same for everybody. Raises
        AddressError, DataError (no list, or none that is public; a text that is none), LimitError,
        ClosedError.
        """
        asked = self._asking.public(request)
        return self._writer.run(
            lambda connection: self._asking.admit(connection, asked, proved=request.proved)
        )

    def invite(self, request: SignupRequest, by: By = By.OPERATOR) -> int:
        """Ask somebody to confirm, for an operator or a program: without the form's limits.

        Those of letters to one mailbox hold here too. Raises AddressError, DataError.
        """
        source = "invited by the operator" if by is By.OPERATOR else by.value
        asked = self._asking.invited(request, source)
        return self._writer.run(lambda connection: keep_request(connection, asked))

    def settle(self, most: int = 200) -> int:
        """Turn requests into pending subscriptions and letters; returns how many were settled."""
        done = 0
        while done < most:
            limit = min(_AT_ONCE, most - done)
            count = self._settled(limit)
            done += count
            if count < limit:
                break
        if done:
            self._writer.run(lambda connection: self._spikes.look(connection, self._now()))
        return done

    def _settled(self, most: int) -> int:
        settling = Settling(self._persons, self._transitions, self._letters, self._now())
        return self._writer.run(lambda connection: settling.settle(connection, most))

    def signup(self, signup_id: int) -> PendingSignup | None:
        """Return a request that was mailed; None when there is none, or it was purged."""
        with reading(self._engine) as connection:
            return find_signup(connection, signup_id, self._now())

    def confirm(self, signup_id: int, prefix: str = "") -> Confirmed | None:
        """Make a request's subscriptions active; None when it was purged.

        Again and in parallel, it is done once and answered the same. `prefix` is the network that
        the confirmation came from.
        """
        welcome = self._settings.signup.welcome
        confirming = Confirming(self._persons, self._transitions, self._letters, welcome=welcome)
        network = network_prefix(prefix)
        return self._writer.run(
            lambda connection: confirming.confirm(connection, signup_id, network, self._now())
        )

    def spike(self) -> str | None:
        """Say why sign-ups are paused just now; None when they are not."""
        with reading(self._engine) as connection:
            return self._spikes.reason(connection, self._now())

    # ── one person ───────────────────────────────────────────────────────────────────────────

    def subscribe(
        self, person: NewSubscriber, list_id: str, consent: Mapping[str, str], by: By
    ) -> AddOutcome:
        """Subscribe somebody at once, on the word of the operator or of a program.

        Nobody who left or is suppressed is subscribed. Raises DataError.
        """
        settings = self._settings
        checked_lists([list_id], {one.id for one in settings.lists})
        known = {"first_name", *settings.subscribers.fields}
        checked = replace(
            person,
            name=checked_name(person.name),
            language=checked_language(person.language),
            fields=checked_fields(person.fields, known),
        )
        return self._writer.run(
            lambda connection: self._store.add_in(connection, [checked], list_id, consent, by)[0]
        )

    def unsubscribe(self, who: str | int, lists: Sequence[str] = (), by: By = By.OPERATOR) -> int:
        """End somebody's subscriptions, to some lists or to all; returns how many ended.

        `who` is an address (raises AddressError) or a subscriber's id.
        """
        return self._writer.run(
            lambda connection: self._store.unsubscribe_in(connection, who, lists, by)
        )

    def choices(self, subscriber_id: int) -> Choices | None:
        """Return what somebody chose; None for nobody, or somebody erased."""
        with reading(self._engine) as connection:
            return read_choices(connection, subscriber_id)

    def address_of(self, subscriber_id: int) -> str | None:
        """Return somebody's address; None for nobody, or somebody erased."""
        with reading(self._engine) as connection:
            return read_address(connection, subscriber_id)

    def choose(
        self, subscriber_id: int, choices: Choices, by: By, evidence: Evidence | None = None
    ) -> None:
        """Write what somebody chose. Lists are joined at once: the link came to their own mailbox.

        Raises DataError, UnknownPersonError.
        """
        checked = self._checked_choices(choices)
        moment = Moment(self._now(), by)
        consent = consent_of(checked_evidence(evidence or Evidence()), moment)
        open_to_all = {one.id for one in self._settings.lists if one.public or by is not By.PAGE}
        choosing = Choosing(self._transitions, open_to_all)
        self._writer.run(
            lambda connection: choosing.keep(
                connection,
                _found(self._persons.find(connection, subscriber_id)),
                checked,
                consent,
                moment,
            )
        )

    def _checked_choices(self, choices: Choices) -> Choices:
        until = choices.paused_until
        now = self._now()
        if until is not None and until > now + _LONGEST_PAUSE:
            raise DataError("A pause of more than two years.", "Unsubscribe instead.")
        return Choices(
            checked_name(choices.name),
            checked_language(choices.language),
            choices.frequency,
            until if until is not None and until > now else None,
            choices.lists,
        )

    def set_tags(
        self, who: str | int, add: Collection[str], remove: Collection[str]
    ) -> tuple[str, ...]:
        """Add and remove tags of somebody; returns all they have. Raises DataError."""
        more, less = checked_tags(add), checked_tags(remove)
        return self._writer.run(
            lambda connection: keep_tags(
                connection, _found(self._persons.find(connection, who)), more, less
            )
        )

    def _now(self) -> int:
        return int(self._clock())


def _found(person: PersonRow | None) -> PersonRow:
    if person is None:
        raise UnknownPersonError
    return person
