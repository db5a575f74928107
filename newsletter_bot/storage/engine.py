"""One engine per process: SQLite in WAL mode with full durability, or PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from newsletter_bot.errors import ConfigurationError, TryAgainError, UnavailableError
from newsletter_bot.storage.prepared import execute
from newsletter_bot.storage.turns import begin_in_turn

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK_WAIT_MS = 10_000


def open_engine(url: str, folder: Path) -> Engine:
    """Open the database at `url` and bring its tables up to date.

    A relative SQLite path starts at `folder`. Raises ConfigurationError for an address that is
    none, TryAgainError for a database that does not answer, UnavailableError without its driver.
    """
    try:
        engine = _engine(_resolved(url, folder))
        upgrade(engine)
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"The database driver {error.name} is not installed.",
            "Install it: pip install 'newsletter-bot[postgresql]'.",
        ) from error
    except DBAPIError as error:
        raise TryAgainError(
            f"The database does not answer: {error.orig}.",
            "Check [database] url in newsletter.toml, the disk and the server; then run it again.",
        ) from error
    return engine


def upgrade(engine: Engine) -> None:
    """Run the migrations that the database has not seen; no work when it has seen them all."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    head = ScriptDirectory.from_config(config).get_current_head()
    with reading(engine) as connection:
        if MigrationContext.configure(connection).get_current_revision() == head:
            return
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _resolved(url: str, folder: Path) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError(
            f"[database] url {url!r} is not a database address.",
            "Write sqlite:///newsletter.db or postgresql://user@host/name.",
        ) from error
    if parsed.get_backend_name() == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() != "sqlite":
        raise ConfigurationError(
            f"[database] url: {parsed.get_backend_name()!r} is not a database we know.",
            "Write sqlite:///newsletter.db or postgresql://user@host/name.",
        )
    if parsed.database and parsed.database != ":memory:":
        return parsed.set(database=str(folder / parsed.database))
    return parsed


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": _LOCK_WAIT_MS / 1000})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # Python's own transaction handling is switched off: it commits behind our back before DDL and
    # begins lazily, so that a read and the write that follows it could see two states.
    connection.isolation_level = None
    with closing(connection.cursor()) as cursor:
        cursor.execute("PRAGMA journal_mode = WAL")
        # FULL: a committed `sending` or outcome survives power loss.
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        # What is erased is overwritten, not only unlinked: `forget` leaves nothing in the file.
        cursor.execute("PRAGMA secure_delete = ON")
        cursor.execute(f"PRAGMA busy_timeout = {_LOCK_WAIT_MS}")  # of all but BEGIN IMMEDIATE


def _begin_sqlite(connection: Any) -> None:
    # IMMEDIATE takes the write lock at once and waits for it; a deferred transaction that upgrades
    # later fails with "database is locked" without waiting.
    mode = connection.get_execution_options().get("sqlite_begin", "IMMEDIATE")
    if mode == "IMMEDIATE":
        begin_in_turn(connection, _LOCK_WAIT_MS / 1000)
    else:
        execute(connection, f"BEGIN {mode}")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that only reads: it takes no write lock and sees one moment."""
    with engine.connect().execution_options(sqlite_begin="DEFERRED") as connection:
        yield connection


def at_transactions(engine: Engine, heard: Callable[[], None]) -> None:
    """Call `heard` at the begin of every transaction and right before its commit."""
    for name in ("begin", "commit"):
        event.listen(engine, name, lambda *_arguments: heard())
