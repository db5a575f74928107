from __future__ import annotations

import pytest

from newsletter_bot.storage.tables import address_changes
from newsletter_bot.subscribers.address import AddressError
from newsletter_bot.subscribers.people import ChangeState, LimitError, UnknownPersonError
from newsletter_bot.subscribers.tokens import Link
from tests.subscribers.conftest import Town

OLD, NEW = Link.AGREE_OLD, Link.AGREE_NEW


def state(town: Town, change: int) -> ChangeState:
    found = town.people.address_change(change)
    assert found is not None
    return found.state


@pytest.mark.parametrize("order", [(OLD, NEW), (NEW, OLD)])
def test_an_address_changes_once_both_mailboxes_agreed(
    town: Town, order: tuple[Link, Link]
) -> None:
    person = town.join("ada@example.com", "weekly", "papers")
    change = town.people.ask_address_change(person, "New@Example.org")
    assert town.letters()[2:] == [
        ("agree-old", "ada@example.com"),
        ("agree-new", "New@example.org"),
    ]
    for side in (order[0], order[0]):
        half = town.people.agree(change, side)
        assert half is not None
        assert half.state is ChangeState.WAITING
        assert (half.old_agreed, half.new_agreed) == (side is OLD, side is NEW)
        assert town.people.address_of(person) == "ada@example.com"
    for side in (order[1], *order):
        done = town.people.agree(change, side)
        assert done is not None
        assert done.state is ChangeState.DONE
    assert town.people.address_of(person) == "New@example.org"
    assert town.store.find("ada@example.com") is None
    assert town.states("new@example.org") == {"papers": "active", "weekly": "active"}
    assert town.letters()[4:] == [("moved", "ada@example.com")]


def test_who_is_suppressed_is_by_the_new_address(town: Town) -> None:
    person = town.join("ada@example.com")
    change = town.people.ask_address_change(person, "new@example.org")
    for side in (OLD, NEW):
        town.people.agree(change, side)
    town.people.suppress("new@example.org", "bounced")
    mailed = list(town.store.export("weekly"))
    assert [(one.address, shut) for one, _, shut in mailed] == [("new@example.org", True)]


def test_the_spelling_of_an_address_changes_too(town: Town) -> None:
    person = town.join("ada@example.com")
    change = town.people.ask_address_change(person, "Ada@example.com")
    for side in (OLD, NEW):
        town.people.agree(change, side)
    assert town.people.address_of(person) == "Ada@example.com"
    assert state(town, change) is ChangeState.DONE


def test_an_address_that_is_somebodys_gets_the_lists_and_the_old_one_ends(town: Town) -> None:
    old = town.join("old@example.com", "weekly", "papers")
    new = town.join("new@example.org", "papers")
    town.people.unsubscribe(old, ["papers"])
    town.people.unsubscribe(new, ["papers"])
    change = town.people.ask_address_change(old, "new@example.org")
    for side in (OLD, NEW):
        town.people.agree(change, side)
    assert state(town, change) is ChangeState.DONE
    assert town.states("new@example.org") == {"papers": "unsubscribed", "weekly": "active"}
    assert town.states("old@example.com") == {"papers": "unsubscribed", "weekly": "unsubscribed"}
    assert town.steps(new)[-1] == ("weekly", "active", "address-change")
    assert town.steps(old)[-1] == ("weekly", "unsubscribed", "address-change")
    person = town.store.find("new@example.org")
    assert person is not None
    assert person.subscriptions[1].consent["wording"] == "Send me it."


def test_a_suppressed_address_is_quietly_not_taken(town: Town) -> None:
    person = town.join("ada@example.com")
    town.people.suppress("new@example.org", "complained")
    change = town.people.ask_address_change(person, "new@example.org")
    assert [kind for kind, _ in town.letters()[2:]] == ["agree-old"]
    for side in (OLD, NEW):
        assert town.people.agree(change, side)
    assert state(town, change) is ChangeState.WAITING
    assert town.people.address_of(person) == "ada@example.com"


def test_a_change_that_expired_is_not_made(town: Town) -> None:
    person = town.join("ada@example.com")
    change = town.people.ask_address_change(person, "new@example.org")
    town.people.agree(change, OLD)
    town.pass_time(72 * 3600)
    late = town.people.agree(change, NEW)
    assert late is not None
    assert (late.state, late.new_agreed) == (ChangeState.EXPIRED, False)
    assert town.people.address_of(person) == "ada@example.com"


def test_an_address_that_was_left_agrees_to_nothing_more(town: Town) -> None:
    person = town.join("ada@example.com")
    first = town.people.ask_address_change(person, "new@example.org")
    second = town.people.ask_address_change(person, "thief@example.net")
    for side in (OLD, NEW):
        town.people.agree(first, side)
    for side in (OLD, NEW):
        town.people.agree(second, side)
    assert state(town, second) is ChangeState.EXPIRED
    assert town.people.address_of(person) == "new@example.org"


def test_a_link_cannot_be_used_to_write_to_others_again_and_again(town: Town) -> None:
    person, other = town.join("ada@example.com"), town.join("bo@example.com")
    town.people.ask_address_change(person, "victim@example.org")
    with pytest.raises(LimitError):
        town.people.ask_address_change(other, "VICTIM+x@example.org")
    for number in range(2):
        town.people.ask_address_change(person, f"v{number}@example.org")
    with pytest.raises(LimitError):
        town.people.ask_address_change(person, "v3@example.org")
    assert len(town.rows(address_changes)) == 3


def test_what_is_no_address_or_nobodys_is_refused(town: Town) -> None:
    person = town.join("ada@example.com")
    for wrong in ("nobody", "a@p\u0430ypal.com", "a@example.com\nBcc: b@example.com"):
        with pytest.raises(AddressError):
            town.people.ask_address_change(person, wrong)
    with pytest.raises(UnknownPersonError):
        town.people.ask_address_change(7, "a@example.com")
    assert town.people.address_change(1) is None
    assert town.people.agree(1, OLD) is None
