"""A newsletter's people, the letters they are owed, and a mail server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.delivery.letters.office import Office


@pytest.fixture
def office(engine: Engine, tmp_path: Path, smtp_server: Any) -> Callable[..., Office]:
    """Open an office whose time stands still: `office("rcpt@ada@example.com=450 later")`."""

    def opened(*faults: str, more: Any = (), **tables: Any) -> Office:
        return Office.on(engine, tmp_path, smtp_server(*faults, more=more), **tables)

    return opened
