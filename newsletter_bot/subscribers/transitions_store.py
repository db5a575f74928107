"""The SQL of every step of a subscription: its row, its history, and what webhooks are told.

No other file writes a subscription's state.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from sqlalchemy import (
    Connection,
    Insert,
    Text,
    Update,
    bindparam,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningInsert

from newsletter_bot.settings.people import HookType
from newsletter_bot.storage.outbox import Outbox
from newsletter_bot.storage.prepared import Prepared
from newsletter_bot.storage.rows import json_rows
from newsletter_bot.storage.tables import subscribers, subscription_changes, subscriptions
from newsletter_bot.storage.upsert import upserting, upserting_in
from newsletter_bot.subscribers.consent import By
from newsletter_bot.subscribers.model import SubscriptionState

_HOOKS = {
    SubscriptionState.PENDING: HookType.SUBSCRIBED,
    SubscriptionState.ACTIVE: HookType.CONFIRMED,
    SubscriptionState.UNSUBSCRIBED: HookType.UNSUBSCRIBED,
}


@dataclass(frozen=True, slots=True)
class Moment:
    """When a change is made, and by whom or what."""

    at: int  # seconds since 1970 UTC
    by: By


class Transitions:
    """Makes changes of state; what is so already is left, and no step is written twice."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def ask(
        self,
        connection: Connection,
        person: int,
        lists: Iterable[str],
        consent: Mapping[str, str],
        moment: Moment,
    ) -> list[str]:
        """Begin subscriptions as pending, where there are none; returns which.

        Nobody has proved anything yet: somebody who left stays so until they confirm.
        """
        rows = _rows(person, lists, SubscriptionState.PENDING, consent, moment)
        found = _each(connection, _asking(connection.dialect.name), rows)
        return self._note(connection, person, found, SubscriptionState.PENDING, moment)

    def join(
        self,
        connection: Connection,
        person: int,
        lists: Iterable[str],
        consent: Mapping[str, str],
        moment: Moment,
    ) -> list[str]:
        """Make subscriptions active, with the evidence; returns those that were not."""
        rows = _rows(person, lists, SubscriptionState.ACTIVE, consent, moment)
        found = _each(connection, _joining(connection.dialect.name), rows)
        return self._note(connection, person, found, SubscriptionState.ACTIVE, moment)

    def leave(
        self,
        connection: Connection,
        person: int,
        lists: Sequence[str],
        moment: Moment,
        states: Sequence[SubscriptionState] = (
            SubscriptionState.PENDING,
            SubscriptionState.ACTIVE,
        ),
    ) -> list[str]:
        """End subscriptions to some lists, or to all when none is named; returns which ended.

        `states` are those that end: one or two.
        """
        values = {
            "person": person,
            "at": moment.at,
            "first": states[0].value,
            "second": states[-1].value,
            **({"rows": json.dumps([{"list": name} for name in lists])} if lists else {}),
        }
        cursor = (_LEAVE_SOME if lists else _LEAVE_ALL).run(connection, **values)
        found = [row[0] for row in cursor.fetchall()]
        return self._note(connection, person, found, SubscriptionState.UNSUBSCRIBED, moment)

    def enroll(
        self,
        connection: Connection,
        people: Sequence[int],
        name: str,
        consent: Mapping[str, str],
        moment: Moment,
    ) -> None:
        """Make many people active on one list, none of whom is; an import tells no webhook."""
        if not people:
            return
        _enroll(connection, people, name, consent, moment)
        if moment.by is not By.IMPORT:
            for one in people:
                self._tell(connection, one, [name], SubscriptionState.ACTIVE, moment)

    def _note(
        self,
        connection: Connection,
        person: int,
        lists: Sequence[str],
        state: SubscriptionState,
        moment: Moment,
    ) -> list[str]:
        for name in sorted(lists):
            values = {"person": person, "list": name, "state": state.value, "by": moment.by.value}
            _NOTE.run(connection, at=moment.at, **values)
        if lists:
            self._tell(connection, person, sorted(lists), state, moment)
        return sorted(lists)

    def _tell(
        self,
        connection: Connection,
        person: int,
        lists: Sequence[str],
        state: SubscriptionState,
        moment: Moment,
    ) -> None:
        kind = _HOOKS[state]
        if kind.value not in self._outbox.wanted:
            return
        query = select(subscribers.c.address).where(subscribers.c.id == person)
        address = connection.execute(query).scalar()
        for name in lists:
            data = {
                "subscriber_id": person,
                "address": address,
                "list": name,
                "state": state.value,
                "by": moment.by.value,
            }
            self._outbox.tell(connection, kind, data, moment.at, person)


def lock_people(connection: Connection, *people: int) -> None:
    """Let nobody else change these people until the transaction ends; in the order of their ids.

    SQLite has one writer at a time and needs no lock. PostgreSQL's kind leaves foreign keys alone:
    a plan that is written meanwhile does not wait.
    """
    if people and connection.dialect.name == "postgresql":
        query = select(subscribers.c.id).where(subscribers.c.id.in_(people))
        locked = query.order_by(subscribers.c.id).with_for_update(key_share=True)
        connection.execute(locked).all()


@cache
def _asking(dialect: str) -> ReturningInsert[str]:
    begun = upserting_in(dialect, subscriptions).on_conflict_do_nothing()
    return begun.returning(subscriptions.c.list)


@cache
def _joining(dialect: str) -> ReturningInsert[str]:
    begun = upserting_in(dialect, subscriptions)
    return begun.on_conflict_do_update(
        index_elements=["list", "subscriber_id"],
        set_={name: begun.excluded[name] for name in ("state", "consent", "changed_at")},
        where=subscriptions.c.state != SubscriptionState.ACTIVE.value,
    ).returning(subscriptions.c.list)


def _each(
    connection: Connection, statement: ReturningInsert[str], rows: Iterable[Mapping[str, Any]]
) -> list[str]:
    """Write rows and return the lists of those that were written: few, so one at a time."""
    written = (connection.execute(statement, row).scalar() for row in rows)
    return [name for name in written if name is not None]


def _rows(
    person: int,
    lists: Iterable[str],
    state: SubscriptionState,
    consent: Mapping[str, str],
    moment: Moment,
) -> list[dict[str, Any]]:
    return [
        {
            "list": name,
            "subscriber_id": person,
            "state": state.value,
            "consent": dict(consent),
            "changed_at": moment.at,
        }
        for name in sorted(lists)
    ]


def _leaving(dialect: str, *, some: bool) -> Update:
    state = subscriptions.c.state
    where = [
        subscriptions.c.subscriber_id == bindparam("person"),
        or_(state == bindparam("first"), state == bindparam("second")),
    ]
    if some:
        where.append(subscriptions.c.list.in_(select(json_rows(dialect, list=Text)["list"])))
    values = {"state": SubscriptionState.UNSUBSCRIBED.value, "changed_at": bindparam("at")}
    return update(subscriptions).where(*where).values(values).returning(subscriptions.c.list)


def _noting(_dialect: str) -> Insert:
    names = {"person": "subscriber_id", **{name: name for name in ("list", "state", "by", "at")}}
    values: dict[str, Any] = {column: bindparam(name) for name, column in names.items()}
    return insert(subscription_changes).values(values).inline()


# Mail programs' one-click posts come thousands at a time, right after an issue was sent.
_LEAVE_SOME = Prepared(partial(_leaving, some=True))
_LEAVE_ALL = Prepared(partial(_leaving, some=False))
_NOTE = Prepared(_noting)


def _enroll(
    connection: Connection,
    people: Sequence[int],
    name: str,
    consent: Mapping[str, str],
    moment: Moment,
) -> None:
    active = SubscriptionState.ACTIVE
    values = {
        "list": literal(name),
        "subscriber_id": subscribers.c.id,
        "state": literal(active.value),
        "consent": literal(dict(consent), subscriptions.c.consent.type),
        "changed_at": literal(moment.at, subscriptions.c.changed_at.type),
    }
    chosen = select(*values.values()).where(subscribers.c.id.in_(people))
    begun = upserting(connection, subscriptions).from_select(list(values), chosen)
    new = {column: begun.excluded[column] for column in ("state", "consent", "changed_at")}
    connection.execute(
        begun.on_conflict_do_update(index_elements=["list", "subscriber_id"], set_=new)
    )
    step = {
        "subscriber_id": subscribers.c.id,
        "list": literal(name),
        "state": literal(active.value),
        "by": literal(moment.by.value),
        "at": literal(moment.at, subscription_changes.c.at.type),
    }
    steps = select(*step.values()).where(subscribers.c.id.in_(people))
    connection.execute(insert(subscription_changes).from_select(list(step), steps))
