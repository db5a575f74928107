from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from newsletter_bot.settings.people import HookType
from newsletter_bot.storage.tables import (
    api_keys,
    deliveries,
    hook_deliveries,
    idempotency,
    issues,
    renderings,
    replies,
    subscribers,
    subscriptions,
    suppressions,
)
from newsletter_bot.subscribers.address import AddressError
from newsletter_bot.subscribers.people import By, Choices, Frequency
from newsletter_bot.subscribers.tokens import Link
from tests.subscribers.conftest import START, MakeTown, Town

PERSONAL = ("ada@", "lovelace", "203.0.113", "198.51.100")


def deliver(town: Town, person: int, reason: str) -> None:
    """Write what the ledger has of somebody: a refusal, and what was said before."""
    key = {"name": "shop", "hash": b"x", "scopes": [], "made_at": 1}
    answer = {"request": b"x", "status": 201, "at": 1, "api_key_id": 1}
    delivery = {
        "issue_id": 1,
        "subscriber_id": person,
        "list": "weekly",
        "state": "refused",
        "attempts": 2,
        "reason": reason,
        "changed_at": 5,
    }
    issue = {
        "identity": "2026-W01",
        "title": "Week 1",
        "state": "sent",
        "rendering": "r",
        "lists": ["weekly"],
        "planned_at": 1,
    }
    said = {"delivery_id": 1, "at": 2, "relay": "default", "state": "deferred", "reason": reason}
    bodies = ['{"address": "ADA@example.com"}', json.dumps({"name": "Bo"})]
    with town.engine.begin() as connection:
        connection.execute(insert(renderings).values(hash="r", content="x", made_at=1))
        connection.execute(insert(issues).values(issue))
        connection.execute(insert(deliveries).values(delivery))
        connection.execute(insert(replies).values(said))
        connection.execute(insert(api_keys).values(key))
        for number, body in enumerate(bodies):
            row = {**answer, "key": str(number), "response": body}
            connection.execute(insert(idempotency).values(row))
        owed = {"endpoint": "crm", "state": "planned", "not_before": 1, "changed_at": 1}
        connection.execute(insert(hook_deliveries).values(event_id=3, **owed))


def lived(town: Town) -> int:
    """Somebody with all that may be held of a person; returns their id."""
    person = town.join("Ada@example.com", "weekly", "papers", name="Ada Lovelace", language="ja")
    deliver(town, person, "550 5.1.1 <ada@example.com> lovelace is unknown")
    town.people.set_tags(person, ["lovelace"], [])
    choices = Choices("Ada Lovelace", "ja", Frequency.MONTHLY, START + 99, frozenset({"papers"}))
    town.people.choose(person, choices, By.PAGE)
    change = town.people.ask_address_change(person, "ada@example.org")
    for side in (Link.AGREE_OLD, Link.AGREE_NEW):
        town.people.agree(change, side)
    town.people.ask_address_change(person, "ada.lovelace@example.net")
    town.ask("ada@example.org", "papers", name="Ada")
    town.people.suppress("ada@example.org", "she wrote from ada@example.org")
    return person


@pytest.fixture
def busy(make_town: MakeTown) -> Town:
    town = make_town(wanted=frozenset(HookType))
    town.join("bo@example.com", name="Bo")
    lived(town)
    return town


def test_nothing_stays_of_somebody_forgotten_but_a_keyed_hash(busy: Town) -> None:
    before = busy.everything().lower()
    assert all(word in before for word in PERSONAL[:3])
    assert busy.people.forget("Ada@Example.org")
    after = busy.everything().lower()
    busy.people.forget("bo@example.com")  # whose evidence holds the same network
    busy.pass_time(3600)
    busy.people.purge()  # limits: how often a network asked within the hour
    assert [word for word in PERSONAL[:2] if word in after] == []
    assert [word for word in PERSONAL if word in busy.everything().lower()] == []
    assert {row["reason"] for row in busy.rows(suppressions)} == {"erased"}


def test_the_files_of_the_database_hold_no_trace(busy: Town, tmp_path: Path) -> None:
    if busy.engine.dialect.name != "sqlite":
        return  # there the server's vacuum does it, see docs/people.md
    busy.people.forget("ada@example.org")
    busy.people.wipe()
    for path in tmp_path.glob("test.db*"):
        content = path.read_bytes().lower()
        assert b"lovelace" not in content, path
        assert b"ada@" not in content, path


def test_the_numbers_of_what_was_sent_stay(busy: Town) -> None:
    busy.people.forget(2)
    delivery, reply = busy.rows(deliveries)[0], busy.rows(replies)[0]
    assert (delivery["state"], delivery["reason"]) == ("refused", "550 5.1.1 (erased)")
    assert reply["reason"] == "550 5.1.1 (erased)"
    row = busy.rows(subscribers)[1]
    assert (row["id"], row["address"], row["address_key"]) == (2, "", "erased:2")
    assert len(busy.rows(idempotency)) == 1
    assert busy.steps(2)[-1] == ("papers", "unsubscribed", "operator")


def test_webhooks_are_told_that_they_left_and_not_who(busy: Town) -> None:
    busy.people.forget(2)
    about = [data for _, data in busy.told() if data["subscriber_id"] == 2]
    assert about == [
        {
            "subscriber_id": 2,
            "address": "",
            "list": "papers",
            "state": "unsubscribed",
            "by": "operator",
        }
    ]
    assert busy.rows(hook_deliveries) == []


def test_nobody_reads_a_row_that_was_erased(busy: Town) -> None:
    busy.people.forget(2)
    people = busy.people
    assert busy.store.find("ada@example.org") is None
    assert (people.choices(2), people.address_of(2), people.dossier(2)) == (None, None, None)
    assert people.unsubscribe(2) == 0
    assert not people.forget(2)
    assert [person.address for person, *_ in busy.store.export("weekly")] == ["bo@example.com"]
    stats = busy.store.stats()
    assert (stats.subscribers, list(stats.domains)) == (1, [("example.com", 1)])
    assert stats.lists == {"weekly": {"active": 1}}
    assert {row["subscriber_id"] for row in busy.rows(subscriptions)} == {1}


def test_who_was_forgotten_is_not_written_to_again(busy: Town) -> None:
    busy.people.forget("ada@example.org")
    before = len(busy.letters())
    busy.ask("ada@example.org")
    busy.people.settle()
    assert len(busy.letters()) == before
    assert busy.people.unsuppress("ada@example.org")
    assert not busy.people.unsuppress("ada@example.org")
    busy.ask("ada@example.org")
    busy.people.settle()
    assert len(busy.letters()) == before + 1
    assert busy.id_of("ada@example.org") == 3


def test_somebody_who_only_asked_can_be_forgotten(town: Town) -> None:
    town.ask("ada@example.com", name="Lovelace")
    assert town.people.forget("ada@example.com")
    assert "lovelace" not in town.everything().lower()
    assert "ada@" not in town.everything()
    assert not town.people.forget("nobody@example.com")
    assert town.store.suppression_of("nobody@example.com") == "erased"
    with pytest.raises(AddressError):
        town.people.forget("nobody")


def test_an_old_address_that_is_anothers_now_is_left_alone(town: Town) -> None:
    person = town.join("ada@example.com")
    change = town.people.ask_address_change(person, "new@example.org")
    for side in (Link.AGREE_OLD, Link.AGREE_NEW):
        town.people.agree(change, side)
    town.pass_time(86_400)
    heir = town.join("ada@example.com", name="Heir")
    held = town.people.dossier(person)
    assert held is not None
    assert "Heir" not in repr(held)
    town.people.forget(person)
    assert town.people.address_of(heir) == "ada@example.com"
    assert town.people.signup(2) is not None


# ── all we hold ──────────────────────────────────────────────────────────────────────────────


def held(town: Town, who: str | int) -> dict[str, Any]:
    found = town.people.dossier(who)
    assert found is not None
    again: dict[str, Any] = json.loads(json.dumps(found))
    return again


def test_a_dossier_holds_everything_about_a_person_and_nothing_about_others(busy: Town) -> None:
    found = held(busy, 2)
    assert found == held(busy, "ADA@example.org")
    assert found["subscriber"]["name"] == "Ada Lovelace"
    assert found["subscriber"]["tags"] == ["lovelace"]
    assert [one["list"] for one in found["subscriptions"]] == ["papers", "weekly"]
    assert found["subscriptions"][0]["consent"]["prefix"] == "203.0.113.0/24"
    assert [one["state"] for one in found["changes"]][-1] == "unsubscribed"
    assert [one["state"] for one in found["signups"]] == ["confirmed", "asked"]
    assert [one["kind"] for one in found["letters"]] == [
        "confirm",
        "welcome",
        "agree-old",
        "agree-new",
        "moved",
        "agree-old",
        "agree-new",
    ]
    assert [one["address"] for one in found["address_changes"]] == [
        "ada@example.org",
        "ada.lovelace@example.net",
    ]
    delivery = found["deliveries"][0]
    assert (delivery["issue"], delivery["state"], delivery["changed_at"]) == (
        "2026-W01",
        "refused",
        5,
    )
    assert delivery["earlier"][0]["state"] == "deferred"
    assert found["suppression"]["reason"] == "she wrote from ada@example.org"
    assert "bo@example.com" not in repr(found)


def test_a_dossier_tells_of_who_only_asked_or_is_only_suppressed(town: Town) -> None:
    town.ask("asked@example.com")
    town.people.suppress("never@example.com", "complained")
    assert held(town, "asked@example.com")["signups"][0]["state"] == "asked"
    found = held(town, "never@example.com")
    assert (found["subscriber"], found["suppression"]["reason"]) == (None, "complained")
    assert town.people.dossier("nobody@example.com") is None
    assert town.people.dossier(7) is None
