from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text

from newsletter_bot.errors import ConfigurationError, TryAgainError
from newsletter_bot.storage.engine import open_engine, reading, upgrade
from newsletter_bot.storage.lock import exclusive
from newsletter_bot.storage.tables import metadata


def test_the_migrations_make_the_tables_that_the_code_knows(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_upgrading_twice_changes_nothing(engine: Engine) -> None:
    upgrade(engine)
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM subscribers")).scalar() == 0


def test_sqlite_keeps_every_commit_through_power_loss(tmp_path: Path) -> None:
    engine = open_engine("sqlite:///news.db", tmp_path)
    with reading(engine) as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL
    engine.dispose()
    assert (tmp_path / "news.db").exists()


def test_an_address_that_is_no_database_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not a database address"):
        open_engine("newsletter.db", tmp_path)
    with pytest.raises(ConfigurationError, match="'mysql' is not a database we know"):
        open_engine("mysql://localhost/news", tmp_path)


def test_a_folder_that_is_missing_is_explained(tmp_path: Path) -> None:
    with pytest.raises(TryAgainError, match="does not answer"):
        open_engine("sqlite:///no/such/folder/news.db", tmp_path)


def test_only_one_holder_has_a_lock_and_the_next_gets_it_afterwards(engine: Engine) -> None:
    with exclusive(engine, "send-x") as first:
        assert first
        with exclusive(engine, "send-x") as second:
            assert not second
        with exclusive(engine, "send-y") as other:
            assert other
    with exclusive(engine, "send-x") as third:
        assert third
