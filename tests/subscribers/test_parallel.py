"""Many at once, as the web's threads and several processes are: nothing lost, nothing wrong."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

from newsletter_bot.settings.people import HookType
from newsletter_bot.storage.tables import signups, subscribers
from newsletter_bot.subscribers.people import By, LimitError, UnknownPersonError
from newsletter_bot.subscribers.tokens import Link
from tests.subscribers.conftest import MakeTown, Town

FREE = {"per_prefix": "9999/h", "per_domain": "9999/h", "overall": "9999/h", "pause_at": 9999}


def together(*acts: Callable[[], object]) -> list[object]:
    """Do everything at the same moment, each in a thread; raises what one of them raised."""
    start = threading.Barrier(len(acts))
    results: list[object] = [None] * len(acts)

    def run(place: int, act: Callable[[], object]) -> None:
        start.wait()
        try:
            results[place] = act()
        except BaseException as error:  # noqa: BLE001 - it is raised again below
            results[place] = error

    threads = [threading.Thread(target=run, args=one) for one in enumerate(acts)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, LimitError):
            raise result
    return results


def consistent(town: Town, people: Sequence[int]) -> None:
    """Each state is what its last step says, and no step repeats the one before."""
    for person in people:
        steps = town.steps(person)
        states = [state for _, state, _ in steps]
        assert all(one != two for one, two in pairwise(states)), steps
        address = town.people.address_of(person)
        assert address is not None
        assert town.states(address) == {"weekly": states[-1]}


def test_confirming_many_times_at_once_happens_once(make_town: MakeTown) -> None:
    town = make_town(wanted=frozenset(HookType))
    asked = town.ask("ada@example.com")
    town.people.settle()
    results = together(*[lambda: town.people.confirm(asked)] * 8)
    assert len(set(results)) == 1
    assert town.steps() == [("weekly", "pending", "form"), ("weekly", "active", "confirm")]
    assert [kind for kind, _ in town.letters()] == ["confirm", "welcome"]
    assert Counter(kind for kind, _ in town.told())["subscriber.confirmed"] == 1


def test_confirming_and_leaving_at_once_end_in_a_state_that_somebody_asked_for(
    make_town: MakeTown,
) -> None:
    town = make_town(wanted=frozenset(HookType), **FREE)
    asked = [town.ask(f"r{number}@example.com") for number in range(12)]
    town.people.settle()
    people = [town.id_of(f"r{number}@example.com") for number in range(12)]
    acts: list[Callable[[], object]] = []
    for signup, person in zip(asked, people, strict=True):
        acts += [
            partial(town.people.confirm, signup),
            partial(town.people.unsubscribe, person, by=By.ONE_CLICK),
            partial(town.store.unsubscribe, person, by=By.ONE_CLICK),
        ]
    together(*acts)
    consistent(town, people)
    steps = sum(len(town.steps(person)) for person in people)
    assert len(town.told()) == steps


def test_requests_are_settled_once_by_several_processes(make_town: MakeTown) -> None:
    towns = [make_town(**FREE) for _ in range(3)]
    for number in range(120):
        towns[0].ask(f"r{number % 60}@example.com")
    counts = together(*[town.people.settle for town in towns])
    assert sum(int(str(count)) for count in counts) == 120
    assert Counter(towns[0].letters()).most_common(1)[0][1] == 1
    assert len(towns[0].letters()) == 60
    assert Counter(towns[0].signups()) == {("mailed", ""): 60, ("dropped", "limit"): 60}


def test_a_limit_holds_whoever_asks_at_the_same_moment(make_town: MakeTown) -> None:
    towns = [make_town(per_prefix="5/h") for _ in range(2)]
    acts: list[Callable[[], object]] = [
        partial(towns[number % 2].ask, f"r{number}@example.com") for number in range(16)
    ]
    results = together(*acts)
    assert sum(isinstance(one, int) for one in results) == 5
    assert len(towns[0].rows(signups)) == 5


def test_both_mailboxes_may_agree_at_the_same_moment(make_town: MakeTown) -> None:
    towns = [make_town() for _ in range(2)]
    person = towns[0].join("ada@example.com")
    change = towns[0].people.ask_address_change(person, "new@example.org")
    together(
        *[lambda: towns[0].people.agree(change, Link.AGREE_OLD)] * 3,
        *[lambda: towns[1].people.agree(change, Link.AGREE_NEW)] * 3,
    )
    assert towns[0].people.address_of(person) == "new@example.org"
    assert [kind for kind, _ in towns[0].letters()].count("moved") == 1


def test_a_new_address_and_a_sign_up_with_it_do_not_become_two_people(
    make_town: MakeTown,
) -> None:
    towns = [make_town() for _ in range(2)]
    person = towns[0].join("ada@example.com")
    change = towns[0].people.ask_address_change(person, "new@example.org")
    towns[0].people.agree(change, Link.AGREE_OLD)
    towns[0].pass_time(90_000)
    towns[1].time.now = towns[0].time.now
    towns[1].ask("new@example.org")
    together(
        lambda: towns[0].people.agree(change, Link.AGREE_NEW),
        towns[1].people.settle,
    )
    keys = [row["address_key"] for row in towns[0].rows(subscribers)]
    assert keys.count("new@example.org") == 1
    assert towns[0].states("new@example.org") == {"weekly": "active"}


def test_forgetting_and_choosing_at_once_leave_nothing_behind(make_town: MakeTown) -> None:
    towns = [make_town() for _ in range(2)]
    person = towns[0].join("ada@example.com", name="Lovelace")
    choices = towns[0].people.choices(person)
    assert choices is not None

    def choose() -> None:
        try:
            towns[1].people.choose(person, choices, By.PAGE)
        except UnknownPersonError:
            return

    together(lambda: towns[0].people.forget(person), choose, choose)
    assert "Lovelace" not in towns[0].everything()
    assert towns[0].people.choices(person) is None
