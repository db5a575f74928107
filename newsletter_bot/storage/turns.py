"""How those who write into one SQLite file come to their turn.

SQLite's own waiting looks for the lock after 1, 2, 5, … 100 ms: beside a busy writer, who takes it
again at once, somebody else meets it free by luck alone. Measured 2026-11: a sender of an issue
beside one-click unsubscribing made half of its commits, a hundredth of them after 80 ms; looking
every half a millisecond it made all of them, within 8 ms.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import Any

from sqlalchemy import Connection

from newsletter_bot.storage.prepared import execute

_BEGIN = "BEGIN IMMEDIATE"
_EAGER = 0.25  # seconds; who waits longer waits for a backup or a shell, and looks less often
_OFTEN = 0.0005
_SELDOM = 0.01


def begin_in_turn(connection: Connection, patience: float) -> None:
    """Begin a transaction that holds the write lock; raises DBAPIError after `patience` seconds."""
    driver: Any = connection.connection.driver_connection
    begun = time.monotonic()
    with closing(driver.cursor()) as cursor:
        usual = cursor.execute("PRAGMA busy_timeout").fetchone()[0]
        cursor.execute("PRAGMA busy_timeout = 0")
        try:
            while _is_taken(cursor):
                waited = time.monotonic() - begun
                if waited > patience:
                    break
                time.sleep(_OFTEN if waited < _EAGER else _SELDOM)
            if not driver.in_transaction:
                execute(connection, _BEGIN)  # it fails again, as an error that SQLAlchemy made
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {usual}")


def _is_taken(cursor: sqlite3.Cursor) -> bool:
    """Try to begin; True while somebody else holds the lock."""
    # Past SQLAlchemy: making an error of its kind would take longer than the next attempt.
    try:
        cursor.execute(_BEGIN)
    except sqlite3.OperationalError as error:
        return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
    return False
