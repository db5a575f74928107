"""The SQL of settling sign-ups: what was asked for becomes a letter, or silence."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, RowMapping, bindparam, select, update

from newsletter_bot.storage.tables import signups
from newsletter_bot.subscribers.address import Address
from newsletter_bot.subscribers.consent import INVITED, By, LetterKind
from newsletter_bot.subscribers.letters_store import Letter, Letters
from newsletter_bot.subscribers.model import SubscriptionState
from newsletter_bot.subscribers.persons_store import PersonRow, Persons, states_of
from newsletter_bot.subscribers.signup_store import ASKED, DROPPED, MAILED
from newsletter_bot.subscribers.transitions_store import Moment, Transitions


class Settling:
    """Looks at who is known, which the form never does: its answer and timing tell nothing."""

    def __init__(
        self, persons: Persons, transitions: Transitions, letters: Letters, now: int
    ) -> None:
        self._persons = persons
        self._transitions = transitions
        self._letters = letters
        self._now = now

    def settle(self, connection: Connection, most: int) -> int:
        """Settle the oldest requests; returns how many. Parallel ones take different requests."""
        query = (
            select(signups)
            .where(signups.c.state == ASKED)
            .order_by(signups.c.id)
            .limit(most)
            .with_for_update(skip_locked=True)
        )
        rows = connection.execute(query).mappings().all()
        # In the order of addresses: two processes that lock people do not wait for each other.
        for row in sorted(rows, key=lambda row: (row["address_key"], row["id"])):
            reason = self._answer(connection, row)
            state = DROPPED if reason else MAILED
            settled = {"signup": row["id"], "became": state, "why": reason}
            connection.execute(_SETTLE, settled)
        return len(rows)

    def _answer(self, connection: Connection, row: RowMapping) -> str:
        """Write the letter that a request leads to; returns why no confirmation is waited for."""
        address = Address(row["address"], row["address_key"])
        if self._persons.is_suppressed(connection, address):
            return "suppressed"
        if self._letters.may_write(connection, address):
            return "limit"
        person = self._persons.find_or_make(connection, address, row["language"], self._now)
        states = states_of(connection, person.id)
        if _all_active(states, row):
            self._write(connection, LetterKind.KNOWN, person, {"subscriber": person.id}, row)
            return "known"
        moment = Moment(self._now, _asked_by(row["consent"]))
        self._transitions.ask(connection, person.id, row["lists"], row["consent"], moment)
        self._write(connection, LetterKind.CONFIRM, person, {"signup": row["id"]}, row)
        return ""

    def _write(
        self,
        connection: Connection,
        kind: LetterKind,
        person: PersonRow,
        about: Mapping[str, int],
        row: RowMapping,
    ) -> None:
        language = row["language"] or person.language
        letter = Letter(kind, person.address, language, about, person.id)
        self._letters.owe(connection, letter, self._now)


_SETTLE = (
    update(signups)
    .where(signups.c.id == bindparam("signup"))
    .values(state=bindparam("became"), reason=bindparam("why"))
)


def _asked_by(consent: Mapping[str, str]) -> By:
    source = consent["source"]
    return By.OPERATOR if source == INVITED else By(source)


def _all_active(states: Mapping[str, SubscriptionState], row: RowMapping) -> bool:
    return all(states.get(name) is SubscriptionState.ACTIVE for name in row["lists"])
