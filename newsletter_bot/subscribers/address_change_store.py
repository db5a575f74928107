"""The SQL of changing an address: asked for, agreed to by both mailboxes, and then done."""

from __future__ import annotations

from sqlalchemy import Connection, RowMapping, insert, select, update
from sqlalchemy.exc import IntegrityError

from newsletter_bot.storage.tables import address_changes, subscribers, subscriptions
from newsletter_bot.subscribers.address import Address
from newsletter_bot.subscribers.consent import (
    AddressChange,
    By,
    ChangeState,
    LetterKind,
    LimitError,
)
from newsletter_bot.subscribers.letters_store import Letter, Letters
from newsletter_bot.subscribers.model import SubscriptionState
from newsletter_bot.subscribers.persons_store import PersonRow, Persons
from newsletter_bot.subscribers.transitions_store import Moment, Transitions

_ACTIVE = (SubscriptionState.ACTIVE,)


class Moving:
    """Changes addresses; who the new one belongs to is told to nobody."""

    def __init__(
        self, persons: Persons, transitions: Transitions, letters: Letters, now: int
    ) -> None:
        self._persons = persons
        self._transitions = transitions
        self._letters = letters
        self._now = now

    def ask(self, connection: Connection, subscriber_id: int, new: Address, expires_at: int) -> int:
        """Keep the wish and write to both mailboxes; raises LimitError, UnknownPersonError.

        A suppressed address gets no letter, and so the change never comes to be.
        """
        person = self._persons.get(connection, subscriber_id)
        wait = self._letters.may_ask(connection, person.id)
        if wait := wait or self._letters.may_write(connection, new):
            raise LimitError(wait)
        row = {
            "subscriber_id": person.id,
            "address": new.text,
            "address_key": new.key,
            "asked_at": self._now,
            "expires_at": expires_at,
        }
        made = insert(address_changes).values(row).returning(address_changes.c.id)
        change: int = connection.execute(made).scalar_one()
        mailboxes = [(LetterKind.AGREE_OLD, person.address)]
        if not self._persons.is_suppressed(connection, new):
            mailboxes.append((LetterKind.AGREE_NEW, new))
        for kind, to in mailboxes:
            letter = Letter(kind, to, person.language, {"change": change}, person.id)
            self._letters.owe(connection, letter, self._now)
        return change

    def agree(self, connection: Connection, change_id: int, *, old: bool) -> AddressChange | None:
        """Note that one of the mailboxes agrees; with the other's it is done."""
        query = select(address_changes).where(address_changes.c.id == change_id)
        row = connection.execute(query.with_for_update()).mappings().one_or_none()
        if row is None or _state(row, self._now) is not ChangeState.WAITING:
            return find_change(connection, change_id, self._now)
        side = "old_agreed_at" if old else "new_agreed_at"
        if row[side] is None:
            this = update(address_changes).where(address_changes.c.id == change_id)
            connection.execute(this.values({side: self._now}))
        other = row["new_agreed_at" if old else "old_agreed_at"]
        if other is not None:
            self._move(connection, row)
        return find_change(connection, change_id, self._now)

    def _move(self, connection: Connection, row: RowMapping) -> None:
        new = Address(row["address"], row["address_key"])
        person = self._persons.find(connection, row["subscriber_id"])
        if person is None or self._persons.is_suppressed(connection, new):
            return
        if not self._rename(connection, person, new):
            owner = self._persons.find(connection, new.text)
            assert owner is not None, "the address is taken"
            self._hand_over(connection, person, owner)
        self._settle(connection, row)
        self._letters.confirmed(connection, new)
        about = {"subscriber": person.id}
        letter = Letter(LetterKind.MOVED, person.address, person.language, about, person.id)
        self._letters.owe(connection, letter, self._now)

    def _rename(self, connection: Connection, person: PersonRow, new: Address) -> bool:
        """Give somebody the address; returns False when it is somebody else's."""
        values = {
            "address": new.text,
            "address_key": new.key,
            "suppression_key": self._persons.hashed(new),
        }
        this = update(subscribers).where(subscribers.c.id == person.id)
        try:
            with connection.begin_nested():
                connection.execute(this.values(values))
        except IntegrityError:
            return False
        return True

    def _hand_over(self, connection: Connection, person: PersonRow, owner: PersonRow) -> None:
        """Let somebody who is known already have the lists; two rows never become one."""
        moment = Moment(self._now, By.ADDRESS_CHANGE)
        query = select(subscriptions.c.list, subscriptions.c.consent).where(
            subscriptions.c.subscriber_id == person.id,
            subscriptions.c.state == SubscriptionState.ACTIVE.value,
        )
        for name, consent in connection.execute(query).all():
            self._transitions.join(connection, owner.id, [name], consent, moment)
        self._transitions.leave(connection, person.id, (), moment, _ACTIVE)

    def _settle(self, connection: Connection, row: RowMapping) -> None:
        """Note that it is done. What else was asked for ends: who was left agrees to no more."""
        theirs = address_changes.c.subscriber_id == row["subscriber_id"]
        others = theirs & address_changes.c.done_at.is_(None)
        ending = update(address_changes).where(others, address_changes.c.expires_at > self._now)
        connection.execute(ending.values(expires_at=self._now))
        this = update(address_changes).where(address_changes.c.id == row["id"])
        connection.execute(this.values(done_at=self._now))


def find_change(connection: Connection, change_id: int, now: int) -> AddressChange | None:
    """Return a change of address; None when there is none, or its person was erased."""
    query = (
        select(address_changes, subscribers.c.address.label("old"))
        .join(subscribers, subscribers.c.id == address_changes.c.subscriber_id)
        .where(address_changes.c.id == change_id, subscribers.c.erased_at.is_(None))
    )
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return None
    return AddressChange(
        id=row["id"],
        subscriber_id=row["subscriber_id"],
        old=row["old"],
        new=row["address"],
        old_agreed=row["old_agreed_at"] is not None,
        new_agreed=row["new_agreed_at"] is not None,
        state=_state(row, now),
    )


def _state(row: RowMapping, now: int) -> ChangeState:
    if row["done_at"] is not None:
        return ChangeState.DONE
    return ChangeState.WAITING if row["expires_at"] > now else ChangeState.EXPIRED
