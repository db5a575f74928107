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
    Index("ix_subscriptions_list_changed_at", "list", "changed_at"),  # who is new
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
    Column("kind", Text, nullable=False, server_default="issue"),  # issue | sequence
    Column("extended_at", BigInteger),  # when newcomers were added: the deadline counts from here
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

instances = Table(
    "instances",  # machines that may act on this database by themselves
    metadata,
    Column("machine", Text, primary_key=True),
    Column("mark", Text, nullable=False),  # the same as in the machine's own file, or it is a copy
    Column("adopted_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
)

proofs = Table(
    "proofs",
    metadata,
    Column("issue", Text, primary_key=True),
    Column("rendering", Text, primary_key=True),  # hash of what the editor was shown
    Column("sent_at", BigInteger, nullable=False),
)

approvals = Table(
    "approvals",
    metadata,
    Column("issue", Text, primary_key=True),
    Column("rendering", Text, nullable=False),  # hash of what was approved
    Column("source", Text, nullable=False),  # the file as it was, to show what was edited since
    Column("approved_at", BigInteger, nullable=False),
)

occurrences = Table(
    "occurrences",
    metadata,
    Column("slot", Text, primary_key=True),
    Column("date", Text, primary_key=True),  # local, as 2026-11-29: the unique key of a send
    Column("due_at", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("issue", Text, nullable=False, server_default=""),  # chosen, or bound by `schedule`
    Column("reason", Text, nullable=False, server_default=""),
    Column("bound", Integer, nullable=False, server_default="0"),  # 1: by the operator
    Column("announced_at", BigInteger),  # when its grace period began
    Column("owner", Text, nullable=False, server_default=""),
    Column("lease_until", BigInteger, nullable=False, server_default="0"),
    Column("fence", Integer, nullable=False, server_default="0"),  # one more with each claim
    Column("changed_at", BigInteger, nullable=False),
    Index("ix_occurrences_state_due_at", "state", "due_at"),
)

crossposts = Table(
    "crossposts",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("issue", Text, nullable=False),
    Column("item", Text, nullable=False),  # the item's anchor, empty for the issue as a whole
    Column("channel", Text, nullable=False),
    Column("part", Integer, nullable=False),  # place in a thread, from 0
    Column("state", Text, nullable=False),
    Column("text", Text, nullable=False),  # as it is posted
    Column("url", Text, nullable=False),  # the link in it, or empty
    Column("key", Text, nullable=False),  # idempotency key, or the record's own
    Column("cost", Float, nullable=False),  # US dollars
    Column("details", JSON, nullable=False),  # title, tags and the like, for channels that ask
    Column("remote_id", Text, nullable=False, server_default=""),
    Column("remote_url", Text, nullable=False, server_default=""),
    Column("reason", Text, nullable=False, server_default=""),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("attempted_at", BigInteger),  # the first attempt that may have gone through unheard
    Column("not_before", BigInteger),
    Column("made_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    UniqueConstraint("issue", "item", "channel", "part"),
)

channel_tokens = Table(
    "channel_tokens",  # of channels whose tokens change with use
    metadata,
    Column("channel", Text, primary_key=True),
    Column("tokens", JSON, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
)

alerts = Table(
    "alerts",  # what operators were told, so that they are not told again and again
    metadata,
    Column("key", Text, primary_key=True),
    Column("said_at", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),  # since then, without being said
)

feeds = Table(
    "feeds",  # what collecting remembers of a source
    metadata,
    Column("address", Text, primary_key=True),
    Column("etag", Text, nullable=False, server_default=""),
    Column("modified", Text, nullable=False, server_default=""),
    Column("checked_at", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("not_before", BigInteger),
    Column("reason", Text, nullable=False, server_default=""),
)

collected = Table(
    "collected",  # links that were put into the inbox once, whatever became of them there
    metadata,
    Column("key", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)
