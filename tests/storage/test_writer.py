from __future__ import annotations

import pytest
from sqlalchemy import Connection, Engine, func, select

from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import challenges
from newsletter_bot.storage.writer import Writer


def put(connection: Connection, key: str) -> str:
    connection.execute(challenges.insert().values(key=key, expires_at=1))
    return key


def count(engine: Engine) -> int:
    with reading(engine) as connection:
        return connection.execute(select(func.count()).select_from(challenges)).scalar_one()


def test_a_change_is_there_once_it_returns(engine: Engine) -> None:
    assert Writer(engine).run(lambda connection: put(connection, "one")) == "one"
    assert count(engine) == 1


def test_what_a_change_raises_undoes_it(engine: Engine) -> None:
    def broken(connection: Connection) -> None:
        put(connection, "one")
        raise LookupError

    writer = Writer(engine)
    with pytest.raises(LookupError):
        writer.run(broken)
    assert count(engine) == 0
    writer.run(lambda connection: put(connection, "one"))
    assert count(engine) == 1


def test_a_change_within_a_change_is_undone_with_it(engine: Engine) -> None:
    writer = Writer(engine)

    def outer(connection: Connection) -> None:
        put(connection, "outer")
        writer.run(lambda inner: put(inner, "inner"))
        assert count(engine) == 0  # nobody else sees half of it
        raise LookupError

    with pytest.raises(LookupError):
        writer.run(outer)
    assert count(engine) == 0


def test_a_change_within_a_change_is_kept_with_it(engine: Engine) -> None:
    writer = Writer(engine)

    def outer(connection: Connection) -> str:
        put(connection, "outer")
        return writer.run(lambda inner: put(inner, "inner"))

    assert writer.run(outer) == "inner"
    assert count(engine) == 2
