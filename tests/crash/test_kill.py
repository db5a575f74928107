"""A process killed while it sends: the next run finishes, and nobody gets two copies."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from tests.crash.aftermath import READERS, Prepare
from tests.servers.outside import ISSUE, Newsletter, explained, people, wait_for

_HELD = """
    SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
    WHERE locktype = 'advisory' AND granted AND datname = current_database()
"""
# The first time, in the middle, near the end: counted in each run anew.
THREE_TIMES = (1, 24, 6)


@pytest.mark.parametrize(
    ("step", "connections"),
    [
        ("before MAIL", 1),
        ("before DATA", 2),
        ("before the body", 3),
        ("in the middle of the body", 4),
        ("after the dot", 1),
        ("after the dot", 4),
        ("answer heard", 2),
    ],
)
def test_a_session_killed_again_and_again_doubles_nobody(
    prepare: Prepare, step: str, connections: int
) -> None:
    scene = prepare(connections=connections)
    for count in THREE_TIMES:
        scene.kill(step, count)
    scene.go_on()
    scene.proven()


@pytest.mark.parametrize(
    "step",
    [
        "claim written, not committed",
        "claim committed",
        "outcome written, not committed",
        "outcome committed",
    ],
)
def test_a_ledger_killed_again_and_again_doubles_nobody(
    prepare: Prepare, database_url: str, step: str
) -> None:
    scene = prepare(database=database_url, connections=3)
    for count in THREE_TIMES:
        scene.kill(step, count)
    scene.go_on()
    scene.proven()


@pytest.mark.parametrize(
    "step",
    [
        "plan written, not committed",
        "plan committed",
        "run named, no notes yet",
        "before QUIT",
        "before the end is written",
        "end written",
    ],
)
def test_a_kill_before_the_first_message_or_behind_the_last_leaves_nothing_unknown(
    prepare: Prepare, database_url: str, step: str
) -> None:
    scene = prepare(database=database_url)
    scene.kill(step)
    scene.go_on()
    assert scene.proven()["accepted"] == READERS


@pytest.mark.parametrize("step", ["before what a kill left is settled", "what a kill left settled"])
def test_a_kill_while_an_earlier_one_is_cleared_up_changes_nothing(
    prepare: Prepare, database_url: str, step: str
) -> None:
    scene = prepare(database=database_url)
    scene.kill("after the dot", READERS // 2)
    scene.kill(step)
    scene.go_on()
    scene.proven()


@pytest.mark.parametrize("step", ["before MAIL", "before the body", "claim committed"])
def test_a_message_killed_before_its_final_dot_is_owed_as_before(
    prepare: Prepare, step: str
) -> None:
    scene = prepare(connections=4)
    scene.kill(step)
    assert not scene.left or step == "claim committed"
    scene.go_on()
    scene.proven()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_postgresql_frees_the_lock_of_a_killed_process(prepare: Prepare, database_url: str) -> None:
    scene = prepare(database=database_url, rate="20/s")
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:

        def held() -> bool:
            return bool(connection.execute(text(_HELD)).scalar_one())

        run = scene.send()
        run.caught(held)
        run.kill(signal.SIGKILL)
        wait_for(lambda: not held())
    engine.dispose()
    scene.go_on()
    scene.proven()


def test_a_second_process_waits_for_nobody_neither_a_live_one_nor_a_dead_one(
    outside: Newsletter, smtp_server: Any
) -> None:
    server = smtp_server()
    outside.readers(*people(READERS))
    outside.relay(server.port, connections=2, rate="8/s")
    run = outside.start()
    wait_for(lambda: server.filed() >= 5, run)
    explained(outside.send(), f"Another process is sending {ISSUE}", "status")
    assert run.poll() is None, "it was still sending"
    run.kill()
    outside.relay(server.port, connections=2)
    result = outside.send()  # while what was killed may still be in the table of processes
    assert result.code == 0, result.said
    tally = outside.counted(server)
    assert tally["balanced"]
    assert tally["unknown"] <= 4
    assert READERS - len(server.recipients()) <= tally["unknown"]


def test_a_message_killed_in_the_middle_of_its_body_is_owed_as_before(prepare: Prepare) -> None:
    scene = prepare(connections=1)
    scene.kill("in the middle of the body")
    scene.go_on()
    assert scene.proven()["accepted"] == READERS
