"""Waits grow, spread and end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from newsletter_bot.delivery.relaying.retry import wait_after

MIDDLE = 0.5


def test_each_wait_is_twice_the_one_before_until_eight_hours() -> None:
    waits = [wait_after(one, 300, lambda: MIDDLE) for one in range(1, 10)]
    assert waits == [300, 600, 1200, 2400, 4800, 9600, 19_200, 28_800, 28_800]


@given(st.integers(0, 10_000), st.integers(1, 90 * 86_400), st.floats(0, 1, exclude_max=True))
def test_a_wait_lies_within_a_fifth_of_its_step_and_is_never_nothing(
    attempts: int, first: int, chance: float
) -> None:
    step = wait_after(attempts, first, lambda: MIDDLE)
    assert max(1, int(step * 0.8) - 1) <= wait_after(attempts, first, lambda: chance)
    assert wait_after(attempts, first, lambda: chance) <= step * 1.2 + 1
    assert step >= min(first, 8 * 3600)


def test_whoever_asks_for_a_longer_first_wait_gets_it() -> None:
    assert wait_after(1, 12 * 3600, lambda: MIDDLE) == 12 * 3600
    assert wait_after(3, 12 * 3600, lambda: MIDDLE) == 12 * 3600


def test_readers_put_off_together_do_not_come_back_together() -> None:
    assert len({wait_after(1, 300) for _ in range(100)}) > 20
