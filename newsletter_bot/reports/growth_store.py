"""The SQL of how lists grow: who joined and who left between two times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from newsletter_bot.reports.model import ListGrowth
from newsletter_bot.storage.tables import subscription_changes
from newsletter_bot.subscribers.consent import By
from newsletter_bot.subscribers.model import SubscriptionState

_CHANGE = subscription_changes.c
_ACTIVE, _LEFT = SubscriptionState.ACTIVE.value, SubscriptionState.UNSUBSCRIBED.value


def growth(
    connection: Connection, lists: Sequence[str], since: int, until: int
) -> tuple[ListGrowth, ...]:
    """Count who came to each list and who left it, from a time on and before another."""
    query = (
        select(_CHANGE.list, _CHANGE.state, _CHANGE.by, func.count())
        .where(
            _CHANGE.list.in_(lists),
            _CHANGE.at >= since,
            _CHANGE.at < until,
            or_(_CHANGE.state == _ACTIVE, and_(_CHANGE.state == _LEFT, _was_active())),
        )
        .group_by(_CHANGE.list, _CHANGE.state, _CHANGE.by)
    )
    found: dict[tuple[str, str], dict[str, int]] = {}
    for name, state, by, count in connection.execute(query):
        found.setdefault((name, state), {})[by] = count
    return tuple(
        _of_list(name, found.get((name, _ACTIVE), {}), found.get((name, _LEFT), {}))
        for name in lists
    )


def _of_list(name: str, came: Mapping[str, int], went: Mapping[str, int]) -> ListGrowth:
    imported = came.get(By.IMPORT, 0)
    return ListGrowth(name, sum(came.values()) - imported, imported, sum(went.values()), went)


def _was_active() -> ColumnElement[bool]:
    """Tell who had really joined: those who never confirmed were no loss.

    A step before which none is kept is taken for a loss.
    """
    before = subscription_changes.alias("before")
    last = (
        select(before.c.state)
        .where(
            before.c.subscriber_id == _CHANGE.subscriber_id,
            before.c.list == _CHANGE.list,
            before.c.id < _CHANGE.id,
        )
        .order_by(before.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    return func.coalesce(last, _ACTIVE) == _ACTIVE
