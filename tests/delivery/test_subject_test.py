"""Figures against published ones, what they say of a winner, and who is drawn."""

from __future__ import annotations

import random

import pytest

from newsletter_bot.delivery.planning.subject_test import Draw, Figures, judge, lead, lead_needed

SECRET = b"0123456789abcdef" * 4
SUBJECTS = ("First", "Second", "Third")


# ── figures ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("clicked", "sent", "low", "high"),
    [  # R. G. Newcombe, Statistics in Medicine 17 (1998), 857-872, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_a_rate_has_the_interval_that_was_published(
    clicked: int, sent: int, low: float, high: float
) -> None:
    assert Figures(0, sent, clicked).interval == pytest.approx((low, high), abs=0.00006)


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [  # R. G. Newcombe, Statistics in Medicine 17 (1998), 873-890, table II, method 10
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_a_lead_has_the_interval_that_was_published(
    one: tuple[int, int], other: tuple[int, int], low: float, high: float
) -> None:
    found = lead(Figures(0, one[1], one[0]), Figures(1, other[1], other[0]))
    assert found == pytest.approx((low, high), abs=0.00006)


def test_a_clear_lead_wins_and_a_small_one_is_called_too_small_with_what_was_needed() -> None:
    won = judge([Figures(0, 1000, 49), Figures(1, 1000, 81)], SUBJECTS)
    assert won.winner == 1
    assert won.why.startswith("“Second” won: 8.1 % clicked after “Second”, 4.9 % after “First”")
    open_ = judge([Figures(0, 1000, 49), Figures(1, 1000, 60)], SUBJECTS)
    assert open_.winner is None
    assert "the list is too small to tell" in open_.why
    assert "2.1 points would have been enough" in open_.why
    assert open_.needed == pytest.approx(0.021)
    second = Figures(0, 1000, 49)
    assert lead(Figures(1, 1000, 70), second)[0] > 0 >= lead(Figures(1, 1000, 69), second)[0]


def test_no_figures_at_all_name_no_winner() -> None:
    for figures in (
        [Figures(0, 0, 0), Figures(1, 0, 0)],
        [Figures(0, 0, 0), Figures(1, 10, 10)],
        [Figures(0, 500, 0), Figures(1, 500, 0)],
        [Figures(0, 500, 500), Figures(1, 500, 500)],
        [Figures(0, 3, 3), Figures(1, 3, 0), Figures(2, 3, 3)],
    ):
        assert judge(figures, SUBJECTS).winner is None
    assert lead_needed(0, Figures(0, 0, 0)) is None


def test_equal_subjects_win_in_no_more_than_one_test_of_twenty() -> None:
    chance = random.Random(20261126)

    def clicks(count: int) -> list[Figures]:
        drawn = [sum(chance.random() < 0.06 for _ in range(300)) for _ in range(count)]
        return [Figures(at, 300, clicked) for at, clicked in enumerate(drawn)]

    for count in (2, 3):
        won = sum(judge(clicks(count), SUBJECTS).winner is not None for _ in range(500))
        assert won <= 500 * 0.05 + 15  # three standard errors


# ── who is drawn ─────────────────────────────────────────────────────────────────────────────


def test_the_draw_is_even_the_same_every_time_and_another_for_each_issue() -> None:
    draw, again, other = Draw(SECRET, "w1"), Draw(SECRET, "w1"), Draw(SECRET, "w2")
    people = range(1, 20_001)
    sample = {one for one in people if draw.position(one) < 0.2}
    assert sample == {one for one in people if again.position(one) < 0.2}
    assert 3_800 < len(sample) < 4_200
    for among in (sample, set(people) - sample):
        counts = [sum(draw.variant(one, 4) == at for one in among) for at in range(4)]
        assert all(0.9 < count * 4 / len(among) < 1.1 for count in counts)
    both = sum(other.position(one) < 0.2 for one in sample)
    assert 700 < both < 900  # a fifth: nobody is drawn issue after issue
