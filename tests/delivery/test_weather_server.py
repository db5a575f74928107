"""Bad weather: servers with limits, greylists and few abilities, and deadlines that pass."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from tests.servers.outside import AN_HOUR_LATER, Newsletter, explained, people


def test_a_server_that_closes_after_every_ten_messages_gets_them_all_in_one_run(
    outside: Newsletter, smtp_server: Any
) -> None:
    server = smtp_server(more=["--messages-per-connection", "10"])
    outside.readers(*people(45))
    outside.relay(server.port, connections=2)
    result = outside.send()
    assert result.code == 0, result.said
    assert outside.counted(server)["accepted"] == 45


def test_a_greylisted_reader_is_delivered_by_a_later_run(
    outside: Newsletter, smtp_server: Any
) -> None:
    server = smtp_server(more=["--greylist", "0.5"])
    outside.readers(*people(5))
    outside.relay(server.port)
    result = outside.send()
    explained(result, "450 4.7.1 greylisted", "5 were put off")
    assert re.search(r"from \d\d:\d\d", result.said), result.said
    assert outside.counted(server)["deferred"] == 5
    time.sleep(0.5)
    assert outside.finish(server)["accepted"] == 5


def test_nobody_is_tried_again_before_their_time(outside: Newsletter, smtp_server: Any) -> None:
    server = smtp_server("rcpt#3=450 4.7.1 later")
    outside.readers(*people(3))
    outside.relay(server.port)
    explained(outside.send())
    explained(outside.send())  # the server is well by now, but was not asked
    assert server.filed() == 0
    assert outside.finish(server)["accepted"] == 3


def test_a_run_that_waits_delivers_greylisted_readers_itself(
    outside: Newsletter, smtp_server: Any
) -> None:
    server = smtp_server(more=["--greylist", "0.5"])
    outside.readers(*people(5))
    outside.relay(server.port, retry_after="1s")
    result = outside.send("--wait")
    assert result.code == 0, result.said
    assert outside.counted(server)["accepted"] == 5


def test_a_run_after_the_time_it_was_told_delivers(outside: Newsletter, smtp_server: Any) -> None:
    server = smtp_server(more=["--greylist", "0.5"])
    outside.readers(*people(5))
    outside.relay(server.port, retry_after="1s")
    explained(outside.send(), "5 were put off")
    time.sleep(2)
    result = outside.send()
    assert result.code == 0, result.said
    assert outside.counted(server)["accepted"] == 5


@pytest.mark.parametrize("phase", ["rcpt", "dot"])
def test_a_reader_who_is_put_off_until_the_deadline_expires(
    outside: Newsletter, smtp_server: Any, phase: str
) -> None:
    server = smtp_server(f"{phase}@r1@example.com=450 4.2.2 mailbox full")
    outside.readers(*people(3))
    outside.relay(server.port, deadline="20m")
    explained(outside.send(), "450 4.2.2 mailbox full")
    result = outside.send(first=AN_HOUR_LATER)
    assert result.code == 0, result.said
    tally = outside.counted(server)
    assert (tally["accepted"], tally["expired"], tally["balanced"]) == (2, 1, True)
    assert "450 4.2.2 mailbox full" in outside.reasons()


def test_a_run_that_waits_ends_at_the_deadline(outside: Newsletter, smtp_server: Any) -> None:
    server = smtp_server("rcpt@r1@example.com=450 4.2.2 mailbox full")
    outside.readers(*people(3))
    outside.relay(server.port, deadline="2s", retry_after="1s")
    result = outside.send("--wait")
    assert result.code == 0, result.said
    tally = outside.counted(server)
    assert (tally["accepted"], tally["expired"], tally["balanced"]) == (2, 1, True)


@pytest.mark.parametrize(
    ("pipelining", "eight_bits", "utf8"),
    [(False, True, True), (True, True, False), (True, False, False), (False, False, False)],
)
def test_a_server_of_few_abilities_gets_what_it_can_take(
    outside: Newsletter, smtp_server: Any, *, pipelining: bool, eight_bits: bool, utf8: bool
) -> None:
    more = [] if eight_bits else ["--no-8bitmime"]
    server = smtp_server(pipelining=pipelining, smtputf8=utf8, more=more)
    outside.readers(*people(4), "jürgen")
    outside.relay(server.port, connections=2)
    result = outside.send()
    assert result.code == 0, result.said
    tally = outside.counted(server)
    assert (tally["accepted"], tally["refused"]) == ((5, 0) if utf8 else (4, 1))
    assert utf8 or "SMTPUTF8" in outside.reasons()


def test_a_message_larger_than_the_server_takes_is_refused_here(
    outside: Newsletter, smtp_server: Any
) -> None:
    server = smtp_server("mail=554 we should not have asked", more=["--size", "2000"])
    outside.readers(*people(3))
    outside.relay(server.port)
    result = outside.send()
    assert result.code == 0, result.said
    tally = outside.counted(server)
    assert (tally["refused"], tally["balanced"]) == (3, True)
    assert re.search(r"SIZE.* 2,?000", outside.reasons()), outside.reasons()
    assert "SIZE" in result.said, "nobody was told"
