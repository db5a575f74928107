"""Bad weather: servers that stop answering, freeze or die, and what is on the wire then."""

from __future__ import annotations

import re
import signal
import smtplib
from typing import Any

import pytest

from tests.servers.outside import Newsletter, ended, explained, people, wait_for

QUICK = {"timeout": "1s", "data_timeout": "1s"}
SILENCE = "no answer|in time|timed out"
READERS = 40
CONNECTIONS = 2


@pytest.mark.parametrize("phase", ["connect", "ehlo", "mail", "rcpt", "data", "quit"])
def test_a_server_that_stalls_before_the_final_dot_loses_nothing(
    outside: Newsletter, smtp_server: Any, phase: str
) -> None:
    server = smtp_server(f"{phase}#1=stall")
    outside.readers(*people(4))
    # Were one wait taken for the other, this test would last ten minutes.
    outside.relay(server.port, timeout="1s")
    result = outside.send()
    assert result.code == 0, result.said
    assert outside.counted(server)["accepted"] == 4


@pytest.mark.parametrize("phase", ["body", "dot", "after"])
def test_a_server_that_stalls_after_the_final_dot_leaves_one_unknown(
    outside: Newsletter, smtp_server: Any, phase: str
) -> None:
    server = smtp_server(f"{phase}@r1@example.com#1=stall")
    outside.readers(*people(4))
    outside.relay(server.port, **QUICK)
    result = outside.send()
    assert result.code == 0, result.said
    assert "resolve 2026-W01 --unknown" in result.said
    tally = outside.finish(server, **QUICK)
    assert (tally["accepted"], tally["unknown"]) == (3, 1)
    assert server.recipients()["r1@example.com"] == (phase == "after")


def _caught_in_the_middle(outside: Newsletter, server: Any, **settings: Any) -> Any:
    outside.readers(*people(READERS))
    outside.relay(server.port, connections=CONNECTIONS, rate="60/s", **settings)
    run = outside.start()
    wait_for(lambda: server.filed() >= 10, run)
    return run


def test_a_server_that_freezes_while_we_send_and_wakes_up_later_doubles_nothing(
    outside: Newsletter, smtp_server: Any
) -> None:
    server = smtp_server()
    run = _caught_in_the_middle(outside, server, **QUICK)
    server.process.send_signal(signal.SIGSTOP)  # its kernel still takes what we say
    result = ended(run)
    server.process.send_signal(signal.SIGCONT)
    explained(result, "are still owed")
    assert re.search(SILENCE, result.said), result.said
    with smtplib.SMTP("127.0.0.1", server.port) as client:
        client.noop()  # answered after what had been waiting for it

    tally = outside.finish(server)
    assert tally["accepted"] + tally["unknown"] == READERS
    assert tally["unknown"] <= 2 * CONNECTIONS
    assert READERS - len(server.recipients()) <= tally["unknown"]


def test_a_server_that_is_killed_while_we_send_loses_nothing(
    outside: Newsletter, smtp_server: Any
) -> None:
    server = smtp_server()
    run = _caught_in_the_middle(outside, server)
    server.process.kill()
    explained(ended(run), "are still owed")

    tally = outside.finish(smtp_server(folder=server.folder))
    assert tally["accepted"] + tally["unknown"] == READERS
    assert tally["unknown"] <= 2 * CONNECTIONS
    assert READERS - len(server.recipients()) <= tally["unknown"]
