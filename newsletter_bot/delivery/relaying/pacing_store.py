"""What a restart must not forget: departures and rates, relays that failed, slower domains."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, Table, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from newsletter_bot.delivery.relaying.domains import Limit
from newsletter_bot.delivery.relaying.pacing import VALID, Grant, Limits, WarmUp, Window
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import departures, domains, relays

_MINUTE = 60
_ROUNDING = 1.0  # seconds, which the clocks of two machines may differ by as well
_KEPT = 8 * 86_400  # seconds that departures are remembered


class PacingStore:
    """Reads and writes the state of pacing; every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def reserve(self, relay: str, limits: Limits, want: int, now: float) -> Grant:
        """Take up to `want` departures, counted for every process that uses the relay."""
        with self._engine.begin() as connection:
            free_at = _locked(connection, relay)
            free_at = _unless_the_clock_went_back(free_at, limits, now)
            if free_at > now:
                return Grant(0, free_at)
            _bring_back_the_future(connection, relay, now)
            allowances = _allowances(connection, relay, limits, now)
            exhausted = [one for one in allowances if one.count <= 0]
            if exhausted:
                return max(exhausted, key=lambda one: one.not_before)
            want = min([want, *(one.count for one in allowances)])
            if limits.rate is not None:
                free_at = now + want * limits.rate.seconds / limits.rate.count
            _remember(connection, relays, {"name": relay}, {"free_at": free_at}, _NEW_RELAY)
            _count(connection, relay, want, now)
            return Grant(want, free_at)

    def next_turn(self, relay: str, limits: Limits, now: float) -> float:
        """Take the next departure that the rate has not given away; returns its time.

        Windows and warm-up count it and do not forbid it. At most one that is taken so may be
        outstanding.
        """
        with self._engine.begin() as connection:
            free_at = _unless_the_clock_went_back(_locked(connection, relay), limits, now)
            turn = max(now, free_at)
            if limits.rate is not None:
                free_at = turn + limits.rate.seconds / limits.rate.count
                _remember(connection, relays, {"name": relay}, {"free_at": free_at}, _NEW_RELAY)
            _bring_back_the_future(connection, relay, now)
            _count(connection, relay, 1, now)
            return turn

    def give_back(self, relay: str, count: int, taken_at: float) -> None:
        """Return departures that did not happen, to the time they were taken."""
        with self._engine.begin() as connection:
            _count(connection, relay, -count, taken_at)

    def failures(self) -> dict[str, tuple[int, str]]:
        """Return the relays that failed last time: how often in a row, and why."""
        query = select(relays.c.name, relays.c.failures, relays.c.reason)
        with reading(self._engine) as connection:
            rows = connection.execute(query.where(relays.c.failures > 0))
            return {row[0]: (row[1], row[2]) for row in rows}

    def relay_failed(self, relay: str, failures: int, not_before: float, reason: str) -> None:
        """Remember that a relay failed, or with `failures` 0 that it works again."""
        values = {"failures": failures, "not_before": int(not_before), "reason": reason}
        with self._engine.begin() as connection:
            _remember(connection, relays, {"name": relay}, values, _NEW_RELAY)

    def limits(self) -> dict[tuple[str, str], Limit]:
        """Return the domains that asked us to slow down."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(domains)).mappings()
            return {
                (row["relay"], row["domain"]): Limit(
                    row["connections"], float(row["not_before"]), row["reason"]
                )
                for row in rows
            }

    def limit_changed(self, relay: str, domain: str, limit: Limit, most: int) -> None:
        """Remember a domain's limit; forget it once it may be mailed to as much as any other."""
        key = {"relay": relay, "domain": domain}
        values = {
            "connections": limit.connections,
            "not_before": int(limit.not_before),
            "reason": limit.reason,
        }
        with self._engine.begin() as connection:
            if limit.connections < most or limit.not_before:
                _remember(connection, domains, key, values, {})
            else:
                same = domains.c.relay == relay, domains.c.domain == domain
                connection.execute(delete(domains).where(*same))


_NEW_RELAY = {"free_at": 0.0, "failures": 0, "not_before": 0, "reason": ""}


def _locked(connection: Connection, relay: str) -> float:
    """Return when the rate allows the next message; until the end, no other process may ask.

    The lock is the relay's row, hence it must be there; SQLite locks the whole file anyway.
    """
    new = _insert(connection, relays).values(name=relay, **_NEW_RELAY)
    connection.execute(new.on_conflict_do_nothing(index_elements=["name"]))
    query = select(relays.c.free_at).where(relays.c.name == relay).with_for_update()
    return float(connection.execute(query).scalar_one())


def _unless_the_clock_went_back(free_at: float, limits: Limits, now: float) -> float:
    """Never wait longer than for one reservation, one turn, and a little for rounding."""
    if limits.rate is None:
        return 0.0
    longest = (limits.chunk + 1) * limits.rate.seconds / limits.rate.count
    return free_at if free_at - now <= longest + _ROUNDING else 0.0


def _allowances(connection: Connection, relay: str, limits: Limits, now: float) -> list[Grant]:
    found = [_in_window(connection, relay, one, now) for one in limits.windows]
    if limits.warm_up is not None:
        found += _today(connection, relay, limits.warm_up, now)
    return found


def _bring_back_the_future(connection: Connection, relay: str, now: float) -> None:
    """Count what left under a clock that was ahead as leaving now: it did so at the latest now.

    A minute is allowed between the clocks of two machines.
    """
    minute = int(now) // _MINUTE
    ahead = departures.c.relay == relay, departures.c.minute > minute + 1
    gone = connection.execute(select(func.sum(departures.c.count)).where(*ahead)).scalar()
    if gone is not None:
        connection.execute(delete(departures).where(*ahead))
        _count(connection, relay, int(gone), now)


def _in_window(connection: Connection, relay: str, window: Window, now: float) -> Grant:
    """Count what left within the window; a minute counts whole until it has passed.

    What is taken now leaves within VALID seconds: so much longer does the window look back.
    """
    length = window.seconds + VALID
    since = int(now - length) // _MINUTE
    mine = departures.c.relay == relay, departures.c.minute >= since, departures.c.count != 0
    query = select(func.sum(departures.c.count), func.min(departures.c.minute)).where(*mine)
    gone, oldest = connection.execute(query).one()
    left = window.count - int(gone or 0)
    if left > 0 or oldest is None:
        return Grant(left)
    return Grant(0, float((oldest + 1) * _MINUTE + length))


def _today(connection: Connection, relay: str, warm_up: WarmUp, now: float) -> list[Grant]:
    limit = warm_up.limit(now)
    if limit is None:
        return []
    midnight, tomorrow = warm_up.today(now)
    mine = departures.c.relay == relay, departures.c.minute >= int(midnight) // _MINUTE
    gone = connection.execute(select(func.sum(departures.c.count)).where(*mine)).scalar()
    return [Grant(max(0, limit - int(gone or 0)), tomorrow, warming_up=True)]


def _count(connection: Connection, relay: str, count: int, now: float) -> None:
    minute = int(now) // _MINUTE
    new = _insert(connection, departures).values(relay=relay, minute=minute, count=count)
    connection.execute(
        new.on_conflict_do_update(
            index_elements=[departures.c.relay, departures.c.minute],
            set_={"count": departures.c.count + new.excluded.count},
        )
    )
    mine = departures.c.relay == relay  # in the key's order: no search through the whole table
    old = departures.c.minute < minute - _KEPT // _MINUTE
    connection.execute(delete(departures).where(mine, old))


def _remember(
    connection: Connection,
    table: Table,
    key: dict[str, Any],
    values: dict[str, Any],
    defaults: dict[str, Any],
) -> None:
    new = _insert(connection, table).values(**{**defaults, **key, **values})
    connection.execute(new.on_conflict_do_update(index_elements=list(key), set_=values))


def _insert(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    postgres = connection.dialect.name == "postgresql"
    return postgresql.insert(table) if postgres else sqlite.insert(table)
