from __future__ import annotations

import pytest

from newsletter_bot.settings.people import HookType
from newsletter_bot.storage.tables import subscription_changes
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.model import AddOutcome, NewSubscriber
from newsletter_bot.subscribers.people import By
from tests.subscribers.conftest import START, MakeTown, Town

ALL = frozenset(HookType)


def new(address: str) -> NewSubscriber:
    return NewSubscriber(parse_address(address))


def test_every_step_is_written_with_who_made_it_and_told(make_town: MakeTown) -> None:
    town = make_town(wanted=ALL)
    person = town.join("ada@example.com")
    town.people.unsubscribe(person, ["weekly"], By.MAILTO)
    town.people.unsubscribe(person, ["weekly"], By.PAGE)
    town.people.unsubscribe("ada@example.com", by=By.OPERATOR)
    assert town.steps() == [
        ("weekly", "pending", "form"),
        ("weekly", "active", "confirm"),
        ("weekly", "unsubscribed", "mailto"),
    ]
    assert [kind for kind, _ in town.told()] == [
        "subscriber.subscribed",
        "subscriber.confirmed",
        "subscriber.unsubscribed",
    ]
    assert town.told()[1][1] == {
        "subscriber_id": person,
        "address": "ada@example.com",
        "list": "weekly",
        "state": "active",
        "by": "confirm",
    }


def test_an_import_is_written_and_tells_nobody(make_town: MakeTown) -> None:
    town = make_town(wanted=ALL)
    people = [new(f"r{number}@example.com") for number in range(500)]
    town.store.add(people, "weekly", {"source": "import of x.csv"})
    town.store.add(people, "weekly", {"source": "import of x.csv"})
    changes = town.rows(subscription_changes)
    assert len(changes) == 500
    assert {(row["state"], row["by"], row["at"]) for row in changes} == {
        ("active", "import", START)
    }
    assert town.told() == []


@pytest.mark.parametrize("by", [By.API, By.OPERATOR])
def test_who_is_subscribed_at_once_is_told_of(make_town: MakeTown, by: By) -> None:
    town = make_town(wanted=ALL)
    consent = {"source": "shop"}
    assert town.people.subscribe(new("a@example.com"), "weekly", consent, by) is AddOutcome.ADDED
    again = town.people.subscribe(new("a@example.com"), "weekly", consent, by)
    assert again is AddOutcome.UNCHANGED
    assert town.steps() == [("weekly", "active", by.value)]
    assert [(kind, data["by"]) for kind, data in town.told()] == [
        ("subscriber.confirmed", by.value)
    ]


def test_what_no_endpoint_wants_is_not_kept(make_town: MakeTown) -> None:
    town = make_town(wanted=frozenset({HookType.UNSUBSCRIBED}))
    person = town.join("ada@example.com")
    town.people.unsubscribe(person)
    assert [kind for kind, _ in town.told()] == ["subscriber.unsubscribed"]


def test_all_lists_end_at_once_and_are_counted(town: Town) -> None:
    person = town.join("ada@example.com", "weekly", "papers")
    assert town.people.unsubscribe(person) == 2
    assert town.people.unsubscribe(person) == 0
    assert town.people.unsubscribe(person + 1) == 0
    assert town.people.unsubscribe("nobody@example.com") == 0


def test_the_store_for_files_goes_the_same_way(make_town: MakeTown) -> None:
    town = make_town(wanted=ALL)
    person = town.join("ada@example.com")
    assert town.store.unsubscribe(person, by=By.ONE_CLICK) == 1
    assert town.steps()[-1] == ("weekly", "unsubscribed", "one-click")
    assert town.told()[-1][0] == "subscriber.unsubscribed"
