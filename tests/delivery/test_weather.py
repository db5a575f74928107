"""Bad weather, phase by phase: a server that refuses, puts off or breaks off."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.servers.certificates import Authority
from tests.servers.outside import Newsletter, explained, people, trusting

GREETING = ["connect", "ehlo", "starttls", "auth", "mail"]  # a failure here is the relay's
FINAL = ["dot", "after"]  # a drop here leaves an outcome that nobody knows

Stormy = Callable[..., Any]


@pytest.fixture
def stormy(outside: Newsletter, smtp_server: Any, tmp_path: Path) -> Stormy:
    """Start a server that fails in one phase, six readers' relay; with TLS where that needs it."""

    def start(phase: str, *faults: str, **settings: Any) -> Any:
        more: list[str | Path] = []
        if phase in ("starttls", "auth"):
            authority = Authority(tmp_path / "authority")
            outside.environment.update(trusting(authority.file))
            more = [*authority.identity().words(), "--auth", "news:secret"]
            login = {"tls": "starttls", "username": "news", "password": "secret"}
            settings = {**login, **settings}
        server = smtp_server(*faults, more=more)
        outside.readers(*people(6))
        outside.relay(server.port, **settings)
        return server

    return start


@pytest.mark.parametrize("phase", [*GREETING, "quit"])
def test_a_relay_that_is_busy_for_a_moment_is_asked_again(
    outside: Newsletter, stormy: Stormy, phase: str
) -> None:
    server = stormy(phase, f"{phase}#1=451 4.3.0 busy for a moment")
    result = outside.send()
    assert result.code == 0, result.said
    assert outside.counted(server)["accepted"] == 6


@pytest.mark.parametrize("place", ["connect#1", "ehlo", "starttls#1", "auth", "mail#1"])
def test_a_relay_that_refuses_us_ends_the_run_at_once_in_its_own_words(
    outside: Newsletter, stormy: Stormy, smtp_server: Any, place: str
) -> None:
    # EHLO may be followed by HELO and a login by another mechanism; elsewhere one "no" is enough.
    server = stormy(place.partition("#")[0], f"{place}=554 5.7.1 not from you")
    explained(outside.send(), "554 5.7.1 not from you", "6 of 6 are still owed")
    assert outside.counted(server)["remaining"] == 6
    assert server.filed() == 0
    assert outside.finish(smtp_server(folder=server.folder))["accepted"] == 6


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("connect=421 4.3.2 closed", "421 4.3.2 closed"),
        ("ehlo=drop", ""),
        ("mail=451 no", "451 no"),
    ],
)
def test_a_relay_that_stays_away_ends_the_run_and_the_next_one_goes_on(
    outside: Newsletter, stormy: Stormy, smtp_server: Any, fault: str, cause: str
) -> None:
    server = stormy("", fault)
    explained(outside.send(), cause, "6 of 6 are still owed")
    assert outside.counted(server)["remaining"] == 6
    assert outside.finish(smtp_server(folder=server.folder))["accepted"] == 6


@pytest.mark.parametrize("phase", ["rcpt", "data", "dot"])
def test_a_reader_who_is_put_off_is_tried_again_and_one_who_is_refused_is_not(
    outside: Newsletter, stormy: Stormy, phase: str
) -> None:
    server = stormy(
        phase,
        f"{phase}@r1@example.com#1=450 4.2.0 mailbox is busy",
        f"{phase}@r2@example.com=550 5.1.1 nobody of that name",
    )
    result = outside.send()
    explained(result, "450 4.2.0 mailbox is busy")
    assert re.search(r"from \d\d:\d\d", result.said), result.said
    tally = outside.counted(server)
    assert (tally["accepted"], tally["deferred"], tally["refused"]) == (4, 1, 1)
    assert "550 5.1.1 nobody of that name" in outside.reasons()

    tally = outside.finish(server)
    assert (tally["accepted"], tally["refused"]) == (5, 1)
    assert set(server.recipients()) == {f"r{n}@example.com" for n in (0, 1, 3, 4, 5)}


@pytest.mark.parametrize("reply", ["451 4.3.0 virus scanner fell over", "554 5.6.0 no thanks"])
def test_a_server_that_answers_in_the_middle_of_a_message_and_hangs_up_loses_nobody(
    outside: Newsletter, stormy: Stormy, reply: str
) -> None:
    server = stormy("body", f"body@r2@example.com#1={reply}")
    outside.send()
    outside.counted(server)
    tally = outside.finish(server)
    # Its answer may be lost with the connection, when we were still talking.
    assert tally["accepted"] >= 5
    assert tally["refused"] <= reply.startswith("5")


@pytest.mark.parametrize("phase", [*GREETING, "rcpt", "data", "quit"])
def test_a_connection_lost_before_the_final_dot_loses_nothing(
    outside: Newsletter, stormy: Stormy, phase: str
) -> None:
    server = stormy(phase, f"{phase}#1=drop")
    result = outside.send()
    assert result.code == 0, result.said
    assert outside.counted(server)["accepted"] == 6


def test_a_connection_lost_in_the_middle_of_a_message_loses_nothing(
    outside: Newsletter, stormy: Stormy
) -> None:
    server = stormy("body", "body@r2@example.com#1=drop")
    result = outside.send()
    assert result.code == 0, result.said
    tally = outside.counted(server)
    # A small message is in the network with its dot before anybody can know.
    assert tally["accepted"] + tally["unknown"] == 6
    assert tally["unknown"] <= 1


@pytest.mark.parametrize("phase", FINAL)
def test_a_connection_lost_after_the_final_dot_is_unknown_and_never_sent_again_silently(
    outside: Newsletter, stormy: Stormy, phase: str
) -> None:
    server = stormy(phase, f"{phase}@r2@example.com#1=drop")
    result = outside.send()
    assert result.code == 0, result.said
    assert "resolve 2026-W01 --unknown" in result.said
    tally = outside.finish(server)
    assert (tally["accepted"], tally["unknown"]) == (5, 1)
    assert server.recipients()["r2@example.com"] == (phase == "after")


def test_a_server_that_never_confirms_a_message_gets_none_of_them_twice(
    outside: Newsletter, stormy: Stormy
) -> None:
    server = stormy("after", "after=drop")
    outside.send()
    tally = outside.counted(server)
    assert tally["accepted"] == 0
    assert tally["unknown"] == server.filed()
