"""What comes back: what providers, mailboxes and links told us, first as it came, then as read."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    TextClause,
    UniqueConstraint,
    text,
)

from newsletter_bot.storage.tables.schema import RowId, metadata

# Visits that nobody has judged yet, and events that still hold something of a visitor: few of many.
VISITS = text("kind IN ('clicked', 'opened')")
UNJUDGED = text(f"actor = '' AND {VISITS}")
WITH_VISITOR = text("(prefix <> '' OR agent <> '')")


def partial(where: TextClause) -> dict[str, Any]:
    """Return what makes an index one of these rows alone."""
    return {"sqlite_where": where, "postgresql_where": where}


raw_events = Table(
    "raw_events",  # as they came, kept before they are understood
    metadata,
    Column("id", RowId, primary_key=True),
    Column("source", Text, nullable=False),  # a provider's name, or `mail`
    Column("key", Text, nullable=False),  # the provider's own id of it, or a hash: told once
    Column("body", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),  # new | read | broken
    Column("reason", Text, nullable=False, server_default=""),
    Column("received_at", BigInteger, nullable=False),
    UniqueConstraint("source", "key"),
    Index("ix_raw_events_state_id", "state", "id"),
    Index("ix_raw_events_received_at", "received_at"),
    sqlite_autoincrement=True,
)

events = Table(
    "events",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("source", Text, nullable=False),  # a provider's name, `mail` or `link`
    Column("key", Text, nullable=False),
    Column("kind", Text, nullable=False),  # delivered, bounced, complained, clicked, …
    Column("issue_id", RowId, ForeignKey("issues.id")),
    Column("delivery_id", RowId, ForeignKey("deliveries.id"), index=True),
    Column("subscriber_id", RowId, ForeignKey("subscribers.id"), index=True),
    Column("raw_id", BigInteger),  # what it was read from, until that is deleted
    Column("at", BigInteger, nullable=False),  # when it happened, as they say
    Column("received_at", BigInteger, nullable=False),
    Column("class", Text, nullable=False, server_default=""),  # hard | soft | block | technical
    Column("status", Text, nullable=False, server_default=""),  # an enhanced code
    Column("reason", Text, nullable=False, server_default=""),
    Column("link", BigInteger),  # of a click: its number in the issue
    Column("actor", Text, nullable=False, server_default=""),  # human | machine | unknown
    Column("why", Text, nullable=False, server_default=""),  # the rule that said so
    Column("prefix", Text, nullable=False, server_default=""),  # truncated IP of a visit
    Column("agent", Text, nullable=False, server_default=""),  # what it called itself
    Column("consequence", Text, nullable=False, server_default=""),  # what it led to, and why not
    UniqueConstraint("source", "key"),
    Index("ix_events_counted", "issue_id", "kind", "actor", "link", "delivery_id"),  # reports
    Index("ix_events_received_at", "received_at"),
    Index("ix_events_unjudged", "received_at", **partial(UNJUDGED)),
    Index("ix_events_visitors", "received_at", **partial(WITH_VISITOR)),
    sqlite_autoincrement=True,
)

links = Table(
    "links",  # where an issue's links lead: the only places that a click is sent on to
    metadata,
    Column("issue_id", RowId, ForeignKey("issues.id"), primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("url", Text, nullable=False),
    Column("item", Text, nullable=False),  # the item's anchor, empty for other links
    Column("title", Text, nullable=False),
)

chunks = Table(
    "chunks",  # deliveries handed to a provider in one call, frozen before the first try of it
    metadata,
    Column("id", RowId, primary_key=True),
    Column("relay", Text, nullable=False),
    Column("issue_id", RowId, ForeignKey("issues.id"), nullable=False),
    Column("key", Text, nullable=False, unique=True),  # for idempotency: the same at every try
    Column("deliveries", JSON, nullable=False),  # their ids, in order
    Column("payload", LargeBinary, nullable=False),  # hash: another payload is another call
    Column("frozen_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Index("ix_chunks_issue_id_ended_at", "issue_id", "ended_at"),
    sqlite_autoincrement=True,
)

mailbox_cursors = Table(
    "mailbox_cursors",  # how far a mailbox was read
    metadata,
    Column("mailbox", Text, primary_key=True),
    Column("validity", Text, nullable=False),  # UIDVALIDITY: another one begins afresh
    Column("position", Text, nullable=False),  # the last UID, or UIDL
    Column("checked_at", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False, server_default="0"),  # in a row
    Column("reason", Text, nullable=False, server_default=""),  # why it could not be read
)
