"""What the web remembers: limits, spent proofs of work, API keys, and webhooks that go out."""

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

limits = Table(
    "limits",  # how often something was done by or for somebody, in windows of time
    metadata,
    Column("name", Text, primary_key=True),  # which limit
    Column("key", Text, primary_key=True),  # of whom: a prefix, a domain, a keyed hash
    Column("count", Integer, nullable=False),  # since the window began, with the first
    Column("ends_at", BigInteger, nullable=False, index=True),  # when it counts from 0 again
)

challenges = Table(
    "challenges",  # proofs of work that were used, until they expire anyway
    metadata,
    Column("key", Text, primary_key=True),
    Column("expires_at", BigInteger, nullable=False, index=True),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("scopes", JSON, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("used_at", BigInteger),  # to the hour
    Column("revoked_at", BigInteger),
    sqlite_autoincrement=True,
)

idempotency = Table(
    "idempotency",  # writes through the API, so that a repeated one is answered and not done
    metadata,
    Column("api_key_id", RowId, ForeignKey("api_keys.id"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request", LargeBinary, nullable=False),  # hash of method, path and body
    Column("status", Integer),  # empty while it is under way
    Column("response", Text, nullable=False, server_default=""),
    Column("at", BigInteger, nullable=False, index=True),
)

hook_events = Table(
    "hook_events",  # the outbox: written in the transaction of what it tells about
    metadata,
    Column("id", RowId, primary_key=True),
    Column("uid", Text, nullable=False, unique=True),  # webhook-id, the same at every attempt
    Column("type", Text, nullable=False),
    Column("data", JSON, nullable=False),
    Column("subscriber_id", RowId, index=True),  # whom to forget with it
    Column("at", BigInteger, nullable=False, index=True),
    Column("spread_at", BigInteger, index=True),  # when it was owed to endpoints; empty: not yet
    sqlite_autoincrement=True,
)

hook_endpoints = Table(
    "hook_endpoints",  # what must be remembered of an endpoint; without a row there is nothing
    metadata,
    Column("name", Text, primary_key=True),
    Column("off_at", BigInteger),  # when it said that it is gone
    Column("rests_until", BigInteger, nullable=False, server_default="0"),  # as it asked
    Column("reason", Text, nullable=False, server_default=""),
)

hook_deliveries = Table(
    "hook_deliveries",  # one event owed to one endpoint
    metadata,
    Column("event_id", RowId, ForeignKey("hook_events.id", ondelete="CASCADE"), primary_key=True),
    Column("endpoint", Text, primary_key=True),
    Column("state", Text, nullable=False),  # planned | delivered | failed
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("not_before", BigInteger, nullable=False),  # under way: when its lease ends
    Column("status", Integer),  # of the last answer; empty where there was none
    Column("reason", Text, nullable=False, server_default=""),
    Column("changed_at", BigInteger, nullable=False),
    Index("ix_hook_deliveries_owed", "endpoint", "state", "not_before", "event_id"),
)
