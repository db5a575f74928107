from __future__ import annotations

from dataclasses import replace

import pytest

from newsletter_bot.errors import DataError
from newsletter_bot.subscribers.people import (
    By,
    Choices,
    Evidence,
    Frequency,
    UnknownPersonError,
)
from tests.subscribers.conftest import START, MakeTown, Town

DAY = 86_400


def chosen(town: Town, person: int = 1) -> Choices:
    found = town.people.choices(person)
    assert found is not None
    return found


def test_lists_are_joined_and_left_at_once_by_somebody_with_the_link(make_town: MakeTown) -> None:
    town = make_town()
    person = town.join("ada@example.com", "weekly", name="Ada")
    after = Choices("Ada L", "ja", Frequency.MONTHLY, START + 9 * DAY, frozenset({"papers"}))
    town.people.choose(person, after, By.PAGE, Evidence(page="https://x/p", version="3"))
    assert chosen(town) == after
    assert town.states("ada@example.com") == {"papers": "active", "weekly": "unsubscribed"}
    assert town.steps()[2:] == [
        ("papers", "active", "page"),
        ("weekly", "unsubscribed", "page"),
    ]
    found = town.store.find("ada@example.com")
    assert found is not None
    assert found.subscriptions[0].consent == {
        "source": "page",
        "at": str(START),
        "page": "https://x/p",
        "version": "3",
    }


def test_choosing_what_is_so_already_writes_no_step(town: Town) -> None:
    person = town.join("ada@example.com")
    before = town.steps()
    town.people.choose(person, chosen(town), By.PAGE)
    assert town.steps() == before


def test_who_left_comes_back_by_the_page(town: Town) -> None:
    person = town.join("ada@example.com")
    town.people.unsubscribe(person)
    town.people.choose(person, replace(chosen(town), lists=frozenset({"weekly"})), By.PAGE)
    assert town.states("ada@example.com") == {"weekly": "active"}


def test_a_list_that_waits_for_its_confirmation_is_left_waiting(town: Town) -> None:
    town.join("ada@example.com", "weekly")
    town.pass_time(DAY)
    town.ask("ada@example.com", "papers")
    town.people.settle()
    town.people.choose(1, replace(chosen(town), name="Ada"), By.PAGE)
    assert town.states("ada@example.com") == {"papers": "pending", "weekly": "active"}


def test_a_list_for_insiders_is_joined_by_the_operator_alone(town: Town) -> None:
    person = town.join("ada@example.com")
    more = replace(chosen(town), lists=frozenset({"weekly", "staff"}))
    with pytest.raises(DataError):
        town.people.choose(person, more, By.PAGE)
    assert town.states("ada@example.com") == {"weekly": "active"}
    town.people.choose(person, more, By.OPERATOR)
    town.people.choose(person, replace(more, name="Ada"), By.PAGE)  # she is on it
    assert town.states("ada@example.com") == {"staff": "active", "weekly": "active"}


def test_a_pause_that_is_over_is_none_and_one_without_end_is_refused(town: Town) -> None:
    person = town.join("ada@example.com")
    town.people.choose(person, replace(chosen(town), paused_until=START - 1), By.PAGE)
    assert chosen(town).paused_until is None
    with pytest.raises(DataError):
        town.people.choose(person, replace(chosen(town), paused_until=2**40), By.PAGE)


@pytest.mark.parametrize(
    "wrong",
    [{"name": "a\nb"}, {"name": "a" * 201}, {"language": "e n"}, {"lists": frozenset({"none"})}],
)
def test_what_breaks_a_header_is_refused_and_nothing_is_changed(
    town: Town, wrong: dict[str, str]
) -> None:
    person = town.join("ada@example.com")
    before = chosen(town)
    with pytest.raises(DataError):
        town.people.choose(person, replace(before, **wrong), By.PAGE)  # type: ignore[arg-type]
    assert chosen(town) == before


def test_nobody_has_no_choices(town: Town) -> None:
    assert (town.people.choices(7), town.people.address_of(7)) == (None, None)
    person = town.join("ada@example.com")
    assert town.people.address_of(person) == "ada@example.com"
    with pytest.raises(UnknownPersonError):
        town.people.choose(7, chosen(town), By.PAGE)


def test_tags_are_words_of_the_operator(town: Town) -> None:
    person = town.join("ada@example.com")
    assert town.people.set_tags(person, ["Reviewer", "b", "b"], []) == ("b", "reviewer")
    assert town.people.set_tags("ada@example.com", ["b"], ["reviewer", "none"]) == ("b",)
    for wrong in ("two words", "a,b", "", "-a", "x" * 65, "a\x00"):
        with pytest.raises(DataError):
            town.people.set_tags(person, [wrong], [])
    with pytest.raises(DataError):
        town.people.set_tags(person, [f"t{number}" for number in range(101)], [])
    with pytest.raises(UnknownPersonError):
        town.people.set_tags("nobody@example.com", ["a"], [])
