"""The SQL of adding people: a batch is compared with what is known, then written in bulk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, select, update

from newsletter_bot.storage.tables import subscribers, subscriptions, suppressions
from newsletter_bot.subscribers.address import Address
from newsletter_bot.subscribers.consent import By
from newsletter_bot.subscribers.model import AddOutcome, NewSubscriber, SubscriptionState
from newsletter_bot.subscribers.transitions_store import Moment, Transitions

_DONE = (AddOutcome.ADDED, AddOutcome.UPDATED)


class Adding:
    """One batch of people, compared with what the database knows, then written in bulk."""

    def __init__(
        self,
        connection: Connection,
        hashed: Callable[[Address], bytes],
        transitions: Transitions,
        moment: Moment,
        list_id: str,
    ) -> None:
        self._connection = connection
        self._hashed = hashed
        self._transitions = transitions
        self._moment = moment
        self._list = list_id

    def add(self, people: Sequence[NewSubscriber], consent: Mapping[str, str]) -> list[AddOutcome]:
        """Add, update and subscribe; returns what became of each, in order."""
        # One address may come many times. Its rows are one person before anything is compared:
        # else each import would undo what the one before it did.
        merged: dict[str, NewSubscriber] = {}
        for one in people:
            key = one.address.key
            merged[key] = _merged(merged[key], one) if key in merged else one
        outcomes = self._write(merged, {**consent, "at": str(self._moment.at)})
        told: list[AddOutcome] = []
        for one in people:
            told.append(outcomes[one.address.key])
            if told[-1] in _DONE:
                outcomes[one.address.key] = AddOutcome.UNCHANGED
        return told

    def _write(
        self, people: Mapping[str, NewSubscriber], consent: Mapping[str, str]
    ) -> dict[str, AddOutcome]:
        hashes = {key: self._hashed(one.address) for key, one in people.items()}
        shut = self._suppressed(hashes.values())
        known = self._known(list(people))
        outcomes: dict[str, AddOutcome] = {}
        fresh: dict[str, NewSubscriber] = {}
        changed: list[dict[str, Any]] = []
        joining: list[int] = []
        for key, one in people.items():
            if hashes[key] in shut:
                outcomes[key] = AddOutcome.SUPPRESSED
            elif key in known:
                outcomes[key] = self._again(known[key], one, changed, joining)
            else:
                fresh[key] = one
                outcomes[key] = AddOutcome.ADDED
        self._update(changed)
        joining += self._insert(fresh, hashes)
        self._transitions.enroll(self._connection, joining, self._list, consent, self._moment)
        return outcomes

    def _again(
        self,
        row: RowMapping,
        one: NewSubscriber,
        changed: list[dict[str, Any]],
        joining: list[int],
    ) -> AddOutcome:
        if row["state"] == SubscriptionState.UNSUBSCRIBED.value:
            return AddOutcome.UNSUBSCRIBED
        if row["state"] == SubscriptionState.PENDING.value and self._moment.by is By.IMPORT:
            return AddOutcome.PENDING
        before = {"name": row["name"], "language": row["language"], "fields": row["fields"]}
        after = {
            "name": one.name or row["name"],
            "language": one.language or row["language"],
            "fields": {**row["fields"], **{k: v for k, v in one.fields.items() if v}},
        }
        if row["state"] != SubscriptionState.ACTIVE.value:
            joining.append(row["id"])
        if after != before:
            changed.append({"row": row["id"], **{f"new_{k}": v for k, v in after.items()}})
        elif row["state"] == SubscriptionState.ACTIVE.value:
            return AddOutcome.UNCHANGED
        return AddOutcome.UPDATED

    def _suppressed(self, hashes: Iterable[bytes]) -> set[bytes]:
        query = select(suppressions.c.suppression_key).where(
            suppressions.c.suppression_key.in_(list(hashes))
        )
        return set(self._connection.execute(query).scalars())

    def _known(self, keys: Sequence[str]) -> dict[str, RowMapping]:
        on_list = (subscriptions.c.subscriber_id == subscribers.c.id) & (
            subscriptions.c.list == self._list
        )
        query = (
            select(subscribers, subscriptions.c.state)
            .outerjoin(subscriptions, on_list)
            .where(subscribers.c.address_key.in_(keys))
        )
        return {row["address_key"]: row for row in self._connection.execute(query).mappings()}

    def _update(self, changed: list[dict[str, Any]]) -> None:
        if changed:
            names = ("name", "language", "fields")
            values: dict[str, Any] = {one: bindparam(f"new_{one}") for one in names}
            one_row = update(subscribers).where(subscribers.c.id == bindparam("row"))
            self._connection.execute(one_row.values(values), changed)

    def _insert(self, fresh: Mapping[str, NewSubscriber], hashes: Mapping[str, bytes]) -> list[int]:
        if not fresh:
            return []
        rows = [
            {
                "address": one.address.text,
                "address_key": key,
                "suppression_key": hashes[key],
                "name": one.name,
                "language": one.language,
                "fields": dict(one.fields),
                "added_at": self._moment.at,
            }
            for key, one in fresh.items()
        ]
        self._connection.execute(subscribers.insert(), rows)
        query = select(subscribers.c.id).where(subscribers.c.address_key.in_(list(fresh)))
        return list(self._connection.execute(query.order_by(subscribers.c.id)).scalars())


def _merged(first: NewSubscriber, second: NewSubscriber) -> NewSubscriber:
    fields = {**first.fields, **{name: value for name, value in second.fields.items() if value}}
    return NewSubscriber(
        first.address, second.name or first.name, second.language or first.language, fields
    )
