from __future__ import annotations

import pytest
from sqlalchemy import Engine, event

from newsletter_bot.errors import TryAgainError
from newsletter_bot.storage.probe_store import try_to_write
from newsletter_bot.storage.tables import instances


def test_a_database_that_takes_changes_is_left_as_it_is(engine: Engine) -> None:
    try_to_write(engine)
    with engine.connect() as connection:
        assert connection.execute(instances.select()).all() == []


def test_a_database_that_takes_none_is_told(engine: Engine) -> None:
    sqlite = engine.dialect.name == "sqlite"
    only = "PRAGMA query_only = ON" if sqlite else "SET default_transaction_read_only = on"

    @event.listens_for(engine, "connect")
    def _read_only(connection: object, _record: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined] # of either driver
        cursor.execute(only)
        if not sqlite:
            connection.commit()  # type: ignore[attr-defined] # else the setting is rolled back

    engine.dispose()
    with pytest.raises(TryAgainError, match="takes no change"):
        try_to_write(engine)
