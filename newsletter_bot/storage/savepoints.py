"""A change within a transaction that holds others: undone alone when it fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from newsletter_bot.storage.prepared import execute
from newsletter_bot.storage.weather import LostError

Result = TypeVar("Result")


def within(connection: Connection, change: Callable[[Connection], Result]) -> Result:
    """Make a change in a savepoint, and undo it alone when it raises.

    Raises LostError when it cannot be undone, because the database gave up the transaction (a full
    disk). Past SQLAlchemy, whose savepoints cost more than a change.
    """
    execute(connection, "SAVEPOINT change")
    try:
        result = change(connection)
    except BaseException as error:
        _undo(connection, error)
        raise
    execute(connection, "RELEASE SAVEPOINT change")
    return result


def _undo(connection: Connection, reason: BaseException) -> None:
    try:
        execute(connection, "ROLLBACK TO SAVEPOINT change")
        execute(connection, "RELEASE SAVEPOINT change")
    except DBAPIError:
        raise LostError(
            "The database gave up what it was doing.", "Look at its disk and its log."
        ) from reason
