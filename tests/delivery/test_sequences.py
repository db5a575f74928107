"""Messages that newcomers get, each at their own time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import update

from newsletter_bot.delivery.model import DeliveryState, Start
from newsletter_bot.delivery.planning.sequences import LATEST, SequenceMessage
from newsletter_bot.delivery.store import Page
from newsletter_bot.errors import BusyError, DataError
from newsletter_bot.storage.lock import exclusive
from newsletter_bot.storage.tables import subscriptions
from tests.delivery.newcomers import DAY, IMPORTED, Hall, message, rendering

Open = Callable[..., Hall]


def test_only_who_subscribes_after_its_beginning_gets_a_message_and_once(hall: Open) -> None:
    here = hall()
    here.joins("early")
    here.clock.pass_by(1)
    assert here.greets(message()) == 0
    here.clock.pass_by(60)
    here.joins("ada", "bo")
    assert here.mailroom.newcomers.to_plan(message())
    assert here.greets(message()) == 2
    assert not here.mailroom.newcomers.to_plan(message())
    (tally,) = here.carries_on()
    assert (tally.state, tally.planned, tally.accepted, tally.balanced) == ("sent", 2, 2, True)
    here.clock.pass_by(60)
    here.joins("cy")
    assert here.greets(message()) == 1
    (tally,) = here.carries_on()
    assert (tally.planned, tally.accepted, tally.balanced) == (3, 3, True)
    assert here.greets(message()) == 0
    assert here.carries_on() == []
    assert here.got("welcome") == ["ada", "bo", "cy"]


def test_nobody_gets_a_message_before_its_delay_has_passed(hall: Open) -> None:
    here = hall()
    here.greets(message(3 * DAY))
    here.joins("ada")
    here.clock.pass_by(DAY)
    here.joins("bo")
    here.clock.pass_by(2 * DAY - 1)
    assert here.greets(message(3 * DAY)) == 0
    here.clock.pass_by(1)
    assert here.greets(message(3 * DAY)) == 1
    here.carries_on()
    assert here.got("welcome") == ["ada"]
    here.clock.pass_by(DAY)
    assert here.greets(message(3 * DAY)) == 1


def test_who_leaves_or_is_suppressed_before_the_delay_has_passed_gets_nothing(hall: Open) -> None:
    here = hall()
    here.greets(message(3 * DAY))
    here.joins("ada", "bo", "cy")
    here.clock.pass_by(DAY)
    here.people.unsubscribe("ada@example.com")
    here.people.suppress("bo@example.com", "complained")
    here.clock.pass_by(3 * DAY)
    assert here.greets(message(3 * DAY)) == 1
    here.carries_on()
    assert here.got("welcome") == ["cy"]


def test_who_leaves_between_plan_and_sending_is_skipped(hall: Open) -> None:
    here = hall()
    here.greets(message())
    here.joins("ada", "bo")
    assert here.greets(message()) == 2
    here.people.unsubscribe("ada@example.com")
    (tally,) = here.carries_on()
    assert (tally.accepted, tally.skipped, tally.balanced) == (1, 1, True)


def test_who_comes_back_gets_no_second_copy(hall: Open) -> None:
    here = hall()
    here.greets(message())
    here.joins("ada")
    here.greets(message())
    here.carries_on()
    here.people.unsubscribe("ada@example.com")
    here.clock.pass_by(DAY)
    _confirms_again(here)
    assert here.greets(message()) == 0


def _confirms_again(here: Hall) -> None:
    with here.mailroom._engine.begin() as connection:
        active = {"state": "active", "changed_at": int(here.clock.now)}
        connection.execute(update(subscriptions).values(active))


def test_imported_people_are_no_newcomers(hall: Open) -> None:
    here = hall()
    here.greets(message())
    here.clock.pass_by(1)
    here.joins("ada", consent=IMPORTED)
    assert not here.mailroom.newcomers.to_plan(message())
    assert here.greets(message()) == 0


def test_an_import_of_somebody_active_neither_renews_nor_takes_away_their_message(
    hall: Open,
) -> None:
    here = hall()
    here.joins("early")
    here.clock.pass_by(1)
    here.greets(message(DAY))
    here.joins("ada")
    here.clock.pass_by(DAY)
    here.joins("early", "ada", consent=IMPORTED)
    assert here.greets(message(DAY)) == 1
    here.carries_on()
    assert here.got("welcome") == ["ada"]


def test_one_person_on_two_lists_gets_one_copy(hall: Open) -> None:
    here = hall()
    both = message(0, "weekly", "monthly")
    here.greets(both)
    here.joins("ada")
    here.joins("ada", "bo", on="monthly")
    assert [one.address for one in here.mailroom.newcomers.due(both)] == [
        "ada@example.com",
        "bo@example.com",
    ]
    assert here.greets(both) == 2
    here.carries_on()
    assert here.got("welcome") == ["ada", "bo"]


def test_a_message_is_for_its_own_lists_alone(hall: Open) -> None:
    here = hall()
    here.greets(message())
    here.joins("ada", on="monthly")
    assert here.greets(message()) == 0


def test_a_message_that_would_come_too_late_is_left_out(hall: Open) -> None:
    here = hall()
    here.greets(message(DAY))
    here.joins("ada")
    here.clock.pass_by(60)
    here.joins("bo")
    here.clock.pass_by(DAY + LATEST - 30)  # as when nothing ran for two weeks
    assert here.greets(message(DAY)) == 1
    here.carries_on()
    assert here.got("welcome") == ["bo"]


def test_copies_not_sent_yet_are_sent_as_the_file_is_now(hall: Open) -> None:
    here = hall("rcpt@ada@example.com#1=450 4.2.0 greylisted")
    here.greets(message(), "first text")
    here.joins("ada", "bo")
    here.greets(message(), "first text")
    (tally,) = here.carries_on()
    assert (tally.accepted, tally.deferred) == (1, 1)
    here.joins("cy")
    here.greets(message(), "second text")
    here.clock.pass_by(3600)
    (tally,) = here.carries_on()
    assert (tally.accepted, tally.balanced) == (3, True)
    texts = {
        str(one["Delivered-To"]): "second text" in one.as_string() for one in here.server.messages()
    }
    assert texts == {"bo@example.com": False, "ada@example.com": True, "cy@example.com": True}


def test_what_was_planned_is_sent_from_the_ledger_alone(hall: Open) -> None:
    here = hall()
    here.greets(message())
    here.joins("ada")
    here.greets(message())
    # Nothing but the ledger is asked from here on: the file may be gone.
    assert here.mailroom.owed() == ["welcome"]
    here.carries_on()
    assert here.got("welcome") == ["ada"]


def test_two_processes_that_plan_together_add_everybody_once(hall: Open) -> None:
    here = hall()
    here.greets(message())
    here.joins(*(f"r{number}" for number in range(40)))
    together = Barrier(4)

    def plan(_number: int) -> int:
        together.wait()
        try:
            return here.greets(message())
        except BusyError:
            return 0

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(plan, range(4))) == 40
    (tally,) = here.carries_on()
    assert (tally.planned, tally.accepted) == (40, 40)
    assert len(set(here.got("welcome"))) == len(here.got("welcome")) == 40


def test_while_it_is_being_sent_nobody_is_added_and_nobody_forgotten(hall: Open) -> None:
    here = hall()
    here.greets(message())
    here.joins("ada")
    with (
        exclusive(here.mailroom._engine, "send-welcome"),
        pytest.raises(BusyError, match="Another process is sending welcome"),
    ):
        here.greets(message())
    assert here.greets(message()) == 1


def test_rows_of_a_run_that_was_killed_become_unknown_and_newcomers_are_served(
    hall: Open,
) -> None:
    here = hall()
    here.greets(message())
    here.joins("ada")
    here.greets(message())
    row = here.mailroom.issue("welcome")
    assert row is not None
    (due,) = here.mailroom._store.due(row.id, DeliveryState.PLANNED, Page(0, 9))
    here.mailroom._store.write([Start(due.delivery_id)])
    here.joins("bo")
    here.greets(message())
    (tally,) = here.carries_on()
    assert (tally.accepted, tally.unknown, tally.balanced) == (1, 1, True)
    assert here.got("welcome") == ["bo"]


def test_newcomers_do_not_lengthen_the_deadline_of_those_before_them(hall: Open) -> None:
    here = hall("rcpt@ada@example.com=450 4.2.0 full", deadline="2d")
    here.greets(message())
    here.joins("ada")
    here.greets(message())
    (tally,) = here.carries_on()
    assert tally.deferred == 1
    for number in range(2):
        here.clock.pass_by(DAY)
        here.joins(f"r{number}")
        here.greets(message())
        (tally,) = here.carries_on()
        assert tally.deferred == 1
    here.clock.pass_by(1)
    here.joins("last")
    here.greets(message())
    (tally,) = here.carries_on()
    assert (tally.accepted, tally.expired, tally.balanced) == (3, 1, True)


def test_a_newcomer_after_the_first_deadline_has_one_of_their_own(hall: Open) -> None:
    here = hall("rcpt@bo@example.com#1=450 4.2.0 greylisted", deadline="2d")
    here.greets(message())
    here.joins("ada")
    here.greets(message())
    here.carries_on()
    here.clock.pass_by(30 * DAY)
    here.joins("bo")
    here.greets(message())
    (tally,) = here.carries_on()
    assert (tally.accepted, tally.deferred, tally.state) == (1, 1, "sending")
    assert here.mailroom.owed() == []
    here.clock.pass_by(3600)
    (tally,) = here.carries_on()
    assert (tally.accepted, tally.expired, tally.state) == (2, 0, "sent")


def test_a_paused_message_keeps_its_newcomers_until_it_is_resumed(hall: Open) -> None:
    here = hall()
    here.greets(message())
    assert here.mailroom.pause("welcome").state == "paused"
    here.joins("ada")
    assert here.greets(message()) == 1
    assert here.carries_on() == []
    here.mailroom.resume("welcome")
    (tally,) = here.carries_on()
    assert (tally.accepted, tally.state) == (1, "sent")


def test_a_cancelled_message_greets_nobody_any_more(hall: Open) -> None:
    here = hall()
    here.greets(message())
    here.joins("ada")
    here.greets(message())
    tally = here.mailroom.cancel("welcome")
    assert (tally.state, tally.skipped, tally.balanced) == ("cancelled", 1, True)
    here.joins("bo")
    assert not here.mailroom.newcomers.to_plan(message())
    assert here.greets(message()) == 0
    assert list(here.mailroom.newcomers.due(message())) == []
    assert here.carries_on() == []


def test_an_identity_is_that_of_an_issue_or_a_message_for_ever(hall: Open) -> None:
    here = hall()
    here.joins("ada")
    here.sends("2026-W01")
    here.greets(message())
    clash = message(identity="2026-W01")
    for ask in (here.mailroom.newcomers.to_plan, here.greets):
        with pytest.raises(DataError, match="2026-W01 is the name of an issue in the ledger"):
            ask(clash)
    with pytest.raises(DataError, match="welcome is the name of a sequence message"):
        here.sends("welcome")
    with pytest.raises(DataError, match="welcome is the name of a sequence message"):
        here.mailroom.plan(rendering("welcome"), "x", ["weekly"])
    assert here.got("welcome") == []


def test_messages_are_no_issues(hall: Open) -> None:
    here = hall()
    here.greets(message())
    here.joins("ada")
    here.sends("2026-W01")
    here.greets(message())
    assert [one.identity for one in here.mailroom.issues()] == ["2026-W01"]
    assert [one.identity for one in here.mailroom.newcomers.sequences()] == ["welcome"]


def test_before_its_first_plan_a_message_is_due_to_nobody(hall: Open) -> None:
    here = hall()
    here.joins("ada")
    about = SequenceMessage("welcome", "Welcome", ("weekly",), 0)
    assert list(here.mailroom.newcomers.due(about)) == []
    assert here.mailroom.newcomers.to_plan(about)
