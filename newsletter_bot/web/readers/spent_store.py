"""The SQL of proofs of work: each is taken once."""

from __future__ import annotations

from sqlalchemy import Connection

from newsletter_bot.storage.tables import challenges
from newsletter_bot.storage.upsert import upserting


def spend(connection: Connection, key: str, expires_at: int) -> bool:
    """Take a challenge; False when it was taken before. It is kept until it expires anyway."""
    row = {"key": key, "expires_at": expires_at}
    added = upserting(connection, challenges).values(row).on_conflict_do_nothing()
    return connection.execute(added.returning(challenges.c.key)).scalar() is not None
