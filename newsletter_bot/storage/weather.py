"""Errors of a database that may pass: what they are, and how they are said."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError

from newsletter_bot.errors import TryAgainError

_SQLITE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}
_CLASHES = {"40001", "40P01"}  # serialisation failure, deadlock (PostgreSQL 17, appendix A)
# Connection, resources, the operator's intervention, the system; a lock that was not to be had.
_POSTGRESQL = ("08", "53", "57", "58", "55P03")
_NEXT = "Try it again in a little while."


class LostError(TryAgainError):
    """The database gave up the whole transaction, not one statement of it."""


def is_clash(error: DBAPIError) -> bool:
    """Tell whether two transactions were in each other's way: the same again may go well."""
    return getattr(error.orig, "sqlstate", None) in _CLASHES


def is_weather(error: DBAPIError) -> bool:
    """Tell whether the database, its disk or the way to it is in trouble, and not the statement."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in _SQLITE  # the rest of an extended code says which kind of it
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return error.connection_invalidated or "OperationalError" in type(error.orig).__name__
    return is_clash(error) or str(state).startswith(_POSTGRESQL)


def weather(error: DBAPIError) -> TryAgainError:
    """Say that the database is in trouble."""
    return TryAgainError(f"The database takes no change: {error.orig}.", _NEXT)


def crowded() -> TryAgainError:
    """Say that others came first."""
    return TryAgainError("Too many changes wait for the database.", _NEXT)


def closing() -> TryAgainError:
    """Say that this process ends."""
    return TryAgainError("The database is being closed.", _NEXT)
