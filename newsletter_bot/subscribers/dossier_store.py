"""The SQL of telling somebody all we hold about them (GDPR article 15), as a JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, or_, select

from newsletter_bot.storage.tables import (
    address_changes,
    deliveries,
    events,
    issues,
    letters,
    replies,
    signups,
    subscribers,
    subscription_changes,
    subscriptions,
    suppressions,
)
from newsletter_bot.subscribers.address import Address, parse_address
from newsletter_bot.subscribers.persons_store import Persons

_Rows = list[dict[str, Any]]


def dossier(connection: Connection, persons: Persons, who: str | int) -> dict[str, object] | None:
    """Return all that is held about an address and the person who has it; None for nothing.

    Times are seconds since 1970 UTC.
    """
    person = persons.find(connection, who)
    if person is None and isinstance(who, int):
        return None
    if person is None:
        addresses, number = [parse_address(str(who))], None
    else:
        addresses, number = persons.addresses(connection, person), person.id
    keys = [one.key for one in addresses]
    found: dict[str, object] = {
        "address": addresses[0].text,
        "subscriber": None if person is None else _subscriber(connection, person.id),
        "subscriptions": _of_person(connection, subscriptions, number),
        "changes": _of_person(connection, subscription_changes, number),
        "signups": _signups(connection, keys),
        "letters": _of_either(connection, letters, keys, number),
        "address_changes": _of_either(connection, address_changes, keys, number),
        "deliveries": _deliveries(connection, number),
        "events": _events(connection, number),
        "suppression": _suppression(connection, persons, addresses[0]),
    }
    return found if any(value for name, value in found.items() if name != "address") else None


def _rows(connection: Connection, query: Select[Any]) -> _Rows:
    return [dict(row) for row in connection.execute(query).mappings()]


def _subscriber(connection: Connection, person: int) -> dict[str, Any]:
    told = [one for one in subscribers.c if one.name not in _OURS]
    return _rows(connection, select(*told).where(subscribers.c.id == person))[0]


# What says nothing about a person: keys that we compute, and keyed hashes of them.
_OURS = {"address_key", "suppression_key", "erased_at"}


def _of_person(connection: Connection, table: Table, person: int | None) -> _Rows:
    if person is None:
        return []
    told = [one for one in table.c if one.name not in {"id", "subscriber_id"}]
    query = select(*told).where(table.c.subscriber_id == person)
    return _rows(connection, query.order_by(*table.primary_key.columns))


def _of_either(
    connection: Connection, table: Table, keys: Sequence[str], person: int | None
) -> _Rows:
    told = [one for one in table.c if one.name not in {"address_key", "subscriber_id", "about"}]
    mine: ColumnElement[bool] = table.c.address_key.in_(keys)
    if person is not None:
        mine = or_(mine, table.c.subscriber_id == person)
    return _rows(connection, select(*told).where(mine).order_by(table.c.id))


def _signups(connection: Connection, keys: Sequence[str]) -> _Rows:
    told = [one for one in signups.c if one.name != "address_key"]
    query = select(*told).where(signups.c.address_key.in_(keys))
    return _rows(connection, query.order_by(signups.c.id))


def _deliveries(connection: Connection, person: int | None) -> _Rows:
    if person is None:
        return []
    told = [issues.c.identity.label("issue"), *(deliveries.c[name] for name in _TOLD)]
    query = (
        select(deliveries.c.id, *told)
        .join(issues, issues.c.id == deliveries.c.issue_id)
        .where(deliveries.c.subscriber_id == person)
        .order_by(deliveries.c.id)
    )
    found = _rows(connection, query)
    said = select(replies.c.delivery_id, replies.c.at, replies.c.state, replies.c.reason).where(
        replies.c.delivery_id.in_([row["id"] for row in found])
    )
    earlier: dict[int, _Rows] = {}
    for row in _rows(connection, said.order_by(replies.c.id)):
        earlier.setdefault(row.pop("delivery_id"), []).append(row)
    return [{**row, "earlier": earlier.get(row.pop("id"), [])} for row in found]


def _events(connection: Connection, person: int | None) -> _Rows:
    if person is None:
        return []
    query = (
        select(issues.c.identity.label("issue"), *(events.c[name] for name in _HAPPENED))
        .outerjoin(issues, issues.c.id == events.c.issue_id)
        .where(events.c.subscriber_id == person)
        .order_by(events.c.id)
    )
    return _rows(connection, query)


_HAPPENED = (
    "source",
    "kind",
    "at",
    "received_at",
    "class",
    "status",
    "reason",
    "link",
    "actor",
    "prefix",
    "agent",
    "consequence",
)
_TOLD = ("list", "state", "attempts", "attempted_at", "changed_at", "reason", "variant")


def _suppression(
    connection: Connection, persons: Persons, address: Address
) -> dict[str, Any] | None:
    query = select(suppressions.c.reason, suppressions.c.added_at).where(
        suppressions.c.suppression_key == persons.hashed(address)
    )
    found = _rows(connection, query)
    return found[0] if found else None
