"""Every table, as SQLAlchemy Core sees it; the migrations make them, a test compares the two.

Times are whole seconds since 1970 UTC. States are the words of docs/glossary.md.
"""

from __future__ import annotations

from newsletter_bot.storage.tables.feedback import (
    chunks,
    events,
    links,
    mailbox_cursors,
    raw_events,
)
from newsletter_bot.storage.tables.people import (
    address_changes,
    letters,
    signups,
    subscribers,
    subscription_changes,
    subscriptions,
    suppressions,
)
from newsletter_bot.storage.tables.schema import RowId, metadata
from newsletter_bot.storage.tables.sending import (
    deliveries,
    departures,
    domains,
    issues,
    relays,
    renderings,
    replies,
)
from newsletter_bot.storage.tables.service import (
    alerts,
    approvals,
    channel_tokens,
    collected,
    crossposts,
    feeds,
    instances,
    occurrences,
    proofs,
)
from newsletter_bot.storage.tables.web import (
    api_keys,
    challenges,
    hook_deliveries,
    hook_endpoints,
    hook_events,
    idempotency,
    limits,
)

__all__ = [
    "RowId",
    "address_changes",
    "alerts",
    "api_keys",
    "approvals",
    "challenges",
    "channel_tokens",
    "chunks",
    "collected",
    "crossposts",
    "deliveries",
    "departures",
    "domains",
    "events",
    "feeds",
    "hook_deliveries",
    "hook_endpoints",
    "hook_events",
    "idempotency",
    "instances",
    "issues",
    "letters",
    "limits",
    "links",
    "mailbox_cursors",
    "metadata",
    "occurrences",
    "proofs",
    "raw_events",
    "relays",
    "renderings",
    "replies",
    "signups",
    "subscribers",
    "subscription_changes",
    "subscriptions",
    "suppressions",
]
