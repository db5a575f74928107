"""Changes that the web, the API and duties make: each is whole or not at all.

On SQLite those that wait at the same moment share a commit (group_commit.py): a flush of the disk
costs the same for one as for a hundred. On PostgreSQL each is a transaction of its own.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from newsletter_bot.storage.group_commit import GroupCommit, Limits, Told, Waiting
from newsletter_bot.storage.savepoints import within
from newsletter_bot.storage.weather import closing, is_clash, is_weather, weather

Result = TypeVar("Result")
Change = Callable[[Connection], Result]

_ATTEMPTS = 5
_PAUSE = 0.02  # seconds, longer each time


class _Inside(threading.local):
    """The connection of the change that this thread is making."""

    connection: Connection | None = None


class Writer:
    """Runs changes in transactions; safe to share between threads, not with a forked process."""

    def __init__(self, engine: Engine, limits: Limits | None = None) -> None:
        self._engine = engine
        self._inside = _Inside()
        self._closed = False
        shared = engine.dialect.name == "sqlite"
        self._group = GroupCommit(engine, limits or Limits()) if shared else None

    def run(self, change: Change[Result]) -> Result:
        """Make a change and return its result once it is on disk.

        `change` uses the connection it is given and nothing else of the database, and is quick; on
        PostgreSQL it may be run again, after a deadlock. What it raises undoes it and is raised
        here. A change that runs another one takes it into its own transaction: both are on disk, or
        neither; when it minds what the other raised, the other alone is undone.

        Raises TryAgainError when the database takes no change in time, or the writer is closed:
        nothing was changed then.
        """
        if self._inside.connection is not None:
            return within(self._inside.connection, change)
        if self._group is not None:
            return self._group.run(self._noting(change))
        return self._run_alone(self._noting(change))

    @property
    def shares(self) -> bool:
        """True where changes share commits, so that `submit` needs no thread for each."""
        return self._group is not None

    def submit(self, change: Change[Any], told: Told) -> Waiting:
        """Hand in a change without waiting for it, where `shares` is true.

        `told` hears, in the writer's thread, what `run` would return or raise. Raises TryAgainError
        at once when too many wait already.
        """
        assert self._group is not None, "elsewhere each change needs a thread"
        return self._group.submit(self._noting(change), told)

    def close(self) -> None:
        """Make what was handed in, and refuse what comes later."""
        self._closed = True
        if self._group is not None:
            self._group.close()

    def _noting(self, change: Change[Result]) -> Change[Result]:
        """Return the change, made so that a change within it finds its connection."""

        def noted(connection: Connection) -> Result:
            self._inside.connection = connection
            try:
                return change(connection)
            finally:
                self._inside.connection = None

        return noted

    def _run_alone(self, change: Change[Result]) -> Result:
        for attempt in range(1, _ATTEMPTS + 1):
            if self._closed:
                raise closing()
            try:
                with self._engine.begin() as connection:
                    return change(connection)
            except DBAPIError as error:
                if not is_weather(error):
                    raise
                if attempt == _ATTEMPTS or not is_clash(error):
                    raise weather(error) from error
            time.sleep(_PAUSE * attempt * (0.5 + random.random()))  # noqa: S311 - no secret
        raise AssertionError("the last attempt returned or raised")
