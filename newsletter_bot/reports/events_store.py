"""The SQL of what readers did with an issue: clicks, opens, complaints, who left after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, func, select

from newsletter_bot.delivery.model import DeliveryState
from newsletter_bot.feedback.events.consequences import Act
from newsletter_bot.reports.model import DAYS, Clicks
from newsletter_bot.reports.numbers_store import Planned
from newsletter_bot.storage.tables import deliveries, events, links, subscription_changes
from newsletter_bot.subscribers.model import SubscriptionState

_HUMAN, _MACHINE = "human", "machine"
_DAY = 86_400
# Of `not-spam`, of what is told about us, and of a reader who only wants to leave.
_NO_COMPLAINTS = ("% is no complaint", f"{Act.ALERT}:%", f"{Act.UNSUBSCRIBE}: the reader asked")


@dataclass(frozen=True, slots=True)
class Link:
    """Where one of an issue's links leads, and which item it belongs to."""

    url: str
    item: str
    title: str


def links_of(connection: Connection, issue_id: int) -> dict[int, Link]:
    """Return an issue's links by number."""
    query = select(links.c.number, links.c.url, links.c.item, links.c.title)
    ordered = query.where(links.c.issue_id == issue_id).order_by(links.c.number)
    return {row[0]: Link(row[1], row[2], row[3]) for row in connection.execute(ordered)}


def clicks_by_link(connection: Connection, issue_id: int) -> dict[int | None, Clicks]:
    """Count clicks by link and by who made them."""
    readers = func.count(events.c.delivery_id.distinct())
    query = (
        select(events.c.link, events.c.actor, func.count(), readers)
        .where(_happened([issue_id], "clicked"))
        .group_by(events.c.actor, events.c.link)  # in the order of the index
    )
    found: dict[int | None, list[tuple[str, int, int]]] = {}
    for link, actor, count, people in connection.execute(query):
        found.setdefault(link, []).append((actor, count, people))
    return {link: _clicks(rows) for link, rows in found.items()}


def clicks(connection: Connection, issue_ids: Iterable[int]) -> dict[int, Clicks]:
    """Count clicks by issue, but for the different readers behind them."""
    query = (
        select(events.c.issue_id, events.c.actor, func.count())
        .where(_happened(issue_ids, "clicked"))
        .group_by(events.c.issue_id, events.c.actor)
    )
    found: dict[int, list[tuple[str, int, int]]] = {}
    for issue_id, actor, count in connection.execute(query):
        found.setdefault(issue_id, []).append((actor, count, 0))
    return {issue_id: _clicks(rows) for issue_id, rows in found.items()}


def clickers(connection: Connection, issue_ids: Iterable[int]) -> dict[int, int]:
    """Count by issue the different readers behind its human clicks."""
    query = (
        select(events.c.issue_id, func.count(events.c.delivery_id.distinct()))
        .where(_happened(issue_ids, "clicked"), events.c.actor == _HUMAN)
        .group_by(events.c.issue_id)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def opens(connection: Connection, issue_id: int) -> Clicks:
    """Count fetched pictures by who is thought to have fetched them."""
    query = (
        select(events.c.actor, func.count())
        .where(_happened([issue_id], "opened"))
        .group_by(events.c.actor)
    )
    return _clicks([(row[0], row[1], 0) for row in connection.execute(query)])


def _clicks(rows: Iterable[tuple[str, int, int]]) -> Clicks:
    human = machine = unknown = readers = 0
    for actor, count, people in rows:
        if actor == _HUMAN:
            human, readers = human + count, people
        elif actor == _MACHINE:
            machine += count
        else:
            unknown += count
    return Clicks(human, machine, unknown, readers)


def clickers_by_variant(connection: Connection, issue_id: int) -> dict[int, int]:
    """Count readers with a human click by the subject that they got."""
    query = (
        select(deliveries.c.variant, func.count(deliveries.c.id.distinct()))
        .join_from(events, deliveries, deliveries.c.id == events.c.delivery_id)
        .where(
            _happened([issue_id], "clicked"),
            events.c.actor == _HUMAN,
            deliveries.c.variant.is_not(None),
        )
        .group_by(deliveries.c.variant)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def sent_by_variant(connection: Connection, issue_id: int) -> dict[int, int]:
    """Count accepted messages by the subject that they have."""
    query = (
        select(deliveries.c.variant, func.count())
        .where(
            deliveries.c.issue_id == issue_id,
            deliveries.c.state == DeliveryState.ACCEPTED,
            deliveries.c.variant.is_not(None),
        )
        .group_by(deliveries.c.variant)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def complaints(connection: Connection, issue_ids: Iterable[int]) -> dict[int, int]:
    """Count by issue the readers who called it spam.

    Some reports that are written like a complaint (RFC 5965) are none: their consequence says so.
    """
    spam = [events.c.consequence.not_like(one) for one in _NO_COMPLAINTS]
    query = (
        select(events.c.issue_id, func.count(events.c.delivery_id.distinct()))
        .where(_happened(issue_ids, "complained"), *spam)
        .group_by(events.c.issue_id)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def left_after(
    connection: Connection, issues: Sequence[Planned], now: int
) -> dict[int, dict[str, int]]:
    """Count by issue who left its lists within days of getting it, by how they left."""
    found: dict[int, dict[str, int]] = {}
    change = subscription_changes.c
    for one in issues:
        query = (
            select(change.by, func.count(change.subscriber_id.distinct()))
            .join(
                deliveries,
                and_(
                    deliveries.c.issue_id == one.id,
                    deliveries.c.subscriber_id == change.subscriber_id,
                ),
            )
            .where(
                change.list.in_(one.lists),
                change.state == SubscriptionState.UNSUBSCRIBED,
                change.at.between(one.planned_at, one.sent_until(now) + DAYS * _DAY),
                deliveries.c.state == DeliveryState.ACCEPTED,
                change.at >= deliveries.c.changed_at,
                change.at <= deliveries.c.changed_at + DAYS * _DAY,
            )
            .group_by(change.by)
        )
        found[one.id] = {row[0]: row[1] for row in connection.execute(query)}
    return found


def _happened(issue_ids: Iterable[int], kind: str) -> ColumnElement[bool]:
    return and_(events.c.issue_id.in_(tuple(issue_ids)), events.c.kind == kind)
