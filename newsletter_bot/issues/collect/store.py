"""What collecting remembers: which links there were, and how each source answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy import Engine, select
from sqlalchemy.dialects import postgresql, sqlite

from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import collected, feeds


@dataclass(frozen=True, slots=True)
class Source:
    """How a source answered the last time; times are seconds since 1970 UTC."""

    etag: str = ""
    modified: str = ""
    failures: int = 0
    not_before: int | None = None
    reason: str = ""


class CollectStore:
    """Two tables: links that were seen once, and sources."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock

    def known(self, keys: Iterable[str]) -> set[str]:
        """Return those of some links that were collected before."""
        wanted, found = list(keys), set()
        with reading(self._engine) as connection:
            for at in range(0, len(wanted), 500):
                part = select(collected.c.key).where(collected.c.key.in_(wanted[at : at + 500]))
                found |= set(connection.execute(part).scalars())
        return found

    def remember(self, links: dict[str, str]) -> None:
        """Record links, by key with the source they came from."""
        rows = [{"key": key, "source": source, "at": self.now()} for key, source in links.items()]
        if rows:
            statement = self._insert(collected).on_conflict_do_nothing()
            with self._engine.begin() as connection:
                connection.execute(statement, rows)

    def source(self, address: str) -> Source:
        """Return what is known of a source."""
        columns = (
            feeds.c.etag,
            feeds.c.modified,
            feeds.c.failures,
            feeds.c.not_before,
            feeds.c.reason,
        )
        with reading(self._engine) as connection:
            row = connection.execute(select(*columns).where(feeds.c.address == address)).first()
        return Source() if row is None else Source(*row)

    def answered(self, address: str, source: Source) -> None:
        """Record how a source answered now."""
        values = {
            "etag": source.etag,
            "modified": source.modified,
            "failures": source.failures,
            "not_before": source.not_before,
            "reason": source.reason,
            "checked_at": self.now(),
        }
        statement = self._insert(feeds).values(address=address, **values)
        with self._engine.begin() as connection:
            connection.execute(
                statement.on_conflict_do_update(index_elements=["address"], set_=values)
            )

    def now(self) -> int:
        """Return the time, in seconds since 1970 UTC."""
        return int(self._clock())

    @property
    def _insert(self) -> Callable[..., postgresql.Insert | sqlite.Insert]:
        return postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
