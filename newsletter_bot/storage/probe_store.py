"""Whether the database takes changes, asked without making one."""

from __future__ import annotations

from sqlalchemy import Engine, false, update
from sqlalchemy.exc import DBAPIError

from newsletter_bot.storage.tables import instances
from newsletter_bot.storage.weather import weather


def try_to_write(engine: Engine) -> None:
    """Begin a change that changes nothing; raises TryAgainError when none would be taken."""
    nothing = update(instances).where(false()).values(seen_at=0)
    try:
        with engine.begin() as connection:
            connection.execute(nothing)
    except DBAPIError as error:
        raise weather(error) from error
