"""What webhooks and `feedback` are told about sending, in the transaction that makes it so.

Where no endpoint wants an event, nothing is read and nothing written for it.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, func, select, update

from newsletter_bot.delivery.model import (
    Change,
    DeliveryState,
    IssueKind,
    IssueState,
    Settle,
    Tally,
)
from newsletter_bot.delivery.refusals_store import DELIVERY, keep_refusals
from newsletter_bot.delivery.relaying.replies import Kind, kind_of
from newsletter_bot.rendering.addresses import page_url
from newsletter_bot.settings import Settings
from newsletter_bot.settings.people import HookType
from newsletter_bot.storage.outbox import Outbox
from newsletter_bot.storage.tables import deliveries, issues, subscribers

_THEIRS = {Kind.ADDRESS, Kind.MAILBOX}  # a refusal about us or what we send is no bounce


class Telling:
    """Tells of refusals that are the reader's own, and of issues that came to their end."""

    def __init__(self, settings: Settings, outbox: Outbox | None = None) -> None:
        self._settings = settings
        self._outbox = outbox or Outbox.of(settings)

    def bounces(self, connection: Connection, changes: Iterable[Change], now: int) -> None:
        """Tell of those among the outcomes just written that are bounces.

        What follows from a refusal for its reader is `feedback`'s to say.
        """
        refused = {
            one.delivery_id: one.outcome.reason
            for one in changes
            if isinstance(one, Settle) and one.outcome.state is DeliveryState.REFUSED
        }
        keep_refusals(connection, DELIVERY, refused, now)
        if HookType.BOUNCED.value not in self._outbox.wanted:
            return
        bounced = [row for row, reason in refused.items() if kind_of(reason) in _THEIRS]
        if bounced:
            self._tell_bounces(connection, bounced, now)

    def _tell_bounces(self, connection: Connection, bounced: list[int], now: int) -> None:
        query = (
            select(
                deliveries.c.reason,
                issues.c.identity,
                deliveries.c.list,
                subscribers.c.id,
                subscribers.c.address,
            )
            .join(issues, issues.c.id == deliveries.c.issue_id)
            .join(subscribers, subscribers.c.id == deliveries.c.subscriber_id)
            .where(deliveries.c.id.in_(bounced), deliveries.c.state == DeliveryState.REFUSED.value)
            .order_by(deliveries.c.id)
        )
        for reason, issue, list_id, person, address in connection.execute(query).all():
            data = {
                "subscriber_id": person,
                "address": address,
                "list": list_id,
                "issue": issue,
                "reason": reason,
            }
            self._outbox.tell(connection, HookType.BOUNCED, data, now, person)

    def issue_sent(self, connection: Connection, issue_id: int, now: int) -> None:
        """Tell that an issue came to its end, the first time that it does.

        One that is sent again, to newcomers or by `retry`, is told no second time.
        """
        first = update(issues).where(
            issues.c.id == issue_id,
            issues.c.kind == IssueKind.ISSUE.value,
            issues.c.state == IssueState.SENT.value,
            issues.c.told_at.is_(None),
        )
        if not connection.execute(first.values(told_at=now)).rowcount:
            return
        if HookType.ISSUE_SENT.value in self._outbox.wanted:
            data = self._ended(connection, issue_id)
            self._outbox.tell(connection, HookType.ISSUE_SENT, data, now)

    def _ended(self, connection: Connection, issue_id: int) -> dict[str, object]:
        query = select(issues.c.identity, issues.c.title).where(issues.c.id == issue_id)
        identity, title = connection.execute(query).one()
        count = (
            select(deliveries.c.state, func.count())
            .where(deliveries.c.issue_id == issue_id)
            .group_by(deliveries.c.state)
        )
        counts = {row[0]: row[1] for row in connection.execute(count)}
        planned = sum(counts.values())
        counts.pop(DeliveryState.PLANNED.value, None)
        tally = Tally(issue=identity, state=IssueState.SENT.value, planned=planned, **counts)
        ends = ("planned", "accepted", "refused", "skipped", "unknown", "expired")
        return {
            "issue": identity,
            "title": title,
            "url": page_url(self._settings, identity),
            **{name: getattr(tally, name) for name in ends},
            "balanced": tally.balanced,
        }
