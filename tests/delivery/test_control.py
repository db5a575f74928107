"""An issue steered from another process while it is sent: pause, resume, cancel, retry, watch."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from newsletter_bot.cli import app
from newsletter_bot.errors import NewsletterError
from tests.servers import delay_proxy
from tests.servers.outside import ISSUE, Newsletter, ended, explained, people, wait_for

READERS = 60
CONNECTIONS = 2
RATE = "20/s"
WRONG_STATE = 65

Running = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def far_away() -> Iterator[Callable[[int], int]]:
    """Put a server 30 ms away: `port = far_away(server.port)`."""
    started: list[subprocess.Popen[str]] = []

    def start(port: int) -> int:
        command = [sys.executable, delay_proxy.__file__, "--to", str(port), "--delay-ms", "30"]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout is not None
        return int(started[-1].stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def running(outside: Newsletter) -> Running:
    """Start to send, slowly enough to be steered, until the server has some messages."""

    def start(server: Any, port: int = 0, readers: int = READERS, rate: str = RATE) -> Any:
        outside.readers(*people(readers))
        outside.relay(port or server.port, connections=CONNECTIONS, rate=rate)
        run = outside.start()
        wait_for(lambda: server.filed() >= 5, run)
        return run

    return start


def command(outside: Newsletter, *words: str) -> Any:
    """Run a command beside the one that sends; returns its document."""
    result = CliRunner().invoke(app, ["-C", str(outside.folder), "--json", *words])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout) if result.stdout else None


def refused(outside: Newsletter, *words: str) -> NewsletterError:
    """Run a command that must not be obeyed; returns what its user is told."""
    result = CliRunner().invoke(app, ["-C", str(outside.folder), *words])
    assert isinstance(result.exception, NewsletterError), result.output
    return result.exception


# ── pause, resume, cancel ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("rate", [RATE, "unlimited"])
def test_a_pause_holds_from_the_next_message_of_each_connection_on(
    outside: Newsletter, smtp_server: Any, far_away: Any, running: Running, rate: str
) -> None:
    server = smtp_server()
    run = running(server, far_away(server.port), readers=200, rate=rate)
    assert command(outside, "pause", ISSUE)["state"] == "paused"
    arrived = server.filed()
    explained(ended(run), "the issue was paused", f"newsletter-bot resume {ISSUE}")
    assert server.filed() <= arrived + 2 * CONNECTIONS
    tally = outside.counted(server)
    assert (tally["sending"], tally["unknown"]) == (0, 0)
    assert tally["accepted"] == server.filed()


def test_a_paused_issue_is_not_sent_before_it_is_resumed_and_then_to_the_end(
    outside: Newsletter, smtp_server: Any, running: Running
) -> None:
    server = smtp_server()
    run = running(server)
    command(outside, "pause", ISSUE)
    assert ended(run).code == 75
    arrived = server.filed()
    explained(outside.send(), "is paused", f"newsletter-bot resume {ISSUE}")
    assert server.filed() == arrived
    assert command(outside, "resume", ISSUE)["state"] == "sending"
    assert outside.finish(server)["accepted"] == READERS


def test_a_cancelled_issue_is_settled_once_its_sender_has_ended(
    outside: Newsletter, smtp_server: Any, far_away: Any, running: Running
) -> None:
    server = smtp_server()
    run = running(server, far_away(server.port))
    assert command(outside, "cancel", ISSUE)["state"] == "cancelled"
    arrived = server.filed()
    ended(run)
    tally = outside.counted(server)
    assert (tally["state"], tally["balanced"], tally["unknown"]) == ("cancelled", True, 0)
    assert tally["accepted"] == server.filed() <= arrived + 2 * CONNECTIONS
    assert tally["skipped"] == READERS - tally["accepted"]
    assert "the issue was cancelled" in outside.reasons()
    assert outside.send().code == WRONG_STATE
    assert server.filed() == tally["accepted"]


def test_an_issue_that_nobody_sends_is_cancelled_at_once(
    outside: Newsletter, smtp_server: Any, running: Running
) -> None:
    server = smtp_server()
    run = running(server)
    run.terminate()
    ended(run)
    tally = command(outside, "cancel", ISSUE)
    assert (tally["balanced"], tally["skipped"]) == (True, READERS - server.filed())


def test_a_command_that_comes_too_late_or_too_early_says_how_the_issue_stands(
    outside: Newsletter, smtp_server: Any
) -> None:
    server = smtp_server()
    outside.readers(*people(3))
    outside.relay(server.port)
    for word in ("pause", "resume", "cancel"):
        error = refused(outside, word, ISSUE)
        assert (error.exit_code, error.message) == (
            WRONG_STATE,
            f"{ISSUE} has not been planned: nothing of it was sent.",
        )
    assert outside.send().code == 0
    done = {"pause": "paused", "resume": "resumed", "cancel": "cancelled"}
    for word, participle in done.items():
        error = refused(outside, word, ISSUE)
        assert (error.exit_code, error.message) == (
            WRONG_STATE,
            f"{ISSUE} is sent: it cannot be {participle}.",
        )
        assert error.next_step


# ── readers who leave while the issue is sent ────────────────────────────────────────────────


def test_a_reader_who_leaves_or_is_suppressed_while_the_issue_is_sent_gets_nothing(
    outside: Newsletter, smtp_server: Any, far_away: Any, running: Running
) -> None:
    server = smtp_server()
    run = running(server, far_away(server.port))  # all its readers were read ahead
    command(outside, "subscribers", "unsubscribe", f"r{READERS - 1}@example.com")
    command(outside, "subscribers", "suppress", f"r{READERS - 9}@example.com", "--reason", "asked")
    result = ended(run)
    assert result.code == 0, result.said
    tally = outside.counted(server)
    assert (tally["accepted"], tally["skipped"], tally["unknown"]) == (READERS - 2, 2, 0)
    told = outside.reasons()
    assert "no longer subscribed" in told
    assert "suppressed: asked" in told
    assert not {"r59@example.com", "r51@example.com"} & set(server.recipients())


def test_a_reader_who_leaves_costs_none_of_the_others_their_outcome(
    outside: Newsletter, smtp_server: Any, far_away: Any, running: Running
) -> None:
    server = smtp_server()
    run = running(server, far_away(server.port), readers=200, rate="unlimited")
    command(outside, "subscribers", "unsubscribe", "r199@example.com")
    result = ended(run)
    assert result.code == 0, result.said
    tally = outside.counted(server)
    assert (tally["accepted"], tally["skipped"], tally["unknown"]) == (199, 1, 0)


# ── refusals ─────────────────────────────────────────────────────────────────────────────────


def test_retry_sends_to_the_refused_alone_and_keeps_what_was_said_before(
    outside: Newsletter, smtp_server: Any
) -> None:
    server = smtp_server("rcpt@r1@example.com#1=550 5.1.1 nobody of that name, says the relay")
    outside.readers(*people(4))
    outside.relay(server.port)
    assert outside.send().code == 0
    assert outside.counted(server)["refused"] == 1
    assert command(outside, "retry", ISSUE, "--failed") == {"issue": ISSUE, "retried": 1}
    assert outside.status()["remaining"] == 1

    assert outside.finish(server)["accepted"] == 4
    said = command(outside, "status", ISSUE, "--search", "nobody of that name")["said"]
    assert [(one["address"], one["state"], one["reason"]) for one in said] == [
        ("r1@example.com", "refused", "550 5.1.1 nobody of that name, says the relay")
    ]
    assert command(outside, "retry", ISSUE, "--failed")["retried"] == 0


def test_everything_that_was_said_to_one_reader_is_found_by_their_address(
    outside: Newsletter, smtp_server: Any
) -> None:
    server = smtp_server(
        "rcpt@r1@example.com#1=450 4.2.0 busy", "dot@r1@example.com#1=554 5.6.0 no thanks"
    )
    outside.readers(*people(3))
    outside.relay(server.port)
    explained(outside.send(), "put off")
    outside.finish(server)
    command(outside, "retry", ISSUE, "--failed")
    outside.finish(server)
    said = command(outside, "status", ISSUE, "--search", "r1@example.com")["said"]
    assert [one["reason"] for one in said][::-1] == [
        "450 4.2.0 busy",
        "554 5.6.0 no thanks",
        "250 2.0.0 filed",
    ]


def test_a_server_that_refuses_us_pauses_the_issue_before_all_readers_are_burnt(
    outside: Newsletter, smtp_server: Any
) -> None:
    server = smtp_server("rcpt=550 5.7.26 unauthenticated mail is not accepted")
    outside.readers(*people(READERS))
    outside.relay(server.port, connections=CONNECTIONS)
    explained(outside.send(), "5.7.26", f"newsletter-bot resume {ISSUE}")
    tally = outside.counted(server)
    assert tally["state"] == "paused"
    assert 3 <= tally["refused"] <= 3 + 2 * CONNECTIONS  # and what was announced already
    assert re.search(r"paused:.*5\.7\.26", outside.reasons())
    explained(outside.send(), "is paused", "5.7.26", f"newsletter-bot resume {ISSUE}")
    assert outside.counted(server)["refused"] == tally["refused"]

    command(outside, "resume", ISSUE)
    command(outside, "retry", ISSUE, "--failed")
    assert outside.finish(smtp_server(folder=server.folder))["accepted"] == READERS


# ── watching ─────────────────────────────────────────────────────────────────────────────────


class Terminal:
    """`status --watch` in a terminal, and what stood on its screen."""

    def __init__(self, folder: Path) -> None:
        self._ours, theirs = pty.openpty()
        program = [sys.executable, "-m", "newsletter_bot", "-C", str(folder)]
        self._process = subprocess.Popen(
            [*program, "status", ISSUE, "--watch"], stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        self.screen = ""

    def read(self) -> bool:
        """Read on; False once the program has ended."""
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # what a terminal says whose other side is closed
            data = b""
        self.screen += data.decode(errors="replace")
        return bool(data)

    def rates(self) -> list[float]:
        found = re.findall(r"\d+ of \d+, ([\d.]+)/s, \d:\d\d:\d\d to go", self.screen)
        return [float(one) for one in found]

    def end(self) -> int:
        while self.read():
            pass
        os.close(self._ours)
        return self._process.wait()


def test_watching_shows_how_fast_it_goes_and_how_long_it_will_take_and_ends_with_it(
    outside: Newsletter, smtp_server: Any, running: Running
) -> None:
    server = smtp_server()
    run = running(server, readers=400, rate="8/s")
    terminal = Terminal(outside.folder)
    while not terminal.rates() and terminal.read():
        pass
    run.terminate()
    ended(run)
    outside.relay(server.port)
    assert outside.send().code == 0
    assert terminal.end() == 0
    assert 1 < terminal.rates()[0] < 30
    assert "the numbers add up" in terminal.screen


def test_what_is_stuck_is_counted_by_domain_and_age(outside: Newsletter, smtp_server: Any) -> None:
    server = smtp_server("rcpt@r1@example.com=450 4.2.0 busy", "rcpt@r2@example.com=450 4.2.0 busy")
    outside.readers(*people(4))
    outside.relay(server.port)
    explained(outside.send(), "put off")
    (stuck,) = outside.status()["stuck"]
    assert (stuck["domain"], stuck["total"], stuck["under_5_minutes"]) == ("example.com", 2, 2)
    assert re.search(r"domain +all +<5 .*\n *example\.com +2 +2 ", outside.reasons())
