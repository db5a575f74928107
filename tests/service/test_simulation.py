from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from newsletter_bot.schedule.model import OccurrenceState
from newsletter_bot.service.simulation import Report, Simulation, counting_server
from newsletter_bot.service.story import Editor, Machine
from newsletter_bot.settings import load
from newsletter_bot.settings.tables import SlotTable
from tests.crosspost.conftest import options
from tests.servers.channel_server import ChannelServer

# Both changes of the clocks in New York lie within the year, Beirut's first within nine weeks.
START = int(datetime(2026, 2, 27, tzinfo=UTC).timestamp())


def simulated(
    newsletter: Path,
    zone: str,
    when: str,
    weeks: int,
    seed: int,
    channels: Mapping[str, Mapping[str, Any]] | None = None,
) -> Report:
    settings = load(newsletter)
    settings = settings.model_copy(
        update={
            "newsletter": settings.newsletter.model_copy(update={"timezone": zone}),
            "slots": (SlotTable(id="weekly", when=when),),
        }
    )
    arrived: Counter[tuple[str, str]] = Counter()
    with counting_server(arrived) as port:
        place = newsletter.parent / "simulated"
        simulation = Simulation(
            settings, place, port, arrived, weeks, START, seed, channels=channels or {}
        )
        return simulation.run()


@pytest.fixture
def failing() -> Iterator[ChannelServer]:
    """Services that refuse, put off, break down and lose their replies."""
    server = ChannelServer()
    chance = random.Random(3)
    faults = ["", "", "", "lost", "429", "429 bare", "500", "503", "401", "refused"]
    server.faults.extend(chance.choices(faults, k=1000))
    server.start()
    yield server
    server.stop()


def test_in_a_year_every_occurrence_is_sent_once_or_has_a_reason(
    newsletter: Path, failing: ChannelServer
) -> None:
    report = weeks_of(newsletter, "America/New_York", "sun 02:30", 52, failing)
    states = Counter(one.state for one in report.outcomes)
    assert states[OccurrenceState.SENT] > 26
    assert states[OccurrenceState.MISSED] > 2
    assert report.kills > 10
    assert {one.week.machine for one in report.outcomes} == set(Machine)
    assert {one.week.editor for one in report.outcomes} >= {Editor.PUNCTUAL, Editor.NOTHING}
    assert len(failing.posts) > 30


def test_where_the_clock_skips_midnight_no_week_is_left_out(
    newsletter: Path, failing: ChannelServer
) -> None:
    report = weeks_of(newsletter, "Asia/Beirut", "sun 00:15", 9, failing)
    assert {one.state for one in report.outcomes} >= {OccurrenceState.SENT}


def weeks_of(newsletter: Path, zone: str, when: str, weeks: int, failing: ChannelServer) -> Report:
    tables = {one: options(one, failing.url) for one in ("mastodon", "webhook", "bluesky")}
    report = simulated(newsletter, zone, when, weeks=weeks, seed=7, channels=tables)
    assert report.broken == ()
    assert len(report.outcomes) == weeks
    texts = Counter((*sorted(one["body"]), one["text"]) for one in failing.posts)
    assert [text for text, count in texts.items() if count > 1] == []
    return report


def test_the_command_tells_what_became_of_the_operators_own_slots(newsletter: Path) -> None:
    toml = newsletter / "newsletter.toml"
    toml.write_text(toml.read_text() + '\n[[slots]]\nid = "weekly"\nwhen = "sun 08:00"\n')
    command = [sys.executable, "-m", "newsletter_bot", "-C", str(newsletter), "--json", "simulate"]
    done = subprocess.run(
        [*command, "--weeks", "3"], capture_output=True, text=True, check=True, timeout=300
    )
    told = json.loads(done.stdout)
    assert told["broken"] == []
    assert len(told["occurrences"]) == 3
    assert not (newsletter / "newsletter.db").exists() or not list(newsletter.glob("site/*"))


def test_without_slots_there_is_nothing_to_rehearse(newsletter: Path) -> None:
    command = [sys.executable, "-m", "newsletter_bot", "-C", str(newsletter), "simulate"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 2
    assert "There are no slots" in done.stderr
