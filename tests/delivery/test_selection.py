"""Whom an issue is for: segments, the monthly digest, and readers who have paused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, update

from newsletter_bot.delivery.run import Run
from newsletter_bot.storage.tables import deliveries, subscribers, subscriptions
from newsletter_bot.subscribers.consent import Frequency
from newsletter_bot.subscribers.segment_rules import Segment
from newsletter_bot.subscribers.segment_table import read_segment
from newsletter_bot.subscribers.selection import USUAL, Selection
from tests.delivery.newcomers import DAY, Hall, message, rendering

Open = Callable[..., Hall]

DIGEST = Selection(Frequency.MONTHLY)
MONTHLY = {"frequency": "monthly"}
BETA = {"tags": ["beta"]}


def segment(*rules: dict[str, Any]) -> Segment:
    return read_segment({"all": list(rules)}, "some")


TESTERS = Selection(segment=segment({"tag": "beta"}))


def sets(here: Hall, *names: str, **values: Any) -> None:
    keys = [f"{name}@example.com" for name in names]
    changed = update(subscribers).where(subscribers.c.address_key.in_(keys)).values(values)
    with here.mailroom._engine.begin() as connection:
        connection.execute(changed)


def plans(here: Hall, identity: str, selection: Selection = USUAL, *lists: str) -> dict[str, str]:
    """Plan an issue; returns everybody who has a row: with why they are skipped, or nothing."""
    here.mailroom.plan(rendering(identity), identity, lists or ("weekly",), selection)
    return rows(here, identity)


def rows(here: Hall, identity: str) -> dict[str, str]:
    issue = here.mailroom.issue(identity)
    assert issue is not None
    query = select(subscribers.c.name, deliveries.c.reason, deliveries.c.state)
    query = query.join(deliveries, deliveries.c.subscriber_id == subscribers.c.id)
    with here.mailroom._engine.begin() as connection:
        found = connection.execute(query.where(deliveries.c.issue_id == issue.id)).all()
    assert all((state == "skipped") == bool(reason) for _, reason, state in found)
    return {name: reason for name, reason, _ in found}


# ── planning ─────────────────────────────────────────────────────────────────────────────────


def test_an_issue_for_a_segment_is_owed_to_its_people_alone(hall: Open) -> None:
    here = hall()
    here.joins("ada", "bo", "cy")
    sets(here, "ada", "bo", **BETA)
    here.people.suppress("bo@example.com", "complained")
    assert plans(here, "w1", TESTERS) == {"ada": "", "bo": "suppressed: complained"}
    (tally,) = here.carries_on()
    assert (tally.planned, tally.accepted, tally.skipped, tally.balanced) == (2, 1, 1, True)
    assert here.got("w1") == ["ada"]


def test_a_segment_is_asked_when_the_issue_is_planned_and_not_again(hall: Open) -> None:
    here = hall("rcpt@ada@example.com#1=450 4.2.0 greylisted")
    here.joins("ada", "bo")
    sets(here, "ada", **BETA)
    plans(here, "w1", TESTERS)
    here.carries_on()
    sets(here, "ada", tags=[])
    sets(here, "bo", **BETA)
    here.mailroom.plan(rendering("w1"), "w1", ["weekly"], TESTERS)
    here.clock.pass_by(3600)
    here.carries_on()
    assert here.got("w1") == ["ada"]


def test_the_ledger_keeps_whom_an_issue_was_for(hall: Open) -> None:
    here = hall()
    rules = segment({"field": "gone", "is": "x"}, {"list": "closed", "before": "30d"})
    for identity, selection in {
        "a": USUAL,
        "b": DIGEST,
        "c": TESTERS,
        "d": Selection(Frequency.MONTHLY, rules),
    }.items():
        plans(here, identity, selection)
        found = here.mailroom.issue(identity)
        assert found is not None
        assert found.selection == selection


def test_a_segment_that_asks_for_received_issues_reads_this_ledger(hall: Open) -> None:
    here = hall("rcpt@bo@example.com=550 5.1.1 unknown")
    here.joins("ada", "bo")
    here.sends("w1")
    here.clock.pass_by(7 * DAY)
    here.joins("cy")
    here.sends("w2")
    loyal = Selection(segment=segment({"received": {"at_least": 2, "within": "30d"}}))
    assert plans(here, "w3", loyal) == {"ada": ""}
    here.clock.pass_by(25 * DAY)
    lost = Selection(segment=segment({"last_received": {"before": "24d"}}))
    assert set(plans(here, "w4", lost)) == {"ada", "cy"}
    never = Selection(segment=segment({"last_received": "never"}))
    assert set(plans(here, "w5", never)) == {"bo"}


def test_who_wants_one_mail_a_month_is_skipped_with_the_reason(hall: Open) -> None:
    here = hall()
    here.joins("ada", "bo")
    sets(here, "bo", **MONTHLY)
    assert plans(here, "w1") == {"ada": "", "bo": "gets the monthly digest"}
    assert plans(here, "digest", DIGEST) == {"bo": ""}
    here.carries_on()
    assert (here.got("w1"), here.got("digest")) == (["ada"], ["bo"])
    assert here.mailroom.reasons("w1")[0][1:] == ("gets the monthly digest", 1)


def test_nothing_is_planned_for_readers_before_their_pause_ends(hall: Open) -> None:
    here = hall()
    here.joins("ada", "bo", "cy")
    until = int(here.clock.now) + DAY
    sets(here, "ada", "bo", paused_until=until)
    sets(here, "bo", "cy", **MONTHLY)
    paused = "paused by the reader"
    assert plans(here, "w1") == {
        "ada": paused,
        "bo": "gets the monthly digest",
        "cy": "gets the monthly digest",
    }
    assert plans(here, "digest1", DIGEST) == {"bo": paused, "cy": ""}
    here.clock.pass_by(DAY)
    assert plans(here, "w2")["ada"] == ""
    assert plans(here, "digest2", DIGEST) == {"bo": "", "cy": ""}


@pytest.mark.parametrize(
    "selection", [USUAL, DIGEST, TESTERS, Selection(Frequency.MONTHLY, TESTERS.segment)]
)
def test_a_dry_run_counts_what_a_plan_then_writes(hall: Open, selection: Selection) -> None:
    here = hall()
    here.joins("ada", "bo", "cy", "di", "ed")
    here.joins("ada", "fi", on="monthly")
    sets(here, "ada", "cy", "fi", **BETA)
    sets(here, "cy", "di", **MONTHLY)
    sets(here, "ed", "fi", paused_until=int(here.clock.now) + 1)
    here.people.suppress("bo@example.com", "complained")
    lists = ("weekly", "monthly")
    foreseen = here.mailroom.dry_run(rendering("w1"), lists, selection=selection)
    planned = plans(here, "w1", selection, *lists)
    assert foreseen.count == sum(not reason for reason in planned.values())
    skips = [reason for reason in planned.values() if reason]
    assert foreseen.skips == {one: skips.count(one) for one in skips}
    assert foreseen.selection == selection


def test_sending_plans_for_the_selection_it_is_given(hall: Open) -> None:
    here = hall()
    here.joins("ada", "bo")
    sets(here, "bo", **BETA)
    tally = here.mailroom.send(rendering("w1"), "w1", ["weekly"], Run(), selection=TESTERS)
    assert (tally.planned, tally.accepted) == (1, 1)
    again = here.mailroom.send(rendering("w1"), "w1", ["weekly"], Run())
    assert again.planned == 1
    assert here.got("w1") == ["bo"]


# ── newcomers ────────────────────────────────────────────────────────────────────────────────


def latest(here: Hall) -> list[str]:
    extended = here.mailroom.newcomers.plan_latest()
    here.carries_on()
    return extended


def test_sequence_messages_go_to_everybody_who_has_not_paused(hall: Open) -> None:
    here = hall()
    here.greets(message())
    here.joins("ada", "bo")
    sets(here, "ada", **MONTHLY)
    sets(here, "bo", paused_until=int(here.clock.now) + DAY)
    assert here.greets(message()) == 1
    here.clock.pass_by(DAY)
    assert here.greets(message()) == 1
    here.carries_on()
    assert here.got("welcome") == ["ada", "bo"]


def test_newcomers_get_the_latest_issue_of_their_frequency(hall: Open) -> None:
    here = hall()
    plans(here, "w1")
    plans(here, "digest", DIGEST)
    here.carries_on()
    here.clock.pass_by(DAY)
    here.joins("ada", "bo", "cy")
    sets(here, "bo", **MONTHLY)
    sets(here, "cy", paused_until=int(here.clock.now) + DAY)
    assert latest(here) == ["digest", "w1"]
    assert (here.got("w1"), here.got("digest")) == (["ada"], ["bo"])
    sets(here, "ada", **MONTHLY)  # who changes their mind is no newcomer by that
    assert latest(here) == []


def test_newcomers_get_the_latest_issue_that_is_for_them_and_only_that(hall: Open) -> None:
    here = hall()
    plans(here, "w1")
    here.clock.pass_by(DAY)
    plans(here, "special", TESTERS)
    here.carries_on()
    here.clock.pass_by(DAY)
    here.joins("ada", "bo")
    sets(here, "ada", **BETA)
    assert latest(here) == ["special", "w1"]
    assert (here.got("special"), here.got("w1")) == (["ada"], ["bo"])
    sets(here, "bo", **BETA)
    sets(here, "ada", tags=[])
    assert latest(here) == []


def test_who_comes_back_gets_the_latest_issue_although_they_had_earlier_ones(hall: Open) -> None:
    here = hall()
    here.joins("ada")
    here.sends("w1")
    here.people.unsubscribe("ada@example.com")
    here.clock.pass_by(DAY)
    plans(here, "w2")
    here.clock.pass_by(DAY)
    with here.mailroom._engine.begin() as connection:
        active = {"state": "active", "changed_at": int(here.clock.now)}
        connection.execute(update(subscriptions).values(active))
    assert latest(here) == ["w2"]


def test_each_list_has_its_own_latest_issue(hall: Open) -> None:
    here = hall()
    plans(here, "w1", USUAL, "weekly")
    here.clock.pass_by(DAY)
    plans(here, "m1", USUAL, "monthly")
    here.carries_on()
    here.clock.pass_by(DAY)
    here.joins("ada")
    here.joins("ada", on="monthly")
    assert latest(here) == ["m1", "w1"]
    assert (here.got("w1"), here.got("m1")) == (["ada"], ["ada"])
