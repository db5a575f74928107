"""Changes that the web and the API make: each is whole or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Engine

Result = TypeVar("Result")


class _Inside(threading.local):
    """The connection of the change that this thread is making."""

    connection: Connection | None = None


class Writer:
    """Runs changes in transactions; safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._inside = _Inside()

    def run(self, change: Callable[[Connection], Result]) -> Result:
        """Make a change and return its result once it is on disk.

        What `change` raises undoes it and is raised here. A change that runs another one takes it
        into its own transaction: both are on disk, or neither.
        """
        if self._inside.connection is not None:
            return change(self._inside.connection)
        with self._engine.begin() as connection:
            return self._make(change, connection)

    def _make(self, change: Callable[[Connection], Result], connection: Connection) -> Result:
        self._inside.connection = connection
        try:
            return change(connection)
        finally:
            self._inside.connection = None
