"""Bad weather at home: a disk that is full and a database that somebody else holds, mid-run."""

from __future__ import annotations

import resource
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.servers.outside import Newsletter, ended, explained, people, wait_for

READERS = 60
CONNECTIONS = 2
# Python to run before the program: who waits ten seconds for a lock waits as well for less.
IMPATIENT = "import newsletter_bot.storage.engine as engine\nengine._LOCK_WAIT_MS = 200\n"
# Room for SQLite's index of its log, and for little else.
FULL = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (40_000, -1))\n"


def _paced(outside: Newsletter, server: Any) -> None:
    outside.readers(*people(READERS))
    outside.relay(server.port, connections=CONNECTIONS, rate="60/s")


@contextmanager
def _held(outside: Newsletter) -> Iterator[None]:
    other = sqlite3.connect(outside.folder / "newsletter.db", timeout=30, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def _finished(outside: Newsletter, server: Any) -> None:
    tally = outside.finish(server)
    assert tally["accepted"] + tally["unknown"] == READERS
    assert tally["unknown"] <= 2 * CONNECTIONS
    assert READERS - len(server.recipients()) <= tally["unknown"]


def test_a_disk_that_fills_up_while_we_send_stops_the_run_and_loses_nothing(
    outside: Newsletter, smtp_server: Any
) -> None:
    server = smtp_server()
    _paced(outside, server)
    run = outside.start()
    wait_for(lambda: server.filed() >= 10, run)
    # As if the disk were full: no file of that process grows any more.
    size = (outside.folder / "newsletter.db-wal").stat().st_size
    resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    explained(ended(run), "ledger", "disk")
    assert outside.counted(server)["remaining"] > 0
    _finished(outside, server)


def test_a_disk_that_is_full_before_we_begin_is_explained(
    outside: Newsletter, smtp_server: Any
) -> None:
    server = smtp_server()
    _paced(outside, server)
    result = outside.send(first=FULL)
    explained(result, "disk")
    assert server.filed() == 0
    _finished(outside, server)


def test_a_database_locked_for_a_while_holds_the_run_up_and_no_more(
    outside: Newsletter, smtp_server: Any
) -> None:
    server = smtp_server()
    _paced(outside, server)
    run = outside.start()
    wait_for(lambda: server.filed() >= 10, run)
    with _held(outside):
        time.sleep(3)
        assert run.poll() is None, "it did not wait"
        assert server.filed() < READERS, "it sent what it could not write down"
    result = ended(run)
    assert result.code == 0, result.said
    assert outside.counted(server)["accepted"] == READERS


def test_a_database_locked_for_ever_stops_the_run_and_loses_nothing(
    outside: Newsletter, smtp_server: Any
) -> None:
    server = smtp_server()
    _paced(outside, server)
    run = outside.start(first=IMPATIENT)
    wait_for(lambda: server.filed() >= 10, run)
    with _held(outside):
        result = ended(run)
    explained(result, "ledger", "locked")
    assert outside.counted(server)["remaining"] > 0
    _finished(outside, server)


def test_a_database_locked_before_we_begin_is_explained(
    outside: Newsletter, smtp_server: Any
) -> None:
    server = smtp_server()
    _paced(outside, server)
    with _held(outside):
        explained(outside.send(first=IMPATIENT), "locked")
    assert server.filed() == 0
    _finished(outside, server)
