"""An office on a database of each kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.feedback.office import Office, settings_of


@pytest.fixture
def open_office(engine: Engine, tmp_path: Path) -> Iterator[Callable[..., Office]]:
    """`open_office(hard="twice")`: an office with a [feedback] of its own."""
    opened: list[Office] = []

    def made(**feedback: Any) -> Office:
        opened.append(Office(engine, settings_of(tmp_path, feedback)))
        return opened[-1]

    yield made
    for one in opened:
        one.close()


@pytest.fixture
def office(open_office: Callable[..., Office]) -> Office:
    return open_office()
