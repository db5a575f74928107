"""Tests of subjects in the ledger: who gets which at once, who waits, and what they get then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, insert, select

from newsletter_bot.delivery.mailroom import Mailroom
from newsletter_bot.delivery.model import Tally
from newsletter_bot.delivery.planning.subject_test import Draw
from newsletter_bot.delivery.planning.subject_test_store import Waiting
from newsletter_bot.delivery.run import Run
from newsletter_bot.rendering.model import Rendering, Static
from newsletter_bot.rendering.tracking import Detail, Tracking
from newsletter_bot.storage.tables import deliveries, events, subscribers
from tests.delivery.newcomers import Hall, rendering

SECRET = b"0123456789abcdef" * 4
COUNTED = Tracking(clicks=Detail.INDIVIDUAL)
TWO = replace(rendering("w1"), subjects=((Static("First"),), (Static("Second"),)), tracking=COUNTED)
EACH = {"share": 0.5, "wait": "4h", "least": 5}
HOURS = 3600


@dataclass
class Desk:
    """A newsletter whose readers click as they are told."""

    hall: Hall
    engine: Engine

    @property
    def room(self) -> Mailroom:
        return self.hall.mailroom

    def send(self, what: Rendering = TWO, run: Run | None = None) -> Tally:
        return self.room.send(what, "Week 1", ["weekly"], run or Run())

    def on(self) -> Tally:
        (found,) = self.hall.carries_on()
        return found

    @property
    def test(self) -> dict[str, Any]:
        return self.room.subject_tests.read(self.row)

    @property
    def row(self) -> int:
        row = self.room.issue("w1")
        assert row is not None
        return row.id

    @property
    def waiting(self) -> Waiting:
        return self.room.subject_tests.waiting(self.row)

    def clicks(self, subject: str, *, actor: str = "human", kind: str = "clicked") -> int:
        """Let everybody who got a subject click, twice; returns how many they are."""
        got = set(self.hall.got(subject))
        with self.engine.begin() as connection:
            query = select(deliveries.c.id, subscribers.c.name).join(subscribers)
            rows = [row[0] for row in connection.execute(query) if row[1] in got]
            for number in [*rows, *rows]:
                event = {"source": "link", "key": uuid4().hex, "kind": kind, "actor": actor}
                about = {"issue_id": self.row, "delivery_id": number}
                at = {"at": 1, "received_at": 1}
                connection.execute(insert(events).values(event | about | at))
        return len(rows)


@pytest.fixture
def desk(hall: Callable[..., Hall], engine: Engine) -> Callable[..., Desk]:
    """Open a newsletter with 60 readers whose clicks are counted: `desk(share=0.5)`."""

    def opened(*faults: str, readers: int = 60, **terms: Any) -> Desk:
        found = hall(*faults, settings={"subject_test": terms or EACH})
        found.joins(*(f"r{number}" for number in range(readers)))
        return Desk(found, engine)

    return opened


def test_the_sample_gets_its_subjects_at_once_and_the_others_the_winner(
    desk: Callable[..., Desk],
) -> None:
    here = desk()
    begun = here.hall.clock.now
    tally = here.send()
    first, second = here.hall.got("First"), here.hall.got("Second")
    assert min(len(first), len(second)) >= 5
    assert tally.accepted == len(first) + len(second) == tally.planned - tally.remaining
    assert here.waiting == Waiting(tally.remaining, int(begun) + 4 * HOURS)
    assert (here.test["decided_at"], here.test["wait_until"]) == (None, int(begun) + 4 * HOURS)
    clicked = here.clicks("Second")
    here.clicks("First", actor="machine")
    here.clicks("First", kind="opened")
    here.hall.clock.pass_by(4 * HOURS - 2)
    assert here.room.owed() == []
    here.hall.clock.pass_by(2)
    assert here.on().balanced
    assert here.hall.got("First") == first
    assert len(here.hall.got("Second")) == 60 - len(first)
    assert set(here.hall.server.recipients().values()) == {1}
    test = here.test
    assert (test["winner"], test["why"].partition(":")[0]) == (1, "“Second” won")
    assert [(one["sent"], one["clicked"]) for one in test["variants"]] == [
        (len(first), 0),
        (clicked, clicked),
    ]
    assert test["difference"]["low"] > 0
    here.clicks("First")
    assert here.test == test  # it is decided


def test_a_run_before_the_decision_ends_and_a_tie_gives_the_others_the_first_subject(
    desk: Callable[..., Desk],
) -> None:
    here = desk()
    before = here.send()
    assert here.room.carry_on("w1", Run()) == before
    here.clicks("First")
    here.clicks("Second")
    here.hall.clock.pass_by(4 * HOURS)
    second = here.hall.got("Second")
    assert here.on().balanced
    assert here.hall.got("Second") == second
    assert here.test["winner"] is None
    assert "the list is too small to tell" in here.test["why"]
    assert here.room.owed() == []


def test_the_wait_begins_behind_the_last_of_the_sample(desk: Callable[..., Desk]) -> None:
    here = desk()
    here.room.plan(TWO, "Week 1", ["weekly"])
    here.hall.clock.pass_by(5 * HOURS)  # nothing could be sent for so long
    here.on()
    assert here.waiting.count
    assert here.waiting.until == int(here.hall.clock.now) + 4 * HOURS
    assert here.room.owed() == []


def test_the_deadline_of_who_waited_begins_with_the_decision(desk: Callable[..., Desk]) -> None:
    here = desk("rcpt=450 later")
    here.send()
    waiting = here.waiting.count
    for hours in (3, 2, 43, 3):  # decided after five
        here.hall.clock.pass_by(hours * HOURS)
        here.on()
    tally = here.room.status("w1")
    assert (tally.expired, tally.deferred) == (60 - waiting, waiting)


def test_nobody_waits_longer_than_the_deadline_for_a_sample_that_cannot_be_sent(
    desk: Callable[..., Desk],
) -> None:
    here = desk()
    here.room.plan(TWO, "Week 1", ["weekly"])
    latest = int(here.hall.clock.now) + 48 * HOURS
    here.hall.clock.pass_by(47 * HOURS)
    assert here.room.subject_tests.settle(here.row) == ""
    assert here.waiting.until == latest
    here.hall.clock.pass_by(HOURS)
    assert here.room.subject_tests.settle(here.row) == "No winner: nobody clicked."
    assert here.on().balanced
    assert len(here.hall.got("First")) > 30


@pytest.mark.parametrize(
    ("terms", "clicks", "why"),
    [
        ({"share": 0.5, "least": 20}, Detail.INDIVIDUAL, "the list is too small"),
        (EACH, Detail.AGGREGATE, "clicks are not counted by reader"),
        ({**EACH, "share": 1.0}, Detail.INDIVIDUAL, "everybody was in the sample"),
    ],
)
def test_where_no_test_can_be_held_the_subjects_are_shared_out_at_once(
    desk: Callable[..., Desk], terms: dict[str, Any], clicks: Detail, why: str
) -> None:
    here = desk(readers=30, **terms)
    assert here.send(replace(TWO, tracking=Tracking(clicks=clicks))).balanced
    first, second = here.hall.got("First"), here.hall.got("Second")
    assert len(first) + len(second) == 30
    assert min(len(first), len(second)) >= 8
    assert why in here.test["why"]
    assert (here.test["winner"], here.test["wait_until"]) == (None, None)
    assert here.waiting == Waiting()
    assert here.test["variants"][1]["clicked"] == 0
    here.clicks("Second")
    assert here.test["variants"][1]["clicked"] == len(second)  # of this moment


def test_pausing_cancelling_and_trying_again_keep_to_the_draw(desk: Callable[..., Desk]) -> None:
    here = desk("rcpt@r1@example.com=550 5.7.1 no", "rcpt@r2@example.com=550 5.7.1 no")
    before = here.send()
    here.room.pause("w1")
    here.hall.clock.pass_by(5 * HOURS)
    assert here.room.owed() == []
    here.room.resume("w1")
    first = set(here.hall.got("First"))
    here.clicks("Second")
    here.on()
    assert here.test["winner"] == 1
    assert set(here.hall.got("First")) == first
    assert here.room.retry("w1") == 2
    here.on()
    with here.engine.connect() as connection:
        query = select(subscribers.c.id, subscribers.c.name, deliveries.c.variant).join(deliveries)
        rows = connection.execute(query).all()
    draw = Draw(SECRET, "w1")
    for number, _name, variant in rows:
        drawn = draw.position(number) < 0.5
        assert variant == (draw.variant(number, 2) if drawn else 1)
    assert before.planned == len(rows)


def test_a_cancelled_issue_decides_nothing(desk: Callable[..., Desk]) -> None:
    here = desk()
    before = here.send()
    assert here.room.cancel("w1").skipped == before.remaining
    here.hall.clock.pass_by(5 * HOURS)
    assert here.room.owed() == []
    assert here.test["decided_at"] is None
    assert here.waiting.count == 0


def test_newcomers_wait_with_the_others_and_get_the_winner_afterwards(
    desk: Callable[..., Desk],
) -> None:
    here = desk()
    here.send()
    waiting = here.waiting.count
    here.hall.clock.pass_by(HOURS)
    here.hall.joins("early")
    assert here.room.newcomers.plan_latest() == ["w1"]
    assert here.room.owed() == []
    assert here.waiting.count == waiting + 1
    here.clicks("Second")
    here.hall.clock.pass_by(3 * HOURS)
    here.on()
    here.hall.joins("late")
    assert here.room.newcomers.plan_latest() == ["w1"]
    assert here.on().balanced
    assert {"early", "late"} <= set(here.hall.got("Second"))


def test_a_proof_shows_every_subject_as_a_message_of_its_own(desk: Callable[..., Desk]) -> None:
    here = desk()
    here.room.proofs.send(TWO, {}, "editor@example.com")
    found = here.hall.server.messages()
    assert sorted(one["Subject"] for one in found) == ["[Proof] First", "[Proof] Second"]
    assert len({one["Message-ID"] for one in found}) == 2
