from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter_bot.errors import UsageError
from newsletter_bot.schedule.slots import between, instant, is_skipped, planned, read_time
from newsletter_bot.settings.tables import SlotTable

DAY = 86_400
BEGIN = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
END = int(datetime(2036, 1, 1, tzinfo=UTC).timestamp())
ZONES = sorted(available_timezones())


def local(at: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(at, zone).replace(tzinfo=None, fold=0)


def offset(at: int, zone: ZoneInfo) -> timedelta | None:
    return datetime.fromtimestamp(at, zone).utcoffset()


def changes(zone: ZoneInfo) -> list[int]:
    """Every instant at which a zone's clocks are set, to the second."""
    found = []
    before = offset(BEGIN, zone)
    for at in range(BEGIN, END, 14 * DAY):
        after = offset(at + 14 * DAY, zone)
        # A fortnight may hold two changes (Ramadan in Morocco does not: it is a month).
        if after != before:
            low, high = at, at + 14 * DAY
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(middle, zone) == before else (low, middle)
            found.append(high)
        before = after
    return found


def slot(when: str, name: str = "weekly") -> SlotTable:
    return SlotTable(id=name, when=when)


@pytest.mark.parametrize("part", range(8))
def test_in_every_zone_an_instant_is_the_first_that_reaches_the_wall_clock(part: int) -> None:
    for name in ZONES[part::8]:
        zone = ZoneInfo(name)
        for change in changes(zone):
            start = local(change, zone).replace(minute=0, second=0) - timedelta(hours=3)
            for minutes in range(0, 6 * 60, 15):
                wall = start + timedelta(minutes=minutes)
                at = instant(wall, zone)
                assert local(at, zone) >= wall, (name, wall)
                earlier = range(at - 1, at - 3 * 3600, -900)
                assert all(local(one, zone) < wall for one in earlier), (name, wall)


@pytest.mark.parametrize("part", range(8))
def test_in_every_zone_a_weekly_slot_comes_once_a_week_for_twelve_years(part: int) -> None:
    for name in ZONES[part::8]:
        zone = ZoneInfo(name)
        for when in ("sun 02:30", "sun 00:15"):
            found = between([slot(when)], zone, BEGIN, END)
            days = [date.fromisoformat(one.date) for one in found]
            assert all(day.weekday() == 6 for day in days)
            assert {late - early for early, late in pairwise(days)} == {timedelta(days=7)}, name
            assert len(found) in {626, 627}


@given(
    zone=st.sampled_from(ZONES),
    after=st.integers(BEGIN, END - 60 * DAY),
    cut=st.integers(1, 40 * DAY),
    when=st.sampled_from(["mon 00:00", "wed 12:00", "sat 23:59", "sun 02:30"]),
)
def test_a_span_cut_in_two_has_the_same_occurrences(
    zone: str, after: int, cut: int, when: str
) -> None:
    there = ZoneInfo(zone)
    end = after + 45 * DAY
    whole = between([slot(when)], there, after, end)
    halves = [*between([slot(when)], there, after, after + cut)]
    halves += between([slot(when)], there, after + cut, end)
    assert whole == halves


@pytest.mark.parametrize(
    ("zone", "when", "day", "expected"),
    [
        ("America/New_York", "sun 02:30", "2027-03-14", "2027-03-14T07:00:00+00:00"),  # gap
        ("America/New_York", "sun 01:30", "2026-11-01", "2026-11-01T05:30:00+00:00"),  # fold
        ("Asia/Beirut", "sun 00:15", "2026-03-29", "2026-03-28T22:00:00+00:00"),  # midnight gap
        ("Africa/Cairo", "fri 00:00", "2026-04-24", "2026-04-23T22:00:00+00:00"),
        ("Australia/Lord_Howe", "sun 02:15", "2026-10-04", "2026-10-03T15:30:00+00:00"),
        ("Asia/Tokyo", "sun 08:00", "2026-11-29", "2026-11-28T23:00:00+00:00"),
    ],
)
def test_known_days_on_which_clocks_are_set(zone: str, when: str, day: str, expected: str) -> None:
    found = planned(slot(when), date.fromisoformat(day), ZoneInfo(zone))
    assert datetime.fromtimestamp(found.due_at, UTC).isoformat() == expected
    assert found.date == day


def test_slots_are_listed_together_the_earliest_first() -> None:
    zone = ZoneInfo("Europe/Berlin")
    slots = [slot("sun 08:00"), slot("wed 18:30", "midweek")]
    after = int(datetime(2026, 11, 23, tzinfo=UTC).timestamp())
    found = between(slots, zone, after, after + 14 * DAY)
    assert [(one.slot, one.date) for one in found] == [
        ("midweek", "2026-11-25"),
        ("weekly", "2026-11-29"),
        ("midweek", "2026-12-02"),
        ("weekly", "2026-12-06"),
    ]


def test_a_time_is_read_in_the_zone_or_with_its_own_offset() -> None:
    zone = ZoneInfo("Asia/Tokyo")
    assert read_time("2026-11-29 08:00", zone) == read_time("2026-11-28T23:00:00Z", zone)


def test_a_time_that_clocks_skip_is_refused_with_the_next_one() -> None:
    zone = ZoneInfo("Europe/Berlin")
    assert is_skipped(datetime(2027, 3, 28, 2, 30), zone)  # noqa: DTZ001 - a wall clock
    with pytest.raises(UsageError, match="clocks go forward over it") as error:
        read_time("2027-03-28 02:30", zone)
    assert "2027-03-28 03:00" in error.value.next_step


def test_words_are_no_time() -> None:
    with pytest.raises(UsageError, match="'next sunday' is not a time"):
        read_time("next sunday", ZoneInfo("UTC"))
