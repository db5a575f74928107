"""Reports on a database of each kind, at a time that stands still."""

from __future__ import annotations

from datetime import UTC

import pytest
from sqlalchemy import Engine

from newsletter_bot.reports.desk import Reports
from tests.reports.ledger import BEGUN, DAY, Ledger


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    """An empty ledger to write into."""
    return Ledger(engine)


@pytest.fixture
def reports(engine: Engine) -> Reports:
    """Reports, made ten days after the first issue."""
    return Reports(engine, UTC, lambda: float(BEGUN + 10 * DAY))
