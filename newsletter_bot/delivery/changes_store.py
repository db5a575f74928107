"""The SQL of a delivery's changes: it begins, if it still may, and comes to an outcome."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Insert,
    Select,
    Text,
    Update,
    bindparam,
    func,
    insert,
    or_,
    select,
    update,
)

from newsletter_bot.delivery.model import (
    Change,
    DeliveryState,
    Denial,
    DenialKind,
    IssueState,
    Settle,
    Start,
)
from newsletter_bot.storage.prepared import Prepared
from newsletter_bot.storage.rows import json_rows
from newsletter_bot.storage.tables import (
    deliveries,
    issues,
    replies,
    subscribers,
    subscriptions,
    suppressions,
)
from newsletter_bot.subscribers.model import SubscriptionState

# ── beginning ────────────────────────────────────────────────────────────────────────────────

# No `IN (…)` stands in what follows: SQLAlchemy writes such a statement anew at every execution.
_MAY_BEGIN = or_(
    deliveries.c.state == DeliveryState.PLANNED.value,
    deliveries.c.state == DeliveryState.DEFERRED.value,
)
_UNDER_WAY = deliveries.c.state == DeliveryState.SENDING.value
_BEING_SENT = select(issues.c.id).where(
    issues.c.id == deliveries.c.issue_id, issues.c.state == IssueState.SENDING.value
)
_SUBSCRIPTION = select(subscriptions.c.state).where(
    subscriptions.c.list == deliveries.c.list,
    subscriptions.c.subscriber_id == deliveries.c.subscriber_id,
)
_SUBSCRIBED = _SUBSCRIPTION.where(subscriptions.c.state == SubscriptionState.ACTIVE.value)
_SUPPRESSED = (
    select(suppressions.c.reason)
    .join(subscribers, subscribers.c.suppression_key == suppressions.c.suppression_key)
    .where(subscribers.c.id == deliveries.c.subscriber_id)
)


def _chosen(dialect: str) -> ColumnElement[bool]:
    return deliveries.c.id.in_(select(json_rows(dialect, id=BigInteger)["id"]))


def _beginning(dialect: str) -> Update:
    return (
        update(deliveries)
        .where(
            _chosen(dialect),
            _MAY_BEGIN,
            _BEING_SENT.exists(),
            _SUBSCRIBED.exists(),
            ~_SUPPRESSED.exists(),
        )
        .values(
            state=DeliveryState.SENDING.value,
            attempts=deliveries.c.attempts + 1,
            attempted_at=func.coalesce(deliveries.c.attempted_at, bindparam("now")),
            changed_at=bindparam("now"),
        )
    )


def _under_way(dialect: str) -> Select[*tuple[Any, ...]]:
    # Rows in `sending` are ours: the run holds the issue's lock, and what an earlier run left
    # there was settled when this one began.
    return select(deliveries.c.id).where(_chosen(dialect), _UNDER_WAY)


def _why_not(dialect: str) -> Select[*tuple[Any, ...]]:
    return select(
        deliveries.c.id,
        _BEING_SENT.correlate(deliveries).exists(),
        _SUBSCRIPTION.correlate(deliveries).scalar_subquery(),
        _SUPPRESSED.correlate(deliveries).scalar_subquery(),
    ).where(_chosen(dialect), _MAY_BEGIN)


def _keeping(dialect: str) -> Insert:
    said = select(
        deliveries.c.id,
        deliveries.c.changed_at,
        deliveries.c.relay,
        deliveries.c.state,
        deliveries.c.reason,
    ).where(_chosen(dialect), deliveries.c.reason != "")
    return insert(replies).from_select(["delivery_id", "at", "relay", "state", "reason"], said)


_BEGIN = Prepared(_beginning)
_FIND_UNDER_WAY = Prepared(_under_way)
_ASK_WHY_NOT = Prepared(_why_not)
_KEEP = Prepared(_keeping)


def keep_replies(connection: Connection, ids: Sequence[int]) -> None:
    """Move what was said to the last attempts into `replies`, before new attempts overwrite it."""
    if ids:
        _KEEP.run(connection, rows=_ids(ids))


def _ids(ids: Iterable[int]) -> str:
    return json.dumps([{"id": one} for one in ids])


def begin(connection: Connection, starts: Sequence[Change], now: int) -> dict[int, Denial]:
    """Write `sending` for each that still may begin; returns the others, and why not."""
    keep_replies(
        connection, [one.delivery_id for one in starts if isinstance(one, Start) and one.again]
    )
    ids = [one.delivery_id for one in starts]
    done = _BEGIN.run(connection, rows=_ids(ids), now=now)
    # Counted, not read back with RETURNING: each row read would wait for the interpreter.
    if done.rowcount == len(ids):
        return {}
    begun = {row[0] for row in _FIND_UNDER_WAY.run(connection, rows=_ids(ids)).fetchall()}
    missing = [one for one in ids if one not in begun]
    denied = {one: Denial(DenialKind.SETTLED, "somebody settled it already") for one in missing}
    for row in _ASK_WHY_NOT.run(connection, rows=_ids(missing)).fetchall():
        denied[row[0]] = _denial(being_sent=row[1], subscription=row[2], suppression=row[3])
    return denied


def unwanted(subscription: str | None, suppression: str | None) -> str:
    """Say why a delivery must be skipped, from the person's subscription and suppression."""
    if suppression is not None:
        return f"suppressed: {suppression}"
    if subscription != SubscriptionState.ACTIVE.value:
        return "no longer subscribed"
    return ""


def _denial(*, being_sent: bool, subscription: str | None, suppression: str | None) -> Denial:
    if not being_sent:
        return Denial(DenialKind.HALTED, "the issue is not being sent any more")
    return Denial(DenialKind.UNWANTED, unwanted(subscription, suppression))


# ── settling ─────────────────────────────────────────────────────────────────────────────────


def settle(connection: Connection, changes: Iterable[Change], now: int) -> None:
    """Write outcomes, and put back what was released."""
    rows = json.dumps([_settled(one) for one in changes])
    _SETTLE.run(connection, rows=rows, now=now)


def _settling(dialect: str) -> Update:
    row = json_rows(dialect, id=BigInteger, state=Text, reason=Text, due=BigInteger, relay=Text)
    return (
        update(deliveries)
        .where(deliveries.c.id == row["id"], or_(_MAY_BEGIN, _UNDER_WAY))
        .values(
            state=row["state"],
            reason=row["reason"],
            not_before=row["due"],
            relay=row["relay"],
            changed_at=bindparam("now"),
        )
    )


_SETTLE = Prepared(_settling)


def prove(connection: Connection, ids: Iterable[int], reason: str, now: int) -> None:
    """Call deliveries accepted of which nobody knew, once something shows that they arrived.

    Others are left as they are.
    """
    _PROVE.run(connection, rows=_ids(sorted(ids)), reason=reason, now=now)


def _proving(dialect: str) -> Update:
    return (
        update(deliveries)
        .where(_chosen(dialect), deliveries.c.state == DeliveryState.UNKNOWN.value)
        .values(
            state=DeliveryState.ACCEPTED.value,
            reason=bindparam("reason"),
            changed_at=bindparam("now"),
        )
    )


_PROVE = Prepared(_proving)


def _settled(change: Change) -> dict[str, object]:
    if isinstance(change, Settle):
        state, reason, due = change.outcome.state, change.outcome.reason, change.not_before
        return _row(change.delivery_id, state, reason, due, change.relay)
    return _row(change.delivery_id, DeliveryState.PLANNED, "", None, "")


def _row(
    delivery_id: int, state: DeliveryState, reason: str, due: int | None, relay: str
) -> dict[str, object]:
    return {"id": delivery_id, "state": state.value, "reason": reason, "due": due, "relay": relay}
