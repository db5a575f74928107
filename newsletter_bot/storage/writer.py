"""Changes that the web and the API make: each is whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Engine

Result = TypeVar("Result")


class Writer:
    """Runs changes in transactions; safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def run(self, change: Callable[[Connection], Result]) -> Result:
        """Make a change and return its result once it is on disk.

        What `change` raises undoes it and is raised here.
        """
        with self._engine.begin() as connection:
            return change(connection)
