"""The latest issue for people who subscribe after it."""

from __future__ import annotations

from collections.abc import Callable

from newsletter_bot.delivery.planning.sequences import STILL_NEWS
from newsletter_bot.storage.lock import exclusive
from tests.delivery.newcomers import DAY, IMPORTED, Hall, message

Open = Callable[..., Hall]


def _sent(here: Hall, identity: str, *lists: str) -> None:
    here.sends(identity, *lists)
    here.clock.pass_by(3600)


def test_a_newcomer_gets_the_latest_issue_of_their_list_and_once(hall: Open) -> None:
    here = hall()
    here.joins("ada", "eve")
    _sent(here, "2026-W01")
    _sent(here, "2026-W02")
    here.joins("bo")
    assert here.mailroom.newcomers.plan_latest() == ["2026-W02"]
    assert here.mailroom.newcomers.plan_latest() == []
    (tally,) = here.carries_on()
    assert (tally.planned, tally.accepted, tally.balanced, tally.state) == (3, 3, True, "sent")
    assert here.got("2026-W02") == ["ada", "bo", "eve"]
    assert here.got("2026-W01") == ["ada", "eve"]


def test_each_list_has_a_latest_issue_of_its_own(hall: Open) -> None:
    here = hall()
    here.joins("ada")
    here.joins("ada", on="monthly")
    _sent(here, "2026-01", "monthly")
    _sent(here, "2026-W05", "weekly")
    here.joins("bo", on="monthly")
    here.joins("cy")
    assert here.mailroom.newcomers.plan_latest() == ["2026-W05", "2026-01"]
    here.carries_on()
    assert here.got("2026-01") == ["ada", "bo"]
    assert here.got("2026-W05") == ["ada", "cy"]


def test_imported_people_wait_for_the_next_issue(hall: Open) -> None:
    here = hall()
    here.joins("ada")
    _sent(here, "2026-W01")
    here.joins("bo", consent=IMPORTED)
    here.joins("ada", consent=IMPORTED)
    assert here.mailroom.newcomers.plan_latest() == []


def test_who_left_or_is_suppressed_gets_nothing(hall: Open) -> None:
    here = hall()
    here.joins("ada")
    _sent(here, "2026-W01")
    here.joins("bo", "cy")
    here.people.unsubscribe("bo@example.com")
    here.people.suppress("cy@example.com", "asked")
    assert here.mailroom.newcomers.plan_latest() == []


def test_an_old_issue_is_no_news(hall: Open) -> None:
    here = hall()
    here.joins("ada")
    here.sends("2026-W01")
    here.clock.pass_by(STILL_NEWS + 1)
    here.joins("bo")
    assert here.mailroom.newcomers.plan_latest() == []


def test_neither_a_cancelled_nor_a_paused_issue_nor_the_one_before_a_paused_one_is_sent(
    hall: Open,
) -> None:
    here = hall("rcpt@eve@example.com=450 4.2.0 later")
    here.joins("ada", "eve")
    here.sends("2026-W01")
    here.clock.pass_by(60)
    here.sends("2026-W02")
    here.clock.pass_by(60)
    here.joins("bo")
    here.mailroom.pause("2026-W02")
    assert here.mailroom.newcomers.plan_latest() == []
    here.mailroom.cancel("2026-W02")
    assert here.mailroom.newcomers.plan_latest() == ["2026-W01"]


def test_an_issue_keeps_its_place_in_time_when_newcomers_get_it(hall: Open) -> None:
    here = hall()
    here.joins("ada")
    _sent(here, "2026-W01")
    before = here.mailroom.issue("2026-W01")
    here.joins("bo")
    here.mailroom.newcomers.plan_latest()
    after = here.mailroom.issue("2026-W01")
    assert before is not None
    assert after is not None
    assert (before.planned_at, before.state) == (after.planned_at, "sent")
    assert (after.state, after.owed_since) == ("sending", int(here.clock.now))


def test_a_newcomers_copy_is_tried_for_as_long_as_anybodys(hall: Open) -> None:
    here = hall("rcpt@bo@example.com#1=450 4.2.0 greylisted", deadline="2d")
    here.joins("ada")
    here.sends("2026-W01")
    here.clock.pass_by(10 * DAY)
    here.joins("bo")
    here.mailroom.newcomers.plan_latest()
    (tally,) = here.carries_on()
    assert tally.deferred == 1
    here.clock.pass_by(DAY)
    (tally,) = here.carries_on()
    assert (tally.accepted, tally.expired, tally.balanced) == (2, 0, True)


def test_an_issue_that_is_being_sent_takes_newcomers_when_the_run_has_ended(hall: Open) -> None:
    here = hall()
    here.joins("ada")
    _sent(here, "2026-W01")
    here.joins("bo")
    with exclusive(here.mailroom._engine, "send-2026-W01"):
        assert here.mailroom.newcomers.plan_latest() == []
    assert here.mailroom.newcomers.plan_latest() == ["2026-W01"]


def test_a_sequence_message_is_never_the_latest_issue_and_goes_first(hall: Open) -> None:
    here = hall()
    here.joins("ada")
    _sent(here, "2026-W01")
    here.greets(message())
    here.clock.pass_by(60)
    here.joins("bo")
    assert here.mailroom.newcomers.plan_latest() == ["2026-W01"]
    here.greets(message())
    assert here.mailroom.owed() == ["welcome", "2026-W01"]
