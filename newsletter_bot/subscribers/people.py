"""What may be done with people: the same functions for the web, the API and the command line.

Every change is one transaction of the Writer. Each step of a subscription is written, with its
evidence, by `transitions_store`; the other `*_store` files here hold the SQL of one act each.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from newsletter_bot.errors import DataError
from newsletter_bot.settings.tables import seconds
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.writer import Change
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.address_change_store import Moving, find_change
from newsletter_bot.subscribers.arriving import Arriving, Backing
from newsletter_bot.subscribers.choices_store import (
    Choosing,
    consent_of,
    keep_tags,
    read_address,
    read_choices,
)
from newsletter_bot.subscribers.consent import (
    AddressChange,
    By,
    ChangeState,
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
from newsletter_bot.subscribers.dossier_store import dossier
from newsletter_bot.subscribers.forget_store import Forgetting, wipe
from newsletter_bot.subscribers.given import (
    checked_consent,
    checked_evidence,
    checked_fields,
    checked_language,
    checked_lists,
    checked_name,
    checked_tags,
    checked_text,
)
from newsletter_bot.subscribers.homographs import refuse_homographs
from newsletter_bot.subscribers.model import AddOutcome, NewSubscriber
from newsletter_bot.subscribers.purge_store import Purging
from newsletter_bot.subscribers.store import end_suppression, keep_suppression
from newsletter_bot.subscribers.tokens import Link, UnsubscribeClaim
from newsletter_bot.subscribers.transitions_store import Moment

__all__ = [
    "AddressChange",
    "Backing",
    "By",
    "ChangeState",
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

_LONGEST_REASON = 500  # characters
_LONGEST_PAUSE = 2 * 366 * 86_400  # seconds


class People(Arriving):
    """The people of a newsletter, and everything that may become of them."""

    def subscribe(
        self, person: NewSubscriber, list_id: str, consent: Mapping[str, str], by: By
    ) -> AddOutcome:
        """Subscribe somebody at once, on the word of the operator or of a program.

        Nobody who left or is suppressed is subscribed. Raises DataError.
        """
        settings = self._settings
        checked_lists([list_id], {one.id for one in settings.lists})
        known = {"first_name", *settings.subscribers.fields}
        evidence = checked_consent(consent)
        checked = replace(
            person,
            name=checked_name(person.name),
            language=checked_language(person.language),
            fields=checked_fields(person.fields, known),
        )
        return self._writer.run(
            lambda connection: self._store.add_in(connection, [checked], list_id, evidence, by)[0]
        )

    def unsubscribe(self, who: str | int, lists: Sequence[str] = (), by: By = By.OPERATOR) -> int:
        """End somebody's subscriptions, to some lists or to all; returns how many ended.

        `who` is an address (raises AddressError) or a subscriber's id.
        """
        return self._writer.run(self.unsubscribing(who, lists, by))

    def unsubscribing(self, who: str | int, lists: Sequence[str], by: By) -> Change[int]:
        """Return what `unsubscribe` does as a change for the Writer, which may wait elsewhere."""
        return lambda connection: self._store.unsubscribe_in(connection, who, lists, by)

    def unsubscribe_claim(self, claim: UnsubscribeClaim, by: By) -> int:
        """Do what an unsubscribe token claims; returns how many subscriptions ended.

        A list that was removed meanwhile has no name any more: then from all of them.
        """
        lists = [one.id for one in self._settings.lists if claim.matches(one.id)]
        return self.unsubscribe(claim.subscriber_id, lists, by)

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
                self._persons.get(connection, subscriber_id),
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
            lambda connection: keep_tags(connection, self._persons.get(connection, who), more, less)
        )

    # ── a new address ────────────────────────────────────────────────────────────────────────

    def ask_address_change(self, subscriber_id: int, address: str) -> int:
        """Write to both mailboxes that somebody wants another address; returns the change's id.

        The same for an address that is known. Raises AddressError, LimitError, UnknownPersonError.
        """
        new = parse_address(address)
        refuse_homographs(new)
        until = self._now() + seconds(self._settings.signup.expires)

        return self._writer.run(
            lambda connection: self._moving().ask(connection, subscriber_id, new, until)
        )

    def address_change(self, change_id: int) -> AddressChange | None:
        """Return a change of address; None when there is none, or its person was erased."""
        with reading(self._engine) as connection:
            return find_change(connection, change_id, self._now())

    def agree(self, change_id: int, side: Link) -> AddressChange | None:
        """Note that a mailbox agrees, Link.AGREE_OLD or AGREE_NEW; once both did, it is done.

        Again and in parallel, it is done once. A new address that is somebody's already gets the
        lists of the old one, which ends; a suppressed one gets nothing, and nothing is said.
        """
        old = side is Link.AGREE_OLD
        return self._writer.run(
            lambda connection: self._moving().agree(connection, change_id, old=old)
        )

    # ── the end ──────────────────────────────────────────────────────────────────────────────

    def suppress(self, address: str, reason: str) -> None:
        """Never mail an address again, known or not. Raises AddressError, DataError."""
        hashed = self._persons.hashed(parse_address(address))
        why = checked_text("reason", reason, _LONGEST_REASON)
        self._writer.run(lambda connection: keep_suppression(connection, hashed, why, self._now()))

    def unsuppress(self, address: str) -> bool:
        """Let an address be mailed again; returns whether it was not. Raises AddressError."""
        hashed = self._persons.hashed(parse_address(address))
        return self._writer.run(lambda connection: end_suppression(connection, hashed))

    def forget(self, who: str | int, by: By = By.OPERATOR) -> bool:
        """Erase all about somebody but the keyed hash that keeps mail from them.

        Returns whether there was anything. An address is never mailed again, known or not; raises
        AddressError for one that is none.
        """
        moment = Moment(self._now(), by)
        forgetting = Forgetting(self._persons, self._transitions, self._letters, moment)
        return self._writer.run(lambda connection: forgetting.forget(connection, who))

    def dossier(self, who: str | int) -> dict[str, object] | None:
        """Return all that is held about somebody as a JSON document; None for nothing."""
        with reading(self._engine) as connection:
            return dossier(connection, self._persons, who)

    def purge(self) -> dict[str, int]:
        """Delete what is past its time; returns how many of each. A duty calls it."""
        purging = Purging(self._settings.signup, self.limits, self._now())
        counts = purging.all(self._writer)
        self.wipe()
        return counts

    def wipe(self) -> None:
        """Let go of what the database's files still hold of rows that are gone.

        Not within a change of the Writer.
        """
        wipe(self._engine)

    def _moving(self) -> Moving:
        return Moving(self._persons, self._transitions, self._letters, self._now())
