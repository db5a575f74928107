from __future__ import annotations

from sqlalchemy import insert, update

from newsletter_bot.storage.tables import (
    address_changes,
    challenges,
    letters,
    limits,
    signups,
    subscribers,
    subscription_changes,
    subscriptions,
)
from newsletter_bot.subscribers.people import By
from newsletter_bot.subscribers.tokens import TokenSigner
from tests.subscribers.conftest import SECRET, Town

DAY = 86_400


def sent(town: Town) -> None:
    with town.engine.begin() as connection:
        state = {"state": "accepted", "changed_at": int(town.time())}
        connection.execute(update(letters).values(state))


def test_who_did_not_confirm_in_time_is_gone(town: Town) -> None:
    town.join("stays@example.com")
    for number in range(3):
        town.ask(f"r{number}@example.com", name="Nobody")
    town.people.settle()
    town.join("last@example.com")
    sent(town)
    town.pass_time(6 * DAY)
    assert town.people.purge()["subscriptions"] == 0
    town.pass_time(DAY)
    counts = town.people.purge()
    assert (counts["signups"], counts["subscriptions"]) == (5, 3)
    assert [row["address"] for row in town.rows(subscribers)] == [
        "stays@example.com",
        "last@example.com",
    ]
    assert [row["state"] for row in town.rows(subscriptions)] == ["active", "active"]
    assert {row["subscriber_id"] for row in town.rows(subscription_changes)} == {1, 5}
    assert town.rows(signups) == []
    assert set(town.people.purge().values()) == {0}


def test_an_id_is_never_given_to_somebody_else(town: Town) -> None:
    """An unsubscribe link of somebody who was purged must not end another's subscription."""
    seen: set[int] = set()
    for number in range(4):
        town.ask(f"a{number}@example.com")
        town.ask(f"b{number}@example.com")
        town.people.settle()
        new = {town.id_of(f"{name}{number}@example.com") for name in "ab"}
        assert not new & seen
        seen |= new
        town.pass_time(8 * DAY)
        town.people.purge()
    assert town.store.stats().subscribers == 0
    assert len(town.rows(subscribers)) <= 4
    signer = TokenSigner(SECRET)
    person = town.join("ada@example.com")
    for old in seen:
        claim = signer.read_unsubscribe_token(signer.unsubscribe_token(old, "weekly"))
        assert claim is not None
        town.people.unsubscribe_claim(claim, By.ONE_CLICK)
    assert person not in seen
    assert town.states("ada@example.com") == {"weekly": "active"}


def test_who_asked_again_is_waited_for(town: Town) -> None:
    town.ask("ada@example.com")
    town.people.settle()
    town.pass_time(6 * DAY)
    again = town.ask("ada@example.com")
    town.people.settle()
    town.pass_time(2 * DAY)
    assert town.people.purge()["signups"] == 1
    done = town.people.confirm(again)
    assert done is not None
    assert done.subscriber_id == 1


def test_who_left_another_list_is_remembered(town: Town) -> None:
    person = town.join("ada@example.com", "weekly")
    town.people.unsubscribe(person)
    town.ask("ada@example.com", "papers")
    town.people.settle()
    town.pass_time(8 * DAY)
    town.people.purge()
    assert town.states("ada@example.com") == {"weekly": "unsubscribed"}


def test_a_confirmation_is_never_purged_with_its_request(town: Town) -> None:
    town.join("ada@example.com")
    town.pass_time(400 * DAY)
    town.people.purge()
    person = town.store.find("ada@example.com")
    assert person is not None
    assert person.subscriptions[0].consent["confirmed_at"]
    assert town.people.signup(1) is None
    assert town.people.confirm(1) is None


def test_what_was_spent_or_settled_goes_in_time(town: Town) -> None:
    person = town.join("ada@example.com")
    town.people.ask_address_change(person, "new@example.org")
    sent(town)
    with town.engine.begin() as connection:
        connection.execute(insert(challenges).values(key="x", expires_at=int(town.time()) + 60))
    town.pass_time(31 * DAY)
    town.ask("late@example.com")
    town.people.settle()
    assert town.people.purge() == {
        "signups": 1,
        "subscriptions": 0,
        "limits": 2,
        "challenges": 1,
        "address_changes": 0,
        "idempotency": 0,
    }
    town.pass_time(3 * DAY)
    assert town.people.purge()["address_changes"] == 1
    assert town.rows(address_changes) == []
    assert [row["name"] for row in town.rows(limits)] == ["letters", "letters"]
