from __future__ import annotations

import pytest
from sqlalchemy import Engine

from newsletter_bot.subscribers.address import AddressError, parse_address
from newsletter_bot.subscribers.model import AddOutcome, NewSubscriber, SubscriptionState
from newsletter_bot.subscribers.store import SubscriberStore

CONSENT = {"source": "test"}


@pytest.fixture
def store(engine: Engine) -> SubscriberStore:
    return SubscriberStore(engine, b"secret" * 8, clock=lambda: 1000.0)


def new(address: str, name: str = "", **fields: str) -> NewSubscriber:
    return NewSubscriber(parse_address(address), name, "", fields)


def add(store: SubscriberStore, *people: NewSubscriber) -> list[AddOutcome]:
    return store.add(people, "weekly", CONSENT)


def test_a_person_is_added_once_and_updated_after(store: SubscriberStore) -> None:
    assert add(store, new("ada@example.com", "Ada")) == [AddOutcome.ADDED]
    assert add(store, new("ADA@example.com", "Ada")) == [AddOutcome.UNCHANGED]
    assert add(store, new("ada@example.com", "Ada L", plan="free")) == [AddOutcome.UPDATED]
    assert add(store, new("ada@example.com")) == [AddOutcome.UNCHANGED]
    person = store.find("ada@example.com")
    assert person is not None
    assert (person.subscriber.name, person.subscriber.fields) == ("Ada L", {"plan": "free"})
    assert person.subscriptions[0].state is SubscriptionState.ACTIVE
    assert person.subscriptions[0].consent == {"source": "test", "at": "1000"}


def test_two_rows_of_one_batch_are_one_person(store: SubscriberStore) -> None:
    outcomes = add(store, new("a@example.com", "A"), new("A@example.com", "B", plan="x"))
    assert outcomes == [AddOutcome.ADDED, AddOutcome.UNCHANGED]
    person = store.find("a@example.com")
    assert person is not None
    assert (person.subscriber.name, person.subscriber.fields) == ("B", {"plan": "x"})


def test_rows_that_disagree_about_a_known_person_settle_on_the_last(
    store: SubscriberStore,
) -> None:
    rows = [new("a@example.com", "A", plan="x"), new("a@example.com", "B")]
    add(store, *rows)
    assert add(store, *rows) == [AddOutcome.UNCHANGED] * 2
    changed = [new("a@example.com", "C"), new("a@example.com", plan="y")]
    assert add(store, *changed) == [AddOutcome.UPDATED, AddOutcome.UNCHANGED]
    person = store.find("a@example.com")
    assert person is not None
    assert (person.subscriber.name, person.subscriber.fields) == ("C", {"plan": "y"})


def test_somebody_is_unsubscribed_by_the_id_that_tokens_carry(store: SubscriberStore) -> None:
    add(store, new("a@example.com"), new("b@example.com"))
    person = store.find("b@example.com")
    assert person is not None
    assert store.unsubscribe(person.subscriber.id, ["monthly"]) == 0
    assert store.unsubscribe(person.subscriber.id, ["weekly"]) == 1
    assert store.stats().lists == {"weekly": {"active": 1, "unsubscribed": 1}}


def test_an_export_of_the_active_holds_nobody_suppressed(store: SubscriberStore) -> None:
    add(store, new("a@example.com"), new("b@example.com"))
    store.suppress("b@example.com", "complained")
    everybody = [(person.address, shut) for person, _, shut in store.export("weekly")]
    assert everybody == [("a@example.com", False), ("b@example.com", True)]
    mailed = store.export("weekly", SubscriptionState.ACTIVE)
    assert [person.address for person, *_ in mailed] == ["a@example.com"]


def test_nobody_who_left_is_brought_back(store: SubscriberStore) -> None:
    add(store, new("a@example.com", "A"))
    assert store.unsubscribe("A@EXAMPLE.com") == 1
    assert store.unsubscribe("a@example.com") == 0
    assert add(store, new("a@example.com", "Changed")) == [AddOutcome.UNSUBSCRIBED]
    person = store.find("a@example.com")
    assert person is not None
    assert person.subscriber.name == "A"
    assert person.subscriptions[0].state is SubscriptionState.UNSUBSCRIBED


def test_nobody_who_is_suppressed_is_added(store: SubscriberStore) -> None:
    store.suppress("Never@example.com", "complained")
    assert add(store, new("never@example.com")) == [AddOutcome.SUPPRESSED]
    assert store.find("never@example.com") is None
    assert store.suppression_of("never@example.com") == "complained"
    store.suppress("never@example.com", "asked again")
    assert store.suppression_of("never@example.com") == "asked again"


def test_a_person_may_join_a_second_list(store: SubscriberStore) -> None:
    add(store, new("a@example.com"))
    assert store.add([new("a@example.com")], "monthly", CONSENT) == [AddOutcome.UPDATED]
    assert store.unsubscribe("a@example.com", ["weekly"]) == 1
    person = store.find("a@example.com")
    assert person is not None
    assert {one.list: one.state.value for one in person.subscriptions} == {
        "weekly": "unsubscribed",
        "monthly": "active",
    }


def test_a_list_is_exported_in_order_and_by_state(
    store: SubscriberStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newsletter_bot.subscribers.store._PAGE", 7)
    add(store, *(new(f"r{n:02}@example.com") for n in range(20)))
    store.unsubscribe("r03@example.com")
    people = [person.address for person, *_ in store.export("weekly")]
    assert people == [f"r{n:02}@example.com" for n in range(20)]
    left = list(store.export("weekly", SubscriptionState.UNSUBSCRIBED))
    assert [person.address for person, *_ in left] == ["r03@example.com"]


def test_people_are_counted_by_list_state_and_domain(store: SubscriberStore) -> None:
    add(store, new("a@example.com"), new("b@example.com"), new("c@example.org"))
    store.unsubscribe("b@example.com")
    store.suppress("x@example.net", "bounced")
    stats = store.stats()
    assert (stats.subscribers, stats.suppressed) == (3, 1)
    assert stats.lists == {"weekly": {"active": 2, "unsubscribed": 1}}
    assert list(stats.domains) == [("example.com", 2), ("example.org", 1)]


def test_an_address_that_is_none_is_explained(store: SubscriberStore) -> None:
    with pytest.raises(AddressError):
        store.find("nobody")
