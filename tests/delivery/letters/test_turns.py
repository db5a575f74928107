"""Letters and an issue share a relay's rate, second by second."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from newsletter_bot.delivery.letters.turns import Turns
from newsletter_bot.delivery.relaying.pacing import Limits, Window
from newsletter_bot.delivery.relaying.pacing_store import PacingStore
from tests.delivery.newcomers import Clock

STEP = 0.01


def departures(
    engine: Engine, rate: Window, seconds: float, *, issue: bool
) -> tuple[list[float], list[float]]:
    """Let both send all they may; returns when letters left, and when the issue's messages did."""
    clock = Clock()
    begun, limits, store = clock.now, Limits(rate), PacingStore(engine)
    turns = Turns("default", limits, store, clock, clock)
    letters: list[float] = []
    others: list[float] = []
    not_before = 0.0
    while clock.now < begun + seconds:
        if issue and clock.now >= not_before:
            grant = store.reserve("default", limits, limits.chunk, clock.now)
            others += [clock.now] * grant.count
            not_before = grant.not_before
        if turns.wait() == 0:
            turns.take()
            letters.append(clock.now)
        clock.pass_by(STEP)
    return letters, others


@pytest.mark.parametrize(("count", "per"), [(10, 1), (14, 1), (60, 60), (1, 1)])
def test_each_gets_turns_and_together_they_keep_to_the_rate(
    engine: Engine, count: int, per: int
) -> None:
    rate, seconds = Window(count, per), 6.0
    letters, others = departures(engine, rate, seconds, issue=True)
    allowed = seconds * count / per
    assert len(letters) >= allowed / 4
    assert len(others) >= allowed / 4
    assert 0.8 * allowed <= len(letters) + len(others) <= allowed + Limits(rate).chunk + 1


def test_without_an_issue_letters_get_two_thirds_of_the_rate(engine: Engine) -> None:
    letters, _ = departures(engine, Window(10, 1), 6.0, issue=False)
    assert 38 <= len(letters) <= 42


def test_a_turn_that_was_not_used_in_time_is_booked_anew(engine: Engine) -> None:
    clock, limits = Clock(), Limits(Window(10, 1))
    turns = Turns("default", limits, PacingStore(engine), clock, clock)
    assert turns.wait() == 0
    clock.pass_by(60)
    assert PacingStore(engine).reserve("default", limits, 2, clock.now).count == 2
    assert turns.wait() == pytest.approx(0.2)


def test_without_limits_nothing_is_counted(engine: Engine) -> None:
    turns = Turns("default", Limits(), PacingStore(engine), Clock(), Clock())
    assert turns.wait() == 0
    turns.take()
    assert turns.wait() == 0
