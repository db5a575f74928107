"""Bad weather: a clock that jumps, and two processes with the same errand."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.servers.outside import (
    TRY_AGAIN,
    Newsletter,
    ended,
    explained,
    people,
    wait_for,
)

READERS = 30


def _jumping(flag: Path, seconds: int) -> str:
    """Python to run before the program: its clock jumps when the file `flag` appears."""
    return (
        "import os, time\n"
        "real = time.time\n"
        f"time.time = lambda: real() + ({seconds} if os.path.exists({str(flag)!r}) else 0)\n"
    )


@pytest.mark.parametrize("seconds", [3600, -3600], ids=["forward", "back"])
def test_a_clock_that_jumps_an_hour_while_we_send_changes_nothing(
    outside: Newsletter, smtp_server: Any, tmp_path: Path, seconds: int
) -> None:
    server = smtp_server()
    outside.readers(*people(READERS))
    outside.relay(server.port, connections=2, rate="60/s")
    run = outside.start(first=_jumping(tmp_path / "jump", seconds))
    wait_for(lambda: server.filed() >= 5, run)
    (tmp_path / "jump").touch()
    result = ended(run)
    assert result.code == 0, result.said
    assert outside.counted(server)["accepted"] == READERS


@pytest.mark.parametrize("seconds", [3600, -3600], ids=["forward", "back"])
def test_readers_put_off_before_the_clock_jumps_are_not_lost(
    outside: Newsletter, smtp_server: Any, tmp_path: Path, seconds: int
) -> None:
    faults = [f"rcpt@{name}@example.com#1=450 4.7.1 later" for name in people(3)]
    server = smtp_server(*faults)
    outside.readers(*people(READERS))
    outside.relay(server.port, connections=2, rate="60/s")
    run = outside.start(first=_jumping(tmp_path / "jump", seconds))
    wait_for(lambda: server.filed() >= 5, run)
    (tmp_path / "jump").touch()
    result = ended(run)
    if seconds < 0:
        explained(result, "3 were put off")  # for a jump ahead their time has come already
    else:
        assert result.code in (0, TRY_AGAIN), result.said
    assert outside.counted(server)["accepted"] >= READERS - 3
    assert outside.finish(server)["accepted"] == READERS


@pytest.mark.parametrize("seconds", [3600, -3600], ids=["forward", "back"])
def test_a_run_that_waits_does_not_wait_an_hour_longer_for_a_clock_that_jumps(
    outside: Newsletter, smtp_server: Any, tmp_path: Path, seconds: int
) -> None:
    server = smtp_server("rcpt@r1@example.com#1=450 4.7.1 later")
    outside.readers(*people(READERS))
    outside.relay(server.port, rate="60/s", retry_after="2s")
    run = outside.start("--wait", first=_jumping(tmp_path / "jump", seconds))
    wait_for(lambda: server.filed() >= 5, run)
    (tmp_path / "jump").touch()
    begun = time.monotonic()
    result = ended(run)
    assert time.monotonic() - begun < 50
    assert result.code == 0, result.said
    assert outside.counted(server)["accepted"] == READERS


def test_of_two_sends_started_together_one_works_and_the_other_says_so(
    outside: Newsletter, smtp_server: Any
) -> None:
    server = smtp_server()
    outside.readers(*people(READERS))
    outside.relay(server.port, connections=2, rate="2/s")  # slow: the other one comes in time
    runs = [outside.start(), outside.start()]
    wait_for(lambda: any(run.poll() is not None for run in runs))
    loser, winner = sorted(runs, key=lambda run: run.poll() is None)
    explained(ended(loser), "Another process is sending 2026-W01")
    assert winner.poll() is None, "neither works"
    wait_for(lambda: server.filed() >= 1, winner)
    winner.terminate()  # the rest need not be slow
    explained(ended(winner), "Stopped as asked")
    assert outside.finish(server)["accepted"] == READERS
