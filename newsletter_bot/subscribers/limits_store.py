"""The SQL of limits: how often something may be done, counted in the database for all processes."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import Connection, Insert, bindparam, case, delete, select

from newsletter_bot.settings.tables import seconds
from newsletter_bot.storage.prepared import Prepared
from newsletter_bot.storage.tables import limits
from newsletter_bot.storage.upsert import upserting, upserting_in


class Limits:
    """Counts in windows that begin with their first use; one row for each limit and key.

    A statement both counts and asks whether it may: parallel ones never get more than the rate.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def take(self, connection: Connection, name: str, key: str, rate: str) -> int:
        """Take one use at a rate like `10/h`; returns the seconds to wait, 0 when it was taken.

        What was not taken writes nothing: a flood makes no rows.
        """
        count, _, unit = rate.partition("/")
        return self.take_window(connection, name, key, int(count), seconds(f"1{unit}"))

    def take_window(
        self, connection: Connection, name: str, key: str, most: int, length: int
    ) -> int:
        """Take one of at most `most` uses within `length` seconds; returns the seconds to wait."""
        now = int(self._clock())
        values = {"limit": name, "whose": key, "now": now, "until": now + length, "most": most}
        if _TAKE.run(connection, **values).fetchall():
            return 0
        return max(1, (self.ends_at(connection, name, key) or 0) - now)

    def ends_at(self, connection: Connection, name: str, key: str) -> int | None:
        """Return when a window ends that has begun and not ended; None when there is none."""
        values = {"limit": name, "whose": key, "now": int(self._clock())}
        found: int | None = connection.execute(_ENDS_AT, values).scalar()
        return found

    def keep(self, connection: Connection, name: str, key: str, count: int, ends_at: int) -> None:
        """Write a window as it is to be, whatever it was."""
        values = {"count": count, "ends_at": ends_at}
        insert = upserting(connection, limits).values({"name": name, "key": key, **values})
        connection.execute(
            insert.on_conflict_do_update(index_elements=["name", "key"], set_=values)
        )

    def forget(self, connection: Connection, key: str, *names: str) -> None:
        """Count from 0 again."""
        connection.execute(_FORGET, {"names": names, "whose": key})

    def purge(self, connection: Connection) -> int:
        """Delete the windows that have ended; returns how many."""
        over = limits.c.ends_at <= int(self._clock())
        return connection.execute(delete(limits).where(over)).rowcount


def _taking(dialect: str) -> Insert:
    begun = upserting_in(dialect, limits).values(
        name=bindparam("limit"), key=bindparam("whose"), count=1, ends_at=bindparam("until")
    )
    over = limits.c.ends_at <= bindparam("now")
    return begun.on_conflict_do_update(
        index_elements=["name", "key"],
        set_={
            "count": case((over, 1), else_=limits.c.count + 1),
            "ends_at": case((over, begun.excluded.ends_at), else_=limits.c.ends_at),
        },
        where=over | (limits.c.count < bindparam("most")),
    ).returning(limits.c.count)


_TAKE = Prepared(_taking)
_FORGET = delete(limits).where(
    limits.c.name.in_(bindparam("names", expanding=True)), limits.c.key == bindparam("whose")
)
_ENDS_AT = select(limits.c.ends_at).where(
    limits.c.name == bindparam("limit"),
    limits.c.key == bindparam("whose"),
    limits.c.ends_at > bindparam("now"),
)
