"""The SQL of erasing somebody: nothing stays but the keyed hash that keeps mail from them.

Their row stays too, without address and name: deliveries count it, and its id, which stands in
unsubscribe links for ever, must never be somebody else's.
"""

from __future__ import annotations

import json
import re
import secrets
from contextlib import closing
from typing import Any

from sqlalchemy import Connection, Engine, Select, delete, func, or_, select, update

from newsletter_bot.storage.tables import (
    address_changes,
    deliveries,
    events,
    hook_deliveries,
    hook_events,
    idempotency,
    letters,
    raw_events,
    replies,
    signups,
    subscribers,
    subscriptions,
)
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.letters_store import Letters
from newsletter_bot.subscribers.persons_store import PersonRow, Persons
from newsletter_bot.subscribers.store import keep_suppression
from newsletter_bot.subscribers.transitions_store import Moment, Transitions

ERASED = "erased"
_PATIENCE_MS = 500
_AT_ONCE = 500  # ids in one statement
_CODE = re.compile(r"\d{3}(?:[ -]\d\.\d{1,3}\.\d{1,3})?(?!\d)")  # RFC 5321 and 3463: no words


class Forgetting:
    """Erases people."""

    def __init__(
        self, persons: Persons, transitions: Transitions, letters: Letters, moment: Moment
    ) -> None:
        self._persons = persons
        self._transitions = transitions
        self._letters = letters
        self._moment = moment

    def forget(self, connection: Connection, who: str | int) -> bool:
        """Erase all about an address, and the person who has it; returns whether there was any."""
        person = self._persons.find(connection, who)
        if person is not None:
            addresses = self._persons.addresses(connection, person)
        elif isinstance(who, int):
            return False
        else:
            addresses = [parse_address(who)]
        keys = {one.key for one in addresses}
        found = person is not None
        for table in (signups, letters, address_changes):
            gone = connection.execute(delete(table).where(table.c.address_key.in_(keys)))
            found = found or gone.rowcount > 0
        if person is not None:
            self._forget_person(connection, person)
        _forget_answers(connection, keys | {one.text for one in addresses})
        for one in addresses:
            self._letters.confirmed(connection, one)
        keep_suppression(connection, self._persons.hashed(addresses[0]), ERASED, self._moment.at)
        return found

    def _forget_person(self, connection: Connection, person: PersonRow) -> None:
        for table in (letters, address_changes):
            connection.execute(delete(table).where(table.c.subscriber_id == person.id))
        forget_events(connection, person.id)
        _forget_reasons(connection, person.id)
        forget_feedback(connection, person.id)
        blank(connection, person.id, self._moment.at)
        # Blank already: what webhooks are told now holds the id alone.
        self._transitions.leave(connection, person.id, (), self._moment)
        theirs = subscriptions.c.subscriber_id == person.id
        connection.execute(delete(subscriptions).where(theirs))


def wipe(engine: Engine) -> None:
    """Let go of what SQLite's write-ahead log still holds of rows that are gone.

    While somebody reads or writes it cannot be: then the next call does it.
    """
    if engine.dialect.name != "sqlite":
        return
    with closing(engine.raw_connection()) as connection, closing(connection.cursor()) as cursor:
        patience = cursor.execute("PRAGMA busy_timeout").fetchone()[0]
        cursor.execute(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        cursor.execute(f"PRAGMA busy_timeout = {patience}")


def blank(connection: Connection, person: int, now: int) -> None:
    """Take everything personal out of a person's row."""
    values: dict[str, Any] = {
        "address": "",
        "address_key": f"{ERASED}:{person}",
        "suppression_key": secrets.token_bytes(20),
        "name": "",
        "language": "",
        "fields": {},
        "tags": [],
        "frequency": "every",
        "paused_until": None,
        "erased_at": now,
    }
    connection.execute(update(subscribers).where(subscribers.c.id == person).values(values))


def forget_events(connection: Connection, person: int) -> None:
    """Delete what webhooks were to be told, and were told, about somebody."""
    events = select(hook_events.c.id).where(hook_events.c.subscriber_id == person)
    connection.execute(delete(hook_deliveries).where(hook_deliveries.c.event_id.in_(events)))
    connection.execute(delete(hook_events).where(hook_events.c.subscriber_id == person))


def forget_feedback(connection: Connection, person: int) -> None:
    """Take somebody out of what came back, and delete what it was read from.

    The numbers stay: an event still names its delivery, whose person has no name any more.
    """
    mine = events.c.subscriber_id == person
    told = connection.execute(select(events.c.id, events.c.raw_id, events.c.reason).where(mine))
    rows = told.all()
    raws = sorted({row.raw_id for row in rows if row.raw_id is not None})
    for some in range(0, len(raws), _AT_ONCE):
        these = raw_events.c.id.in_(raws[some : some + _AT_ONCE])
        connection.execute(delete(raw_events).where(these))
    for number, _, reason in rows:
        values = {"subscriber_id": None, "raw_id": None, "prefix": "", "agent": ""}
        words = {"reason": _code_of(reason)} if reason else {}
        connection.execute(update(events).where(events.c.id == number).values({**values, **words}))


def _forget_reasons(connection: Connection, person: int) -> None:
    """Take words that servers and operators wrote out of the ledger; the numbers stay."""
    own = select(deliveries.c.id, deliveries.c.reason).where(deliveries.c.subscriber_id == person)
    ids = own.with_only_columns(deliveries.c.id)
    said = select(replies.c.id, replies.c.reason).where(replies.c.delivery_id.in_(ids))
    for table, query in ((deliveries, own), (replies, said)):
        for number, reason in _worded(connection, query):
            this = update(table).where(table.c.id == number)
            connection.execute(this.values(reason=_code_of(reason)))


def _worded(connection: Connection, query: Select[int, str]) -> list[tuple[int, str]]:
    return [(number, reason) for number, reason in connection.execute(query).all() if reason]


def _code_of(reason: str) -> str:
    found = _CODE.match(reason)
    return f"{found[0]} ({ERASED})" if found else ERASED


def _forget_answers(connection: Connection, texts: set[str]) -> None:
    """Delete what the API answered about somebody, kept for requests that are repeated."""
    written = {text.lower() for text in texts} | {json.dumps(text.lower())[1:-1] for text in texts}
    answer = func.lower(idempotency.c.response)
    holds = or_(*(answer.contains(text, autoescape=True) for text in sorted(written)))
    connection.execute(delete(idempotency).where(holds))
