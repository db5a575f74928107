"""Every table, as SQLAlchemy Core sees it; the migrations make them, a test compares the two.

Times are whole seconds since 1970 UTC. States are the words of docs/glossary.md.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite gives its fast row ids to INTEGER alone; PostgreSQL should not run out at 2**31.
RowId = BigInteger().with_variant(Integer, "sqlite")

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
)

suppressions = Table(
    "suppressions",
    metadata,
    Column("suppression_key", LargeBinary, primary_key=True),  # outlives the person's erasure
    Column("reason", Text, nullable=False),
    Column("added_at", BigInteger, nullable=False),
)

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
    UniqueConstraint("issue_id", "subscriber_id"),
    Index("ix_deliveries_issue_id_state_id", "issue_id", "state", "id"),
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
