"""The SQL of what time takes: requests nobody confirmed, spent limits, changes of address."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import ColumnElement, Connection, delete, func, select

from newsletter_bot.settings.people import SignupTable
from newsletter_bot.settings.tables import seconds
from newsletter_bot.storage.tables import (
    address_changes,
    challenges,
    deliveries,
    idempotency,
    letters,
    signups,
    subscribers,
    subscription_changes,
    subscriptions,
)
from newsletter_bot.storage.writer import Writer
from newsletter_bot.subscribers.forget_store import blank, forget_events, forget_feedback
from newsletter_bot.subscribers.limits_store import Limits
from newsletter_bot.subscribers.model import SubscriptionState

_KEPT = 30 * 86_400  # seconds that a change of address is kept after its links expired
_ANSWERS_KEPT = 86_400  # seconds that a program may repeat a request (docs/api.md)
_AT_ONCE = 500  # rows in one transaction


class Purging:
    """Deletes what is past its time; each call deletes some, until there is nothing left."""

    def __init__(self, table: SignupTable, limits: Limits, now: int) -> None:
        self._limits = limits
        self._now = now
        self._unconfirmed = now - seconds(table.keep_unconfirmed)

    def all(self, writer: Writer) -> dict[str, int]:
        """Delete everything, a part in each transaction; returns how many of each."""
        return {
            "signups": _until_none(writer, self.requests),
            "subscriptions": _until_none(writer, self.people),
            **writer.run(self.rest),
        }

    def requests(self, connection: Connection) -> int:
        """Delete requests whose link has expired and whose time is over, confirmed or not.

        What was agreed to stands with the subscription.
        """
        over = (signups.c.asked_at <= self._unconfirmed) & (signups.c.expires_at <= self._now)
        some = select(signups.c.id).where(over).limit(_AT_ONCE)
        return connection.execute(delete(signups).where(signups.c.id.in_(some))).rowcount

    def people(self, connection: Connection) -> int:
        """Delete subscriptions that nobody confirmed, and people who have no others."""
        query = (
            select(subscriptions.c.subscriber_id, subscriptions.c.list)
            .join(subscribers, subscribers.c.id == subscriptions.c.subscriber_id)
            .where(
                subscriptions.c.state == SubscriptionState.PENDING.value,
                subscriptions.c.changed_at <= self._unconfirmed,
                ~self._asked_again(),
            )
            .order_by(subscriptions.c.subscriber_id)
            .limit(_AT_ONCE)
            .with_for_update(of=subscriptions)
        )
        rows = connection.execute(query).all()
        for person, name in rows:
            for table in (subscriptions, subscription_changes):
                mine = (table.c.subscriber_id == person) & (table.c.list == name)
                connection.execute(delete(table).where(mine))
        self._delete_people(connection, sorted({person for person, _ in rows}))
        return len(rows)

    def rest(self, connection: Connection) -> dict[str, int]:
        """Delete ended limits, proofs of work, the API's answers, and old changes of address."""
        spent = challenges.c.expires_at <= self._now
        ended = address_changes.c.expires_at <= self._now - _KEPT
        answered = idempotency.c.at <= self._now - _ANSWERS_KEPT
        return {
            "limits": self._limits.purge(connection),
            "challenges": connection.execute(delete(challenges).where(spent)).rowcount,
            "address_changes": connection.execute(delete(address_changes).where(ended)).rowcount,
            "idempotency": connection.execute(delete(idempotency).where(answered)).rowcount,
        }

    def _asked_again(self) -> ColumnElement[bool]:
        """Somebody who asked again, and whose link still works, is waited for."""
        return (
            select(signups.c.id)
            .where(
                signups.c.address_key == subscribers.c.address_key,
                signups.c.expires_at > self._now,
            )
            .exists()
        )

    def _delete_people(self, connection: Connection, people: list[int]) -> None:
        # Unsubscribe links hold a person's id and are valid for ever, and SQLite gives the highest
        # id out again when its row is gone: that row is blanked instead.
        highest = connection.execute(select(func.max(subscribers.c.id))).scalar_one_or_none()
        for person in people:
            if any(_is_held(connection, person)):
                continue
            connection.execute(delete(letters).where(letters.c.subscriber_id == person))
            forget_events(connection, person)
            forget_feedback(connection, person)
            if person == highest:
                blank(connection, person, self._now)
            else:
                connection.execute(delete(subscribers).where(subscribers.c.id == person))


def _until_none(writer: Writer, purge: Callable[[Connection], int]) -> int:
    total = 0
    while count := writer.run(purge):
        total += count
    return total


def _is_held(connection: Connection, person: int) -> list[bool]:
    tables = (subscriptions, subscription_changes, deliveries, address_changes)
    return [
        connection.execute(
            select(table.c.subscriber_id).where(table.c.subscriber_id == person).limit(1)
        ).first()
        is not None
        for table in tables
    ]
