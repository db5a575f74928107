"""What operators were told, so that they are not told again and again."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine, delete, or_, select

from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import alerts
from newsletter_bot.storage.upsert import upserting_in


class AlertStore:
    """One row for each thing that was told."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock

    def claim(self, key: str, again: int) -> int | None:
        """Become the one who tells a thing, at most once in `again` seconds.

        Returns how often it was held back since the last time, None when it is held back now. Of
        several processes one gets a number.
        """
        now = int(self._clock())
        statement = upserting_in(self._engine.dialect.name, alerts)
        statement = statement.values(key=key, said_at=now, count=0)
        with self._engine.begin() as connection:
            held = connection.execute(
                select(alerts.c.count).where(alerts.c.key == key).with_for_update()
            ).scalar()
            told = connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["key"],
                    set_={"said_at": now, "count": 0},
                    # A clock that was set back must not silence an alert for as long.
                    where=or_(alerts.c.said_at <= now - again, alerts.c.said_at > now),
                ).returning(alerts.c.key)
            ).first()
            if told is not None:
                return int(held or 0)
            more = alerts.update().where(alerts.c.key == key).values(count=alerts.c.count + 1)
            connection.execute(more)
            return None

    def forget(self, key: str) -> None:
        """Let a thing be told at once the next time: telling it failed."""
        with self._engine.begin() as connection:
            connection.execute(delete(alerts).where(alerts.c.key == key))

    def told(self) -> dict[str, int]:
        """Return what was told, with how often it was held back since."""
        with reading(self._engine) as connection:
            return {
                row[0]: row[1] for row in connection.execute(select(alerts.c.key, alerts.c.count))
            }
