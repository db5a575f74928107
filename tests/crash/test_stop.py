"""SIGTERM and Ctrl-C: messages in flight come to their end, and the program to its own."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import Any

import pytest

from tests.servers.outside import Ended, Newsletter, ended, explained, people, wait_for

READERS = 120
SOON = 10.0  # seconds
SLACK = 1.0  # for a busy machine to begin and end a process


def _stopped(run: subprocess.Popen[str], number: int) -> Ended:
    begun = time.monotonic()
    run.send_signal(number)
    result = ended(run)
    assert time.monotonic() - begun < SOON + SLACK
    return result


@pytest.mark.parametrize(
    ("number", "rate"),
    [(signal.SIGTERM, "60/s"), (signal.SIGINT, "60/s"), (signal.SIGTERM, "300/s")],
)
def test_a_run_told_to_stop_finishes_what_is_in_flight(
    outside: Newsletter, smtp_server: Any, number: int, rate: str
) -> None:
    server = smtp_server()
    outside.readers(*people(READERS))
    outside.relay(server.port, connections=3, rate=rate)
    run = outside.start()
    wait_for(lambda: server.filed() >= 10, run)
    explained(_stopped(run, number), "Stopped as asked")
    tally = outside.counted(server)
    assert (tally["sending"], tally["unknown"]) == (0, 0)
    assert 10 <= tally["accepted"] == server.filed() < READERS

    assert outside.finish(server, connections=3)["accepted"] == READERS


@pytest.mark.parametrize(
    ("number", "more"), [(signal.SIGTERM, []), (signal.SIGINT, ["quit#2=stall"])]
)
def test_a_run_told_to_stop_does_not_wait_for_a_server_that_says_nothing(
    outside: Newsletter, smtp_server: Any, number: int, more: list[str]
) -> None:
    server = smtp_server("after@r9@example.com#1=stall", *more)
    outside.readers(*people(READERS))
    outside.relay(server.port, connections=2, rate="60/s")
    run = outside.start()
    wait_for(lambda: server.filed() >= 15, run)
    explained(_stopped(run, number), "Stopped as asked")
    tally = outside.counted(server)
    assert (tally["sending"], tally["unknown"]) == (0, 1)

    tally = outside.finish(server)
    assert (tally["accepted"], tally["unknown"]) == (READERS - 1, 1)


def test_a_second_signal_ends_a_run_at_once(outside: Newsletter, smtp_server: Any) -> None:
    server = smtp_server("after@r9@example.com#1=stall")
    outside.readers(*people(READERS))
    outside.relay(server.port, connections=2, rate="60/s")
    run = outside.start()
    wait_for(lambda: server.filed() >= 15, run)
    run.terminate()
    time.sleep(0.5)  # two signals at once may be taken for one
    begun = time.monotonic()
    run.terminate()
    result = ended(run)
    assert result.code == 128 + signal.SIGTERM
    assert time.monotonic() - begun < SOON / 2
    tally = outside.finish(server)
    assert (tally["accepted"], tally["unknown"]) == (READERS - 1, 1)
