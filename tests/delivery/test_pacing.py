"""Rates, sliding windows and warm-up, kept by real databases over simulated time."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select

from newsletter_bot.delivery.relaying.pacing import Limits, Pace, WarmUp, Window
from newsletter_bot.delivery.relaying.pacing_store import PacingStore
from newsletter_bot.storage.tables import departures

NOW = datetime(2026, 11, 23, 10, 0, 30, tzinfo=ZoneInfo("UTC")).timestamp()
HOUR, DAY = 3600, 86_400
ZONES = ["Asia/Tokyo", "Europe/Berlin", "America/Havana", "Africa/Cairo", "Australia/Lord_Howe"]


def pace(engine: Engine, limits: Limits, relay: str = "main") -> Pace:
    """A process's view of a relay's limits."""
    return Pace(relay, limits, PacingStore(engine))


def send(paces: Sequence[Pace], begin: float, end: float) -> list[float]:
    """Let every process send as fast as it may; returns the times at which messages left."""
    now, left = begin, []
    while now < end:
        for one in paces:
            while one.allows(now):
                one.depart()
                left.append(now)
        now = max(min(one.not_before for one in paces), now + 0.000_001)
    return left


def most_within(left: Sequence[float], seconds: float) -> int:
    """The most departures in any stretch of so many seconds, its beginning not counted."""
    return max(at + 1 - bisect_right(left, one - seconds) for at, one in enumerate(left))


def remembered(engine: Engine, relay: str = "main") -> int:
    """How many departures the database counts."""
    with engine.connect() as connection:
        query = select(func.sum(departures.c.count)).where(departures.c.relay == relay)
        return int(connection.execute(query).scalar() or 0)


# ── rates ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rate", "seconds", "expected"),
    [("14/s", 20, 280), ("500/h", HOUR, 500), ("600/m", 30, 300), ("7/m", HOUR, 420)],
)
@pytest.mark.parametrize("processes", [1, 2])
def test_a_rate_is_reached_and_never_passed(
    engine: Engine, rate: str, seconds: int, expected: int, processes: int
) -> None:
    limits = Limits(rate=Window.read(rate))
    left = send([pace(engine, limits) for _ in range(processes)], NOW, NOW + seconds - 0.01)
    assert len(left) == expected
    assert limits.rate is not None
    assert most_within(left, limits.rate.seconds - 0.001) <= limits.rate.count


@given(st.integers(1, 5000), st.sampled_from("smhd"))
def test_what_leaves_together_divides_the_rate(count: int, unit: str) -> None:
    limits = Limits(rate=Window.read(f"{count}/{unit}"))
    assert limits.rate is not None
    assert count % limits.chunk == 0
    assert limits.chunk == 1 or limits.chunk <= count / limits.rate.seconds / 4


def test_a_rate_holds_across_a_restart(engine: Engine) -> None:
    limits = Limits(rate=Window.read("500/h"))
    assert len(send([pace(engine, limits)], NOW, NOW + 1)) == 1
    after = pace(engine, limits)
    assert not after.allows(NOW + 7.1)
    assert after.not_before == pytest.approx(NOW + 7.2)
    assert after.allows(NOW + 7.2)


def test_a_clock_set_back_does_not_stop_a_rate_and_one_set_forward_frees_no_burst(
    engine: Engine,
) -> None:
    limits = Limits(rate=Window.read("14/s"))
    send([pace(engine, limits)], NOW, NOW + 1)
    back = send([pace(engine, limits)], NOW - HOUR, NOW - HOUR + 10)
    assert len(back) == pytest.approx(140, abs=limits.chunk)
    forward = send([pace(engine, limits)], NOW + DAY, NOW + DAY + 10)
    assert len(forward) == pytest.approx(140, abs=limits.chunk)
    assert most_within(forward, 0.999) <= 14


def test_relays_have_rates_of_their_own(engine: Engine) -> None:
    limits = Limits(rate=Window.read("1/h"))
    assert pace(engine, limits, "one").allows(NOW)
    assert pace(engine, limits, "two").allows(NOW)


def test_a_relay_without_limits_writes_nothing(engine: Engine) -> None:
    free = pace(engine, Limits())
    for _ in range(100):
        assert free.allows(NOW)
        free.depart()
    free.end(NOW)
    assert remembered(engine) == 0


@pytest.mark.parametrize(
    "limits",
    [Limits(rate=Window(4, 1)), Limits(windows=[Window(30, HOUR)])],
    ids=["rate", "window"],
)
def test_processes_that_ask_in_the_same_moment_do_not_get_the_same_departures(
    engine: Engine, limits: Limits
) -> None:
    def ask(_: int) -> int:
        return PacingStore(engine).reserve("main", limits, limits.chunk, NOW).count

    with ThreadPoolExecutor(8) as pool:
        granted = sum(pool.map(ask, range(40)))
    assert granted == (1 if limits.rate else 30)


# ── giving back ──────────────────────────────────────────────────────────────────────────────────


def test_what_was_taken_and_not_used_is_given_back_at_the_end(engine: Engine) -> None:
    limits = Limits(windows=[Window(30, HOUR)])
    first = pace(engine, limits)
    assert first.allows(NOW)
    first.depart()
    assert remembered(engine) == 20
    first.end(NOW + 0.5)
    first.end(NOW + 0.5)
    assert remembered(engine) == 1


def test_it_is_given_back_to_the_minute_it_was_taken_in(engine: Engine) -> None:
    limits = Limits(windows=[Window(20, HOUR)])
    first = pace(engine, limits)
    assert first.allows(NOW)
    first.depart()
    assert first.allows(NOW + 120)  # the first nineteen are given back, and taken anew
    first.end(NOW + 120)
    late = send([pace(engine, limits)], NOW + HOUR, NOW + HOUR + 1)
    assert len(late) == 19
    later = send([pace(engine, limits)], NOW + HOUR + 61, NOW + HOUR + 62)
    assert len(later) == 1


def test_what_was_taken_long_ago_does_not_leave_with_what_the_window_frees(engine: Engine) -> None:
    limits = Limits(windows=[Window(20, HOUR)])
    idle = pace(engine, limits)
    assert idle.allows(NOW)  # and then nothing is due for nearly an hour
    left = send([idle], NOW + HOUR - 100, NOW + 2 * HOUR - 200)
    assert len(left) == 20


# ── windows ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(6))
def test_a_window_is_never_passed_at_any_instant(engine: Engine, seed: int) -> None:
    chance = random.Random(seed)
    windows = [Window(12, 60), Window(60, HOUR)]
    limits = Limits(windows=windows, rate=chance.choice([None, Window(2, 1), Window(300, HOUR)]))
    paces = [pace(engine, limits), pace(engine, limits)]
    now, left = NOW, []
    while now < NOW + 3 * HOUR:
        now += chance.choice([0.01, 0.5, 2, 40]) * chance.random()
        at = chance.randrange(2)
        if chance.random() < 0.02:
            paces[at].end(now)
            paces[at] = pace(engine, limits)
        if paces[at].allows(now):
            paces[at].depart()
            left.append(now)
    for one in windows:
        assert most_within(left, one.seconds) <= one.count
    assert len(left) > 150


def test_a_window_says_when_it_lets_more_through_and_does(engine: Engine) -> None:
    limits = Limits(windows=[Window(5, 60), Window(8, HOUR)])
    left = send([pace(engine, limits)], NOW, NOW + 2 * HOUR + 180)
    assert [len([one for one in left if one - NOW < end]) for end in (1, 200, 2 * HOUR)] == [
        5,
        8,
        16,
    ]


def test_a_window_holds_across_a_restart(engine: Engine) -> None:
    limits = Limits(windows=[Window(5, HOUR)])
    assert len(send([pace(engine, limits)], NOW, NOW + 1)) == 5
    assert send([pace(engine, limits)], NOW + 60, NOW + 61) == []


def test_a_clock_set_back_makes_a_window_wait_for_its_own_length_at_most(engine: Engine) -> None:
    limits = Limits(windows=[Window(5, HOUR)])
    send([pace(engine, limits)], NOW, NOW + 1)
    before = NOW - 30 * DAY
    assert send([pace(engine, limits)], before, before + HOUR - 60) == []
    assert len(send([pace(engine, limits)], before, before + HOUR + 120)) == 5


# ── warm-up ──────────────────────────────────────────────────────────────────────────────────────


def test_a_warm_up_lets_its_daily_numbers_through_by_the_newsletters_days(engine: Engine) -> None:
    zone = ZoneInfo("Asia/Tokyo")
    limits = Limits(warm_up=WarmUp(date(2026, 11, 23), [30, 50, 70], zone))
    begin = datetime(2026, 11, 22, 20, tzinfo=zone).timestamp()
    left = send([pace(engine, limits)], begin, begin + 2 * DAY + 5 * HOUR)
    days = Counter(datetime.fromtimestamp(one, zone).date() for one in left)
    assert days == {date(2026, 11, 23): 30, date(2026, 11, 24): 50, date(2026, 11, 25): 70}


def test_a_warm_up_says_that_it_is_the_one_that_waits_and_until_midnight(engine: Engine) -> None:
    zone = ZoneInfo("Asia/Tokyo")
    warm_up = WarmUp(date(2026, 11, 23), [10, 10], zone)
    held = pace(engine, Limits(warm_up=warm_up, windows=[Window(10, HOUR)]))
    send([held], NOW, NOW + 1)
    assert not held.allows(NOW + 1)
    assert held.warming_up
    assert held.not_before == datetime(2026, 11, 24, tzinfo=zone).timestamp()


def test_a_number_that_was_lowered_below_what_has_left_lets_nothing_through(engine: Engine) -> None:
    zone = ZoneInfo("UTC")
    send([pace(engine, Limits(warm_up=WarmUp(date(2026, 11, 23), [30], zone)))], NOW, NOW + 1)
    lower = pace(engine, Limits(warm_up=WarmUp(date(2026, 11, 23), [10], zone)))
    later = pace(engine, Limits(warm_up=WarmUp(date(2026, 11, 24), [10], zone)))
    assert not any(one.allows(NOW + at) for at in (2, 3, DAY / 4) for one in (lower, later))


def test_after_its_last_day_a_warm_up_limits_nothing(engine: Engine) -> None:
    warm_up = WarmUp(date(2026, 11, 1), [1, 2, 3], ZoneInfo("UTC"))
    free = pace(engine, Limits(warm_up=warm_up))
    for _ in range(100):
        assert free.allows(NOW)
        free.depart()


@given(
    st.sampled_from(ZONES),
    st.floats(NOW, NOW + 4 * 366 * DAY),
)
def test_a_day_goes_from_midnight_to_midnight_whatever_the_clocks_do(zone: str, now: float) -> None:
    warm_up = WarmUp(date(2024, 1, 1), [1], ZoneInfo(zone))
    begin, end = warm_up.today(now)
    assert begin <= now < end
    today = datetime.fromtimestamp(now, ZoneInfo(zone)).date()
    assert datetime.fromtimestamp(begin, ZoneInfo(zone)).date() == today
    assert datetime.fromtimestamp(begin - 1, ZoneInfo(zone)).date() < today
    assert datetime.fromtimestamp(end, ZoneInfo(zone)).date() > today


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25)])
def test_the_days_on_which_the_clocks_change_have_their_number_too(
    engine: Engine, day: date, hours: int
) -> None:
    zone = ZoneInfo("Europe/Berlin")
    limits = Limits(warm_up=WarmUp(day, [30, 40], zone))
    begin = datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()
    left = send([pace(engine, limits)], begin - HOUR, begin + hours * HOUR + 60)
    days = Counter(datetime.fromtimestamp(one, zone).date() for one in left)
    assert list(days.values()) == [30, 40]


def test_rate_windows_and_warm_up_hold_together(engine: Engine) -> None:
    zone = ZoneInfo("UTC")
    window = Window(100, HOUR)
    limits = Limits(Window(1, 1), [window], WarmUp(date(2026, 11, 23), [150, 400], zone))
    begin = datetime(2026, 11, 23, 20, tzinfo=zone).timestamp()
    left = send([pace(engine, limits), pace(engine, limits)], begin, begin + 6 * HOUR)
    days = Counter(datetime.fromtimestamp(one, zone).date().day for one in left)
    assert days[23] == 150
    assert days[24] > 180
    assert most_within(left, window.seconds) <= window.count
    assert most_within(left, 0.999) <= 1


# ── relays that failed ───────────────────────────────────────────────────────────────────────────


def test_a_failure_is_remembered_until_the_relay_works_and_spoils_no_rate(engine: Engine) -> None:
    store, limits = PacingStore(engine), Limits(rate=Window.read("500/h"))
    assert store.reserve("main", limits, 1, NOW).count == 1
    store.relay_failed("main", 2, NOW + 3, "no route")
    store.relay_failed("spare", 1, NOW + 3, "refused")
    assert store.failures() == {"main": (2, "no route"), "spare": (1, "refused")}
    store.relay_failed("main", 0, NOW, "")
    assert set(store.failures()) == {"spare"}
    assert store.reserve("main", limits, 1, NOW + 1).count == 0
