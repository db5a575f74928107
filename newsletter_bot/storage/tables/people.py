"""People: who they are, what they chose, what they asked for, and what we write to one of them."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
)

from newsletter_bot.storage.tables.schema import RowId, metadata

subscribers = Table(
    "subscribers",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("address", Text, nullable=False),  # as the person wrote it, domain in lower case
    Column("address_key", Text, nullable=False, unique=True),  # what makes two addresses one
    Column("suppression_key", LargeBinary, nullable=False, index=True),  # keyed hash of the above
    Column("name", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("fields", JSON, nullable=False),  # the newsletter's own fields: text to text
    Column("added_at", BigInteger, nullable=False),
    Column("tags", JSON, nullable=False, server_default="[]"),  # the operator's own words, sorted
    Column("frequency", Text, nullable=False, server_default="every"),  # every | monthly
    Column("paused_until", BigInteger),  # nothing is planned for them before
    Column("erased_at", BigInteger),  # the row stands for deliveries alone: address and name gone
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("list", Text, primary_key=True),
    Column("subscriber_id", RowId, ForeignKey("subscribers.id"), primary_key=True),
    Column("state", Text, nullable=False),  # pending | active | unsubscribed
    Column("consent", JSON, nullable=False),  # evidence: source, time and whatever was recorded
    Column("changed_at", BigInteger, nullable=False),
    Index("ix_subscriptions_subscriber_id", "subscriber_id"),
    Index("ix_subscriptions_list_changed_at", "list", "changed_at"),  # who is new
)

subscription_changes = Table(
    "subscription_changes",  # every step of every subscription, for evidence and for growth
    metadata,
    Column("id", RowId, primary_key=True),
    Column("subscriber_id", RowId, ForeignKey("subscribers.id"), nullable=False, index=True),
    Column("list", Text, nullable=False),
    Column("state", Text, nullable=False),  # what it became
    Column("by", Text, nullable=False),  # form, confirm, one-click, page, mailto, operator, api, …
    Column("at", BigInteger, nullable=False),
    Index("ix_subscription_changes_list_at", "list", "at"),
    sqlite_autoincrement=True,
)

suppressions = Table(
    "suppressions",
    metadata,
    Column("suppression_key", LargeBinary, primary_key=True),  # outlives the person's erasure
    Column("reason", Text, nullable=False),
    Column("added_at", BigInteger, nullable=False),
    Index("ix_suppressions_added_at_suppression_key", "added_at", "suppression_key"),  # in pages
)

# The ids below stand in tokens: autoincrement, so that SQLite never gives one out again.
signups = Table(
    "signups",  # requests of the form, until they are confirmed or purged
    metadata,
    Column("id", RowId, primary_key=True),
    Column("address", Text, nullable=False),
    Column("address_key", Text, nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("lists", JSON, nullable=False),
    Column("consent", JSON, nullable=False),  # wording and version, page, time, truncated IP
    Column("state", Text, nullable=False),  # asked | mailed | confirmed | dropped
    Column("reason", Text, nullable=False, server_default=""),  # why it was dropped
    Column("asked_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("confirmed_at", BigInteger),
    Index("ix_signups_state_id", "state", "id"),
    Index("ix_signups_asked_at", "asked_at"),
    sqlite_autoincrement=True,
)

letters = Table(
    "letters",  # mails to one person that belong to no issue: confirm, welcome and the like
    metadata,
    Column("id", RowId, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("address_key", Text, nullable=False, server_default="", index=True),
    Column("language", Text, nullable=False),
    Column("about", JSON, nullable=False),  # ids that its links are made from, never a token
    Column("state", Text, nullable=False),  # the words of a delivery
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("attempted_at", BigInteger),  # of the first attempt: its Date, same on retry
    Column("not_before", BigInteger),
    Column("reason", Text, nullable=False, server_default=""),
    Column("subscriber_id", RowId, index=True),  # whom to forget with it; empty before they exist
    Column("made_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Index("ix_letters_state_id", "state", "id"),
    sqlite_autoincrement=True,
)

address_changes = Table(
    "address_changes",  # a new address, until both mailboxes have agreed
    metadata,
    Column("id", RowId, primary_key=True),
    Column("subscriber_id", RowId, ForeignKey("subscribers.id"), nullable=False, index=True),
    Column("address", Text, nullable=False),  # the new one
    Column("address_key", Text, nullable=False, index=True),
    Column("asked_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("old_agreed_at", BigInteger),
    Column("new_agreed_at", BigInteger),
    Column("done_at", BigInteger),
    sqlite_autoincrement=True,
)
