"""The SQL of what came back, as it came: kept before anybody tries to understand it."""

from __future__ import annotations

from sqlalchemy import Connection

from newsletter_bot.storage.tables import raw_events
from newsletter_bot.storage.upsert import upserting

MAIL = "mail"  # the source of what mailboxes and pipes bring


def keep(connection: Connection, source: str, key: str, body: bytes, now: int) -> bool:
    """Keep a request or mail under its key; returns whether it is new.

    `source` is a provider's name or MAIL. The duty `feedback` reads it later.
    """
    row = {"source": source, "key": key, "body": body, "state": "new", "received_at": now}
    insert = upserting(connection, raw_events).values(row)
    nothing = insert.on_conflict_do_nothing(index_elements=["source", "key"])
    return connection.execute(nothing).rowcount > 0
