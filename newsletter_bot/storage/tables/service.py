"""What the service remembers: machines, occurrences, posts, alerts, feeds."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from newsletter_bot.storage.tables.schema import RowId, metadata

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
