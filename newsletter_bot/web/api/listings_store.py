"""The SQL of what the API lists beside people: suppressions, deliveries, the sizes of lists."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, and_, func, or_, select

from newsletter_bot.delivery.model import DeliveryState
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import deliveries, subscribers, subscriptions, suppressions


@dataclass(frozen=True, slots=True)
class SuppressionRow:
    """A suppressed address: kept as a keyed hash, so nobody can tell which it is."""

    key: bytes
    reason: str
    added_at: int


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One row of the ledger, with the address unless the person was erased."""

    id: int
    subscriber_id: int
    address: str | None
    list: str
    state: DeliveryState
    attempts: int
    attempted_at: int | None
    not_before: int | None
    reason: str
    relay: str
    changed_at: int


class ListingStore:
    """Reads pages; every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def suppressions(self, after: tuple[int, bytes], most: int) -> list[SuppressionRow]:
        """Return suppressions, the oldest first, behind a time and a key."""
        at, key = suppressions.c.added_at, suppressions.c.suppression_key
        later = or_(at > after[0], and_(at == after[0], key > after[1]))
        query = select(key, suppressions.c.reason, at).where(later).order_by(at, key).limit(most)
        with reading(self._engine) as connection:
            return [SuppressionRow(*row) for row in connection.execute(query)]

    def suppression(self, key: bytes) -> SuppressionRow | None:
        """Return the suppression of an address, by its keyed hash."""
        own = suppressions.c.suppression_key
        query = select(own, suppressions.c.reason, suppressions.c.added_at).where(own == key)
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else SuppressionRow(*row)

    def deliveries(
        self, issue_id: int, state: DeliveryState | None, after: int, most: int
    ) -> list[DeliveryRow]:
        """Return an issue's deliveries in the order they were planned."""
        with reading(self._engine) as connection:
            return _deliveries(connection, issue_id, state, after, most)

    def sizes(self, list_id: str) -> dict[str, int]:
        """Count a list's subscriptions by state."""
        query = (
            select(subscriptions.c.state, func.count())
            .where(subscriptions.c.list == list_id)
            .group_by(subscriptions.c.state)
        )
        with reading(self._engine) as connection:
            return {row[0]: row[1] for row in connection.execute(query)}


def _deliveries(
    connection: Connection, issue_id: int, state: DeliveryState | None, after: int, most: int
) -> list[DeliveryRow]:
    own = deliveries.c
    query = (
        select(deliveries, subscribers.c.address, subscribers.c.erased_at)
        .join(subscribers, subscribers.c.id == own.subscriber_id)
        .where(own.issue_id == issue_id, own.id > after)
        .order_by(own.id)
        .limit(most)
    )
    if state is not None:
        query = query.where(own.state == state.value)
    return [
        DeliveryRow(
            id=row["id"],
            subscriber_id=row["subscriber_id"],
            address=row["address"] if row["erased_at"] is None else None,
            list=row["list"],
            state=DeliveryState(row["state"]),
            attempts=row["attempts"],
            attempted_at=row["attempted_at"],
            not_before=row["not_before"],
            reason=row["reason"],
            relay=row["relay"],
            changed_at=row["changed_at"],
        )
        for row in connection.execute(query).mappings()
    ]
