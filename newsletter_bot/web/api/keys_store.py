"""The SQL of API keys: kept as hashes, found by them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import Engine, RowMapping, or_, select, update
from sqlalchemy.exc import IntegrityError

from newsletter_bot.errors import UsageError
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import api_keys
from newsletter_bot.storage.writer import Writer
from newsletter_bot.web.api.keys import ApiKey, Scope, hash_of, make_key

_HOUR = 3600


class KeyStore:
    """Reads and writes API keys; every method is one transaction."""

    def __init__(
        self, engine: Engine, writer: Writer, clock: Callable[[], float] = time.time
    ) -> None:
        self._engine = engine
        self._writer = writer
        self._clock = clock

    def add(self, name: str, scopes: Collection[Scope], expires_at: int | None = None) -> str:
        """Make a key and return its text, which nothing here can tell again.

        Raises UsageError when there is, or was, a key of that name.
        """
        key = make_key()
        values: dict[str, Any] = {
            "name": name,
            "hash": hash_of(key),
            "scopes": sorted(scopes),
            "made_at": int(self._clock()),
            "expires_at": expires_at,
        }
        try:
            self._writer.run(lambda found: found.execute(api_keys.insert().values(values)))
        except IntegrityError as error:
            raise UsageError(
                f"There is a key {name!r} already.",
                "Names are not used twice, so that each tells one key: choose another.",
            ) from error
        return key

    def all(self) -> list[ApiKey]:
        """Return every key that was ever made, in order of their names."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(api_keys).order_by(api_keys.c.name)).mappings()
            return [_key(row) for row in rows]

    def revoke(self, name: str) -> bool:
        """Let a key open nothing any more; False when that was so already.

        Raises UsageError when there is no key of that name.
        """
        if not any(one.name == name for one in self.all()):
            raise UsageError(f"There is no key {name!r}.", "See `newsletter-bot api-key list`.")
        change = (
            update(api_keys)
            .where(api_keys.c.name == name, api_keys.c.revoked_at.is_(None))
            .values(revoked_at=int(self._clock()))
        )
        return self._writer.run(lambda found: found.execute(change).rowcount > 0)

    def find(self, text: str) -> ApiKey | None:
        """Return the key that a program showed, when it opens something now."""
        hashed = hash_of(text)
        if hashed is None:
            return None
        with reading(self._engine) as connection:
            query = select(api_keys).where(api_keys.c.hash == hashed)
            row = connection.execute(query).mappings().one_or_none()
        key = None if row is None else _key(row)
        return key if key is not None and key.is_good(self._clock()) else None

    def note_use(self, key: ApiKey) -> None:
        """Remember the hour in which a key was used; at most one write an hour."""
        hour = int(self._clock()) // _HOUR * _HOUR
        if key.used_at is not None and key.used_at >= hour:
            return
        used = api_keys.c.used_at
        earlier = or_(used.is_(None), used < hour)
        change = update(api_keys).where(api_keys.c.id == key.id, earlier).values(used_at=hour)
        self._writer.run(lambda found: found.execute(change))


def _key(row: RowMapping) -> ApiKey:
    values = {name: row[name] for name in row if name not in {"hash", "scopes"}}
    return ApiKey(**values, scopes=frozenset(row["scopes"]))
