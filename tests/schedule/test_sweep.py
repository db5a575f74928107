from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from sqlalchemy import Engine

from newsletter_bot.errors import DataError, TryAgainError
from newsletter_bot.schedule.model import ONCE, Occurrence, OccurrenceState
from newsletter_bot.schedule.slots import Planned
from newsletter_bot.schedule.store import OccurrenceStore
from newsletter_bot.schedule.sweep import Happening, Notice, Sweep
from newsletter_bot.settings.tables import SlotTable
from newsletter_bot.storage.instance import Instance
from tests.schedule.paper import Clock, PaperNewsroom, settings_of

FRIDAY, SUNDAY = "2026-11-27T12:00+00:00", "2026-11-29T08:00+00:00"
WEEKLY = SlotTable(id="weekly", when="sun 08:00")


class Killed(BaseException):
    """The process ended here."""


@dataclass
class World:
    engine: Engine
    clock: Clock
    newsroom: PaperNewsroom
    told: list[Notice] = field(default_factory=list)

    def sweep(self, *slots: SlotTable, owner: str = "one", zone: str = "UTC") -> Sweep:
        store = OccurrenceStore(self.engine, self.clock, owner)
        return Sweep(
            store, settings_of(*(slots or (WEEKLY,)), zone=zone), self.newsroom, self.told.append
        )

    def rows(self) -> list[Occurrence]:
        return OccurrenceStore(self.engine, self.clock).between(0, 2**40)

    def row(self, date: str = "2026-11-29", slot: str = "weekly") -> Occurrence:
        return next(one for one in self.rows() if one.key == (slot, date))

    @property
    def happened(self) -> list[tuple[Happening, str]]:
        return [(one.happening, one.issue) for one in self.told]


@pytest.fixture
def world(engine: Engine) -> World:
    return World(engine, Clock(FRIDAY), PaperNewsroom())


def ready(world: World, identity: str = "2026-W48", at: str = SUNDAY) -> Sweep:
    """A world at an instant, with an approved issue, that was looked at before."""
    sweep = world.sweep()
    sweep.look()
    world.newsroom.add(identity)
    world.clock.at(at)
    return sweep


def test_an_approved_issue_is_announced_before_its_time_and_goes_out_on_it(world: World) -> None:
    sweep = ready(world, at="2026-11-29T07:57:59+00:00")
    sweep.look()
    assert world.happened == []
    world.clock.at("2026-11-29T07:58+00:00")
    sweep.look()
    assert world.happened == [(Happening.ANNOUNCED, "2026-W48")]
    assert world.newsroom.planned == []
    world.clock.at(SUNDAY)
    sweep.look()
    assert world.newsroom.planned == ["2026-W48"]
    assert world.row().state is OccurrenceState.SENT


def test_an_occurrence_is_sent_once_however_often_one_looks(world: World) -> None:
    sweep = ready(world)
    for _ in range(20):
        sweep.look()
        world.clock.pass_(60)
    assert world.happened.count((Happening.SENT, "2026-W48")) == 1
    assert world.newsroom.planned == ["2026-W48"]


def test_what_is_approved_late_goes_out_after_its_grace_within_the_lateness(world: World) -> None:
    sweep = world.sweep()
    sweep.look()
    world.clock.at(SUNDAY)
    sweep.look()
    assert world.happened == [(Happening.NONE_READY, "")]
    world.clock.at("2026-11-29T09:30+00:00")
    world.newsroom.add("2026-W48")
    sweep.look()
    assert world.newsroom.planned == []
    world.clock.pass_(119)
    sweep.look()
    assert world.newsroom.planned == []
    world.clock.pass_(1)
    sweep.look()
    assert world.newsroom.planned == ["2026-W48"]


def test_nothing_ready_is_said_once_and_becomes_missed(world: World) -> None:
    sweep = world.sweep()
    sweep.look()
    world.clock.at(SUNDAY)
    for _ in range(5):
        sweep.look()
        world.clock.pass_(600)
    world.clock.at("2026-11-29T14:00:01+00:00")
    sweep.look()
    assert world.happened == [(Happening.NONE_READY, ""), (Happening.MISSED, "")]
    assert world.row().reason == "no issue is ready"


def test_with_skip_an_occurrence_without_an_issue_is_closed(world: World) -> None:
    sweep = world.sweep(WEEKLY.model_copy(update={"none_ready": "skip"}))
    sweep.look()
    world.clock.at(SUNDAY)
    sweep.look()
    world.newsroom.add("2026-W48")
    world.clock.pass_(600)
    sweep.look()
    assert world.happened == [(Happening.SKIPPED, "")]
    assert world.newsroom.planned == []


def test_a_bot_that_comes_back_in_time_sends_after_the_grace(world: World) -> None:
    ready(world, at="2026-11-29T13:59+00:00")
    back = world.sweep()
    back.look()
    assert world.newsroom.planned == []
    world.clock.pass_(120)
    back.look()
    assert world.newsroom.planned == ["2026-W48"]


def test_nobody_there_in_time_is_a_reason(world: World) -> None:
    sweep = ready(world, at="2026-11-29T15:00+00:00")
    sweep.look()
    assert world.happened == [(Happening.MISSED, "")]
    assert "the bot was not running" in world.row().reason


def test_two_missed_issues_never_go_out_together(world: World) -> None:
    slots = (
        SlotTable(id="early", when="sun 06:00"),
        SlotTable(id="weekly", when="sun 08:00"),
    )
    sweep = world.sweep(*slots)
    sweep.look()
    for name in ("2026-W47", "2026-W48"):
        world.newsroom.add(name)
    world.clock.at("2026-11-29T09:00+00:00")
    for _ in range(30):
        sweep.look()
        world.clock.pass_(60)
    assert world.newsroom.planned == ["2026-W48"]
    assert world.row(slot="early").state is OccurrenceState.MISSED
    assert world.row(slot="early").reason == "a later occurrence was due as well"


def test_weeks_in_which_nobody_was_there_are_told_apart(world: World, tmp_path: object) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path)) / "state"
    Instance(world.engine, folder, world.clock).mark()
    world.sweep().look()
    world.clock.at("2027-01-10T12:00+00:00")
    world.sweep().look()
    missed = [one.occurrence.date for one in world.told if one.happening is Happening.MISSED]
    assert missed == [
        "2026-11-29", "2026-12-06", "2026-12-13", "2026-12-20", "2026-12-27", "2027-01-03",
    ]  # fmt: skip
    assert world.row("2027-01-10").state is OccurrenceState.OPEN


def test_a_process_killed_while_planning_is_taken_over_and_the_issue_goes_once(
    world: World,
) -> None:
    sweep = ready(world)
    sweep.look()
    world.clock.pass_(120)
    world.newsroom.killed = Killed()
    with pytest.raises(Killed):
        sweep.look()
    world.newsroom.killed = None
    assert world.row().state is OccurrenceState.STARTED
    other = world.sweep(owner="two")
    world.clock.pass_(119)
    other.look()
    assert world.row().state is OccurrenceState.STARTED
    world.clock.pass_(2)
    other.look()
    assert world.row().state is OccurrenceState.SENT
    assert world.newsroom.planned == ["2026-W48"]


def test_a_process_that_was_asleep_cannot_go_on_after_another_took_over(world: World) -> None:
    ready(world).look()
    world.clock.pass_(120)
    store = OccurrenceStore(world.engine, world.clock, "asleep")
    one = world.row()
    fence = store.claim(one, 120)
    assert fence == 1
    assert store.claim(one, 120) is None
    world.clock.pass_(121)
    taken = OccurrenceStore(world.engine, world.clock, "awake").claim(world.row(), 120)
    assert taken == 2
    assert not store.holds(one, fence)
    assert not store.settle(one, fence, OccurrenceState.MISSED)


@pytest.mark.parametrize(
    ("trouble", "state"),
    [
        (TryAgainError("the disk is full"), OccurrenceState.ANNOUNCED),
        (DataError("2026-W48 has 1 error"), OccurrenceState.OPEN),
    ],
)
def test_trouble_while_planning_is_told_and_tried_again(
    world: World, trouble: DataError | TryAgainError, state: OccurrenceState
) -> None:
    sweep = ready(world)
    sweep.look()
    world.clock.pass_(120)
    world.newsroom.trouble = trouble
    sweep.look()
    assert world.row().state is state
    assert world.row().reason == trouble.message
    world.newsroom.trouble = None
    world.clock.pass_(15)
    sweep.look()
    world.clock.pass_(120)
    sweep.look()
    assert world.newsroom.planned == ["2026-W48"]


def test_an_edit_between_announcement_and_time_takes_the_issue_back(world: World) -> None:
    sweep = ready(world, at="2026-11-29T07:58+00:00")
    sweep.look()
    world.newsroom.edit("2026-W48")
    world.clock.at(SUNDAY)
    sweep.look()
    assert world.newsroom.planned == []
    assert world.row().reason == "2026-W48 was edited after it was approved"


def test_a_file_that_was_deleted_leaves_the_occurrence_open(world: World) -> None:
    sweep = ready(world, at="2026-11-29T07:58+00:00")
    sweep.look()
    del world.newsroom.issues["2026-W48"]
    world.clock.at(SUNDAY)
    sweep.look()
    assert world.row().state is OccurrenceState.OPEN


def bound(world: World, issue: str, date: str = "2026-11-29") -> OccurrenceStore:
    store = OccurrenceStore(world.engine, world.clock)
    due = next(one.due_at for one in store.between(0, 2**40) if one.date == date)
    assert store.bind(Planned("weekly", date, due), issue)
    return store


def test_an_issue_bound_to_a_slot_goes_before_the_one_of_the_week(world: World) -> None:
    sweep = ready(world)
    world.newsroom.add("2021-W08")
    bound(world, "2021-W08")
    sweep.look()
    world.clock.pass_(120)
    sweep.look()
    assert world.newsroom.planned == ["2021-W08"]


def test_an_issue_bound_to_a_later_date_is_not_taken_before(world: World) -> None:
    sweep = ready(world)
    bound(world, "2026-W48", "2026-12-06")
    sweep.look()
    world.clock.pass_(120)
    sweep.look()
    assert world.newsroom.planned == []


def test_unbinding_in_the_grace_period_loses_nothing(world: World) -> None:
    sweep = ready(world, at="2026-11-29T07:58+00:00")
    sweep.look()
    assert OccurrenceStore(world.engine, world.clock).unbind("2026-W48") == 1
    world.newsroom.add("2026-W48", approved="")
    world.clock.at(SUNDAY)
    sweep.look()
    assert world.newsroom.planned == []
    world.newsroom.add("2026-W48")
    sweep.look()
    world.clock.pass_(120)
    sweep.look()
    assert world.newsroom.planned == ["2026-W48"]


def test_a_time_of_its_own_needs_no_slot(world: World) -> None:
    due = int(world.clock.now) + 3600
    store = OccurrenceStore(world.engine, world.clock)
    assert store.bind(Planned(ONCE, "2026-11-27 13:00", due), "special")
    assert not store.bind(Planned(ONCE, "2026-11-27 13:00", due), "other")
    assert store.unbind("special") == 1
    assert world.rows() == []
    assert store.bind(Planned(ONCE, "2026-11-27 13:00", due), "special")
    world.newsroom.add("special")
    sweep = world.sweep()
    sweep.look()
    assert world.newsroom.planned == []
    world.clock.pass_(3600)
    sweep.look()
    assert world.newsroom.planned == ["special"]


def test_a_slot_moved_on_the_same_day_moves_its_occurrence(world: World) -> None:
    ready(world, at="2026-11-28T08:00+00:00")
    bound(world, "2026-W48")
    moved = world.sweep(WEEKLY.model_copy(update={"when": "sun 10:00"}))
    moved.look()
    assert len([one for one in world.rows() if one.date == "2026-11-29"]) == 1
    world.clock.at(SUNDAY)
    moved.look()
    assert world.newsroom.planned == []
    for time in ("09:58", "10:00"):
        world.clock.at(f"2026-11-29T{time}+00:00")
        moved.look()
    assert world.newsroom.planned == ["2026-W48"]


def test_a_slot_moved_to_another_day_tells_what_was_scheduled(world: World) -> None:
    ready(world, at="2026-11-28T08:00+00:00")
    bound(world, "2026-W48")
    world.sweep(WEEKLY.model_copy(update={"when": "mon 08:00"})).look()
    assert world.happened == [(Happening.SKIPPED, "2026-W48")]
    assert "schedule 2026-W48 again" in world.row().reason
    assert {one.date for one in world.rows() if one.state is OccurrenceState.OPEN} == {
        "2026-11-30", "2026-12-07",
    }  # fmt: skip


@pytest.mark.parametrize("back", [3600, 86_400, 8 * 86_400])
def test_a_clock_set_back_sends_nothing_again(world: World, back: int) -> None:
    sweep = ready(world)
    sweep.look()
    world.clock.pass_(120)
    sweep.look()
    world.newsroom.add("2026-W47")
    world.clock.pass_(-back)
    for _ in range(3 * 24):
        sweep.look()
        world.clock.pass_(1200)
    sent = [one.date for one in world.rows() if one.state is OccurrenceState.SENT]
    assert sent in (["2026-11-29"], ["2026-11-22", "2026-11-29"])
    assert world.newsroom.planned.count("2026-W48") == 1


def test_a_clock_set_forward_over_the_slot_is_a_late_start(world: World) -> None:
    sweep = ready(world, at="2026-11-29T07:00+00:00")
    sweep.look()
    world.clock.pass_(2 * 3600)
    sweep.look()
    world.clock.pass_(120)
    sweep.look()
    assert world.newsroom.planned == ["2026-W48"]


def test_two_processes_looking_at_the_same_time_send_once(world: World) -> None:
    from threading import Barrier, Thread

    ready(world, at="2026-11-29T07:58+00:00").look()
    world.clock.at(SUNDAY)
    start = Barrier(4)
    errors: list[Exception] = []

    def look(sweep: Sweep) -> None:
        start.wait()
        try:
            sweep.look()
        except Exception as error:  # noqa: BLE001 - shown by the main thread
            errors.append(error)

    sweeps = [world.sweep(owner=str(number)) for number in range(4)]
    threads = [Thread(target=look, args=(one,)) for one in sweeps]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert errors == []
    assert world.newsroom.planned == ["2026-W48"]
    assert world.happened.count((Happening.SENT, "2026-W48")) == 1


def test_in_a_fold_the_issue_goes_out_the_first_time_only(world: World) -> None:
    slot = SlotTable(id="night", when="sun 01:30")
    world.clock.at("2026-10-31T12:00+00:00")
    sweep = world.sweep(slot, zone="America/New_York")
    sweep.look()
    world.newsroom.add("2026-W44")
    world.newsroom.add("2026-W43")
    world.clock.at("2026-11-01T05:28+00:00")
    for _ in range(90):
        sweep.look()
        world.clock.pass_(60)
    assert world.newsroom.planned == ["2026-W44"]
