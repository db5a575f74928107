"""The ledger: issues, who is owed them, and what relays and domains asked of us."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from newsletter_bot.storage.tables.schema import RowId, metadata

renderings = Table(
    "renderings",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("content", Text, nullable=False),
    Column("made_at", BigInteger, nullable=False),
)

issues = Table(
    "issues",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("identity", Text, nullable=False, unique=True),
    Column("title", Text, nullable=False),
    Column("state", Text, nullable=False),  # scheduled … sending | sent | paused | cancelled
    Column("rendering", Text, ForeignKey("renderings.hash"), nullable=False),
    Column("lists", JSON, nullable=False),
    Column("planned_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    Column("reason", Text, nullable=False, server_default=""),  # why it was paused or cancelled
    Column("run", Text, nullable=False, server_default=""),  # the name of the last run
    Column("kind", Text, nullable=False, server_default="issue"),  # issue | sequence
    Column("extended_at", BigInteger),  # of newcomers, or a test's end: the deadline counts from it
    Column("selection", JSON, nullable=False, server_default="{}"),  # of those on its lists
    Column("told_at", BigInteger),  # when it first came to its end: webhooks hear of it once
    Column("subject_test", JSON, nullable=False, server_default="{}"),  # of several subjects
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("issue_id", RowId, ForeignKey("issues.id"), nullable=False),
    Column("subscriber_id", RowId, ForeignKey("subscribers.id"), nullable=False),
    Column("list", Text, nullable=False),  # the list whose subscription made it owed
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("attempted_at", BigInteger),  # of the first attempt: the message's Date, same on retry
    Column("not_before", BigInteger),  # of a deferred delivery
    Column("reason", Text, nullable=False),  # the server's text, or why it was skipped
    Column("changed_at", BigInteger, nullable=False),
    Column("relay", Text, nullable=False, server_default=""),  # that made the last attempt
    Column("variant", Integer),  # which of several subjects; empty until that is decided
    UniqueConstraint("issue_id", "subscriber_id"),
    Index("ix_deliveries_issue_id_state_id", "issue_id", "state", "id"),
    Index(
        "ix_deliveries_drawn",  # of an issue with one subject there is nothing in it
        "issue_id",
        "state",
        "id",
        sqlite_where=text("variant IS NOT NULL"),
        postgresql_where=text("variant IS NOT NULL"),
    ),
)

replies = Table(
    "replies",  # what was said to earlier attempts: a delivery's own row holds the last
    metadata,
    Column("id", RowId, primary_key=True),
    Column("delivery_id", RowId, ForeignKey("deliveries.id"), nullable=False, index=True),
    Column("at", BigInteger, nullable=False),
    Column("relay", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

relays = Table(
    "relays",  # what a restart must not forget about a relay
    metadata,
    Column("name", Text, primary_key=True),
    Column("free_at", Float, nullable=False),  # when its rate allows the next message
    Column("failures", Integer, nullable=False),  # in a row, without a message between
    Column("not_before", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
)

departures = Table(
    "departures",  # messages begun through a relay, for sliding windows and warm-up
    metadata,
    Column("relay", Text, primary_key=True),
    Column("minute", BigInteger, primary_key=True),  # since 1970 UTC
    Column("count", Integer, nullable=False),
)

domains = Table(
    "domains",  # recipients' domains that asked us to slow down
    metadata,
    Column("relay", Text, primary_key=True),
    Column("domain", Text, primary_key=True),
    Column("connections", Integer, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
)
