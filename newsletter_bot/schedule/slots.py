"""Slot times → instants: pure rules of wall clocks, the same in every zone.

A slot's instant is the first at which the wall clock has reached its time. Where clocks go forward
over it (a gap), that is the end of the gap; where they go back (a fold), the first of the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from newsletter_bot.errors import UsageError
from newsletter_bot.settings.tables import SlotTable

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Planned:
    """One date of a slot, and the instant (seconds since 1970 UTC) it stands for."""

    slot: str
    date: str  # local, as 2026-11-29
    due_at: int


def instant(wall: datetime, zone: ZoneInfo) -> int:
    """Return the first instant at which the clocks of `zone` have reached `wall` (naive)."""
    early, late = (_utc(wall, zone, fold) for fold in (0, 1))
    if _local(early, zone) == wall:
        return early
    # In a gap the two readings lie on both sides of it: the change is between them.
    before, after = min(early, late), max(early, late)
    while after - before > 1:
        middle = (before + after) // 2
        if _local(middle, zone) < wall:
            before = middle
        else:
            after = middle
    return after


def is_skipped(wall: datetime, zone: ZoneInfo) -> bool:
    """Tell whether the clocks of `zone` never show `wall`, because they go forward over it."""
    return _local(_utc(wall, zone, 0), zone) != wall


def planned(slot: SlotTable, day: date, zone: ZoneInfo) -> Planned:
    """Return the slot's occurrence on a local date."""
    return Planned(slot.id, day.isoformat(), instant(datetime.combine(day, _clock(slot)), zone))


def between(slots: Iterable[SlotTable], zone: ZoneInfo, after: int, until: int) -> list[Planned]:
    """Return the occurrences of all slots that are due in (after, until], the earliest first."""
    first = datetime.fromtimestamp(after, zone).date() - 2 * _DAY
    last = datetime.fromtimestamp(until, zone).date() + 2 * _DAY
    found = [planned(slot, day, zone) for slot in slots for day in _dates(slot, first, last)]
    return sorted(
        (one for one in found if after < one.due_at <= until),
        key=lambda one: (one.due_at, one.date, one.slot),
    )


def falls_on(slot: SlotTable, day: date) -> bool:
    """Tell whether a slot has an occurrence on a local date."""
    return _DAYS[day.weekday()] == slot.when[:3]


def read_time(text: str, zone: ZoneInfo) -> int:
    """Read "2026-11-29 10:00" in `zone`, or a time with its own offset, as seconds since 1970 UTC.

    Raises UsageError for what is no time, and for one that the zone's clocks skip.
    """
    try:
        wall = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"{text!r} is not a time.", 'Write it like "2026-11-29 08:00", or with an offset.'
        ) from error
    if wall.tzinfo is not None:
        return int(wall.timestamp())
    if is_skipped(wall, zone):
        there = datetime.fromtimestamp(instant(wall, zone), zone)
        raise UsageError(
            f"{text} does not exist in {zone.key}: clocks go forward over it.",
            f"Take {there:%Y-%m-%d %H:%M} or later.",
        )
    return instant(wall, zone)


def _dates(slot: SlotTable, first: date, last: date) -> Iterator[date]:
    day = first + _DAY * ((_DAYS.index(slot.when[:3]) - first.weekday()) % 7)
    while day <= last:
        yield day
        day += 7 * _DAY


def _clock(slot: SlotTable) -> time:
    return time.fromisoformat(slot.when[4:])


def _utc(wall: datetime, zone: ZoneInfo, fold: int) -> int:
    return int(wall.replace(tzinfo=zone, fold=fold).timestamp())


def _local(at: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(at, UTC).astimezone(zone).replace(tzinfo=None, fold=0)
