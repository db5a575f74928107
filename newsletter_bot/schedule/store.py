"""The occurrences in the database: made once, claimed by one process at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from sqlalchemy import ColumnElement, Engine, and_, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from newsletter_bot.schedule.model import ONCE, WAITING, Occurrence, OccurrenceState
from newsletter_bot.schedule.slots import Planned
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import instances, occurrences

_COLUMNS = (
    occurrences.c.slot,
    occurrences.c.date,
    occurrences.c.due_at,
    occurrences.c.state,
    occurrences.c.issue,
    occurrences.c.reason,
    occurrences.c.announced_at,
    occurrences.c.lease_until,
    occurrences.c.fence,
    occurrences.c.bound,
)
_LIVE = (*WAITING, OccurrenceState.STARTED)


class OccurrenceStore:
    """Rows unique by slot and local date: whatever happens, a date of a slot has one."""

    def __init__(self, engine: Engine, clock: Callable[[], float], owner: str = "") -> None:
        self._engine = engine
        self._clock = clock
        self._owner = owner  # names this process in what it claims

    def seen_until(self) -> int | None:
        """Return when a service last looked; None before there was one."""
        with reading(self._engine) as connection:
            return connection.execute(select(func.max(instances.c.seen_at))).scalar()

    def add(self, wanted: Iterable[Planned]) -> None:
        """Make the rows that are not there, and move those that nothing has begun on."""
        rows = [
            {
                "slot": one.slot,
                "date": one.date,
                "due_at": one.due_at,
                "state": OccurrenceState.OPEN.value,
                "changed_at": self.now(),
            }
            for one in wanted
        ]
        if not rows:
            return
        insert = postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
        statement = insert(occurrences).values(rows)
        moved = statement.on_conflict_do_update(
            index_elements=["slot", "date"],
            set_={"due_at": statement.excluded.due_at, "changed_at": self.now()},
            where=and_(
                occurrences.c.state.in_([one.value for one in WAITING]),
                occurrences.c.due_at != statement.excluded.due_at,
            ),
        )
        with self._engine.begin() as connection:
            connection.execute(moved)

    def bind(self, planned: Planned, issue: str) -> bool:
        """Give an occurrence its issue; False when it has another, or has begun."""
        self.add([planned])
        free = or_(occurrences.c.issue == "", occurrences.c.issue == issue)
        reopened = [OccurrenceState.OPEN.value, OccurrenceState.SKIPPED.value]
        return self._change(
            self._is(planned.slot, planned.date),
            occurrences.c.state.in_(reopened),
            free,
            issue=issue,
            bound=1,
            state=OccurrenceState.OPEN.value,
            reason="",
        )

    def unbind(self, issue: str) -> int:
        """Take an issue from the occurrences that have not begun; returns how many.

        A time of its own is nobody's after that, so it goes too.
        """
        mine = and_(occurrences.c.issue == issue, occurrences.c.state.in_(WAITING))
        freed = {"issue": "", "bound": 0, "state": OccurrenceState.OPEN.value, "announced_at": None}
        with self._engine.begin() as connection:
            once = delete(occurrences).where(mine, occurrences.c.slot == ONCE)
            gone = connection.execute(once).rowcount
            return gone + connection.execute(update(occurrences).where(mine).values(freed)).rowcount

    def live(self, until: int) -> list[Occurrence]:
        """Return what has not come to its end and is due by `until`, the earliest first."""
        return self._list(occurrences.c.state.in_(_LIVE), occurrences.c.due_at <= until)

    def between(self, after: int, until: int) -> list[Occurrence]:
        """Return the occurrences due in (after, until], the earliest first."""
        return self._list(occurrences.c.due_at > after, occurrences.c.due_at <= until)

    def of_issue(self, issue: str) -> list[Occurrence]:
        """Return the occurrences that an issue was ever chosen for."""
        return self._list(occurrences.c.issue == issue)

    def next_due(self, after: int) -> int | None:
        """Return when the next waiting occurrence is due."""
        statement = select(func.min(occurrences.c.due_at)).where(
            occurrences.c.state.in_(WAITING), occurrences.c.due_at > after
        )
        with reading(self._engine) as connection:
            return connection.execute(statement).scalar()

    def announce(self, one: Occurrence, issue: str) -> bool:
        """Begin the grace period of an open occurrence; False when another process did."""
        return self._change(
            self._is(one.slot, one.date),
            occurrences.c.state == OccurrenceState.OPEN,
            issue=issue,
            state=OccurrenceState.ANNOUNCED.value,
            announced_at=self.now(),
            reason="",
        )

    def reopen(self, one: Occurrence, reason: str) -> bool:
        """Take an announcement back."""
        return self._change(
            self._is(one.slot, one.date),
            occurrences.c.state == OccurrenceState.ANNOUNCED,
            issue=one.issue if one.bound else "",
            state=OccurrenceState.OPEN.value,
            announced_at=None,
            reason=reason,
        )

    def note(self, one: Occurrence, reason: str) -> bool:
        """Say why nothing goes out yet; False when that was said already."""
        return self._change(
            self._is(one.slot, one.date),
            occurrences.c.state.in_(WAITING),
            occurrences.c.reason != reason,
            reason=reason,
        )

    def claim(self, one: Occurrence, seconds: int) -> int | None:
        """Become the one process that starts it; returns the fencing token, None when too late."""
        now = self.now()
        abandoned = and_(
            occurrences.c.state == OccurrenceState.STARTED, occurrences.c.lease_until < now
        )
        changed = self._change(
            self._is(one.slot, one.date),
            or_(occurrences.c.state == OccurrenceState.ANNOUNCED, abandoned),
            occurrences.c.fence == one.fence,
            state=OccurrenceState.STARTED.value,
            owner=self._owner,
            lease_until=now + seconds,
            fence=one.fence + 1,
        )
        return one.fence + 1 if changed else None

    def holds(self, one: Occurrence, fence: int) -> bool:
        """Tell whether a fencing token is still the last one given out."""
        found = self._list(self._is(one.slot, one.date), occurrences.c.fence == fence)
        return bool(found) and found[0].state is OccurrenceState.STARTED

    def settle(self, one: Occurrence, fence: int, state: OccurrenceState, reason: str = "") -> bool:
        """Write what became of a claimed occurrence; False when another process has taken over."""
        return self._change(
            self._is(one.slot, one.date),
            occurrences.c.state == OccurrenceState.STARTED,
            occurrences.c.fence == fence,
            state=state.value,
            reason=reason,
            lease_until=0,
        )

    def close(self, one: Occurrence, state: OccurrenceState, reason: str) -> bool:
        """End an occurrence that nothing has begun on."""
        return self._change(
            self._is(one.slot, one.date),
            occurrences.c.state == one.state,
            occurrences.c.fence == one.fence,
            state=state.value,
            reason=reason,
        )

    def withdraw(self, keys: Collection[tuple[str, str]]) -> None:
        """Remove open rows that the configuration no longer makes."""
        with self._engine.begin() as connection:
            for slot, day in keys:
                connection.execute(
                    delete(occurrences).where(
                        self._is(slot, day), occurrences.c.state == OccurrenceState.OPEN
                    )
                )

    def _change(self, *conditions: ColumnElement[bool], **values: object) -> bool:
        statement = update(occurrences).where(*conditions)
        with self._engine.begin() as connection:
            changed = connection.execute(statement.values(**values, changed_at=self.now()))
            return changed.rowcount == 1

    def _list(self, *conditions: ColumnElement[bool]) -> list[Occurrence]:
        order: Sequence[ColumnElement[object]] = (occurrences.c.due_at, occurrences.c.slot)
        statement = select(*_COLUMNS).where(*conditions).order_by(*order)
        with reading(self._engine) as connection:
            rows = connection.execute(statement).all()
        return [
            Occurrence(*row[:3], OccurrenceState(row[3]), *row[4:9], bound=bool(row[9]))
            for row in rows
        ]

    @staticmethod
    def _is(slot: str, day: str) -> ColumnElement[bool]:
        return and_(occurrences.c.slot == slot, occurrences.c.date == day)

    def now(self) -> int:
        """Return the time, in seconds since 1970 UTC."""
        return int(self._clock())
