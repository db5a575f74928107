"""The SQL of sign-ups: what the form asked for, and the confirmation from the mailbox itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, insert, select, update

from newsletter_bot.storage.tables import signups, subscribers
from newsletter_bot.subscribers.address import Address
from newsletter_bot.subscribers.consent import (
    By,
    Confirmed,
    LetterKind,
    PendingSignup,
    SignupState,
)
from newsletter_bot.subscribers.letters_store import Letter, Letters
from newsletter_bot.subscribers.persons_store import PersonRow, Persons
from newsletter_bot.subscribers.transitions_store import Moment, Transitions

ASKED = "asked"
MAILED = "mailed"
CONFIRMED = "confirmed"
DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Asked:
    """A checked request: who, what for, and until when its link works."""

    address: Address
    lists: tuple[str, ...]
    name: str
    language: str
    consent: Mapping[str, str]
    asked_at: int
    expires_at: int


def keep_request(connection: Connection, asked: Asked) -> int:
    """Write a request that is to be settled; returns its id, which its token carries."""
    row = {
        "address": asked.address.text,
        "address_key": asked.address.key,
        "name": asked.name,
        "language": asked.language,
        "lists": list(asked.lists),
        "consent": dict(asked.consent),
        "state": ASKED,
        "asked_at": asked.asked_at,
        "expires_at": asked.expires_at,
    }
    number: int = connection.execute(_KEEP, row).scalar_one()
    return number


_KEEP = insert(signups).returning(signups.c.id)
_BY_ID = select(signups).where(signups.c.id == bindparam("signup"))
_LOCKED = _BY_ID.with_for_update()
_CONFIRM = (
    update(signups)
    .where(signups.c.id == bindparam("signup"))
    .values(state=CONFIRMED, confirmed_at=bindparam("now"))
)


def find_signup(connection: Connection, signup_id: int, now: int) -> PendingSignup | None:
    """Return a request that was mailed."""
    row = connection.execute(_BY_ID, {"signup": signup_id}).mappings().one_or_none()
    if row is None or (state := _state(row, now)) is None:
        return None
    return PendingSignup(row["id"], tuple(row["lists"]), row["language"], state)


class Confirming:
    """Makes a request's subscriptions active, once, when its mailbox says so."""

    def __init__(
        self, persons: Persons, transitions: Transitions, letters: Letters, *, welcome: bool
    ) -> None:
        self._persons = persons
        self._transitions = transitions
        self._letters = letters
        self._welcome = welcome

    def confirm(
        self, connection: Connection, signup_id: int, prefix: str, now: int
    ) -> Confirmed | None:
        """Confirm a request; again, it answers the same and does nothing."""
        row = connection.execute(_LOCKED, {"signup": signup_id}).mappings().one_or_none()
        if row is None or (state := _state(row, now)) is None:
            return None
        lists = tuple(row["lists"])
        address = Address(row["address"], row["address_key"])
        if state is SignupState.CONFIRMED:
            return Confirmed(state, _id_of(connection, address), lists)
        if state is SignupState.EXPIRED or self._persons.is_suppressed(connection, address):
            return Confirmed(SignupState.EXPIRED, None, lists)
        person = self._persons.find_or_make(connection, address, row["language"], now)
        _keep_given(connection, person, row)
        evidence = {
            **row["consent"],
            "confirmed_at": str(now),
            **({"confirm_prefix": prefix} if prefix else {}),
        }
        moment = Moment(now, By.CONFIRM)
        joined = self._transitions.join(connection, person.id, lists, evidence, moment)
        connection.execute(_CONFIRM, {"signup": signup_id, "now": now})
        self._letters.confirmed(connection, address)
        if joined and self._welcome:
            self._greet(connection, person, row, joined, now)
        return Confirmed(SignupState.CONFIRMED, person.id, lists)

    def _greet(
        self,
        connection: Connection,
        person: PersonRow,
        row: RowMapping,
        joined: Sequence[str],
        now: int,
    ) -> None:
        """Owe one welcome, however many lists: about the one that was asked for first."""
        first = min(joined, key=row["lists"].index)
        language = row["language"] or person.language
        about: dict[str, int | str] = {"subscriber": person.id, "list": first}
        letter = Letter(LetterKind.WELCOME, person.address, language, about, person.id)
        self._letters.owe(connection, letter, now)


def _state(row: RowMapping, now: int) -> SignupState | None:
    if row["state"] == CONFIRMED:
        return SignupState.CONFIRMED
    if row["state"] != MAILED:
        return None  # nobody has its token: it was in no mail
    return SignupState.WAITING if row["expires_at"] > now else SignupState.EXPIRED


def _keep_given(connection: Connection, person: PersonRow, row: RowMapping) -> None:
    """Keep the name and language that were asked for: now the mailbox itself has agreed to them."""
    given: dict[str, Any] = {
        name: row[name]
        for name in ("name", "language")
        if row[name] and row[name] != getattr(person, name)
    }
    if given:
        connection.execute(update(subscribers).where(subscribers.c.id == person.id).values(**given))


def _id_of(connection: Connection, address: Address) -> int | None:
    query = select(subscribers.c.id).where(subscribers.c.address_key == address.key)
    found: int | None = connection.execute(query).scalar()
    return found
