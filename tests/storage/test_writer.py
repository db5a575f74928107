from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event, func, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from newsletter_bot.bot import Bot
from newsletter_bot.errors import TryAgainError
from newsletter_bot.storage.engine import open_engine, reading
from newsletter_bot.storage.group_commit import Limits
from newsletter_bot.storage.tables import challenges
from newsletter_bot.storage.writer import Writer


@pytest.fixture
def writer(engine: Engine) -> Iterator[Writer]:
    made = Writer(engine)
    yield made
    made.close()


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Engine]:
    opened = open_engine("sqlite:///embedded.db", tmp_path)
    yield opened
    opened.dispose()


def put(connection: Connection, key: str) -> str:
    connection.execute(challenges.insert().values(key=key, expires_at=1))
    return key


def putting(key: str) -> Callable[[Connection], str]:
    return lambda connection: put(connection, key)


def submitted(writer: Writer, change: Callable[[Connection], str]) -> Future[str]:
    future: Future[str] = Future()

    def told(result: str, error: BaseException | None) -> None:
        future.set_result(result) if error is None else future.set_exception(error)

    writer.submit(change, told)
    return future


def keys(engine: Engine) -> set[str]:
    with reading(engine) as connection:
        return set(connection.execute(select(challenges.c.key)).scalars())


def count(engine: Engine) -> int:
    return len(keys(engine))


# ── one change ───────────────────────────────────────────────────────────────────────────────


def test_a_change_is_there_once_it_returns(engine: Engine, writer: Writer) -> None:
    assert writer.run(putting("one")) == "one"
    assert count(engine) == 1


def test_what_a_change_raises_undoes_it(engine: Engine, writer: Writer) -> None:
    def broken(connection: Connection) -> None:
        put(connection, "one")
        raise LookupError

    with pytest.raises(LookupError):
        writer.run(broken)
    assert count(engine) == 0
    writer.run(putting("one"))
    assert count(engine) == 1


def test_a_time_out_that_a_change_raises_itself_is_raised(writer: Writer) -> None:
    def late(_connection: Connection) -> None:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        writer.run(late)


def test_a_statement_that_fails_spoils_nothing_else(engine: Engine, writer: Writer) -> None:
    writer.run(putting("one"))
    with pytest.raises(IntegrityError):
        writer.run(putting("one"))
    writer.run(putting("two"))
    assert keys(engine) == {"one", "two"}


# ── a change within a change ─────────────────────────────────────────────────────────────────


def test_a_change_within_a_change_is_undone_with_it(engine: Engine, writer: Writer) -> None:
    def outer(connection: Connection) -> None:
        put(connection, "outer")
        writer.run(putting("inner"))
        assert count(engine) == 0  # nobody else sees half of it
        raise LookupError

    with pytest.raises(LookupError):
        writer.run(outer)
    assert count(engine) == 0


def test_a_change_within_a_change_is_kept_with_it(engine: Engine, writer: Writer) -> None:
    def outer(connection: Connection) -> str:
        put(connection, "outer")
        return writer.run(putting("inner"))

    assert writer.run(outer) == "inner"
    assert count(engine) == 2


def test_a_change_that_minds_what_another_raised_is_kept_without_it(
    engine: Engine, writer: Writer
) -> None:
    def inner(connection: Connection) -> None:
        put(connection, "inner")
        put(connection, "inner")

    def outer(connection: Connection) -> str:
        put(connection, "before")
        with pytest.raises(IntegrityError):
            writer.run(inner)
        return put(connection, "after")

    assert writer.run(outer) == "after"
    assert keys(engine) == {"before", "after"}


# ── many at once ─────────────────────────────────────────────────────────────────────────────


def test_thousands_of_changes_at_once_are_whole_and_fail_alone(
    engine: Engine, writer: Writer
) -> None:
    def change(number: int) -> str:
        def both(connection: Connection) -> str:
            put(connection, f"{number}a")
            if number % 7 == 0:
                raise LookupError(number)
            return put(connection, f"{number}b")

        try:
            return writer.run(both)
        except LookupError as error:
            return f"failed {error.args[0]}"

    with ThreadPoolExecutor(100) as threads:
        results = list(threads.map(change, range(3000)))
    good = [number for number in range(3000) if number % 7]
    assert results == [f"{n}b" if n % 7 else f"failed {n}" for n in range(3000)]
    assert keys(engine) == {f"{n}{half}" for n in good for half in "ab"}


def test_two_thousand_threads_come_to_their_turn(engine: Engine) -> None:
    writer = Writer(engine, Limits(room=50, patience=120))  # most have to wait for room
    threads = 2000 if engine.dialect.name == "sqlite" else 15  # as many as the pool connects
    with ThreadPoolExecutor(threads) as everybody:
        done = list(everybody.map(lambda n: writer.run(putting(str(n))), range(threads)))
    writer.close()
    assert done == [str(number) for number in range(threads)]
    assert count(engine) == threads


def test_changes_that_wait_share_a_commit(embedded: Engine) -> None:
    commits: list[Connection] = []
    event.listen(embedded, "commit", commits.append)
    writer = Writer(embedded)
    with embedded.begin():  # nothing can be written meanwhile
        futures = [submitted(writer, putting(str(number))) for number in range(100)]
        time.sleep(0.05)
        assert not any(one.done() for one in futures)
    assert [one.result(60) for one in futures] == [str(number) for number in range(100)]
    writer.close()
    assert count(embedded) == 100
    assert len(commits) < 50  # the holder's, and a few of a hundred changes


def test_nobody_is_told_before_the_commit(embedded: Engine) -> None:
    told: list[bool] = []
    writer = Writer(embedded)
    in_commit, go_on = threading.Event(), threading.Event()

    @event.listens_for(embedded, "commit")
    def _wait(_connection: Connection) -> None:
        in_commit.set()
        go_on.wait(60)

    future = submitted(writer, putting("one"))
    assert in_commit.wait(60)
    told.append(future.done())
    go_on.set()
    future.result(60)
    writer.close()
    assert told == [False]


# ── bad weather ──────────────────────────────────────────────────────────────────────────────


def test_who_waits_too_long_is_refused_and_nothing_is_changed(embedded: Engine) -> None:
    writer = Writer(embedded, Limits(patience=0.1))
    with embedded.begin(), pytest.raises(TryAgainError):
        writer.run(putting("late"))
    writer.run(putting("in time"))
    writer.close()
    assert keys(embedded) == {"in time"}


def test_there_is_room_for_so_many_and_the_next_is_refused(embedded: Engine) -> None:
    writer = Writer(embedded, Limits(room=3, patience=0.1))
    with embedded.begin():
        futures = [submitted(writer, putting(str(number))) for number in range(3)]
        with pytest.raises(TryAgainError):
            submitted(writer, putting("one too many"))
        with pytest.raises(TryAgainError):
            writer.run(putting("one too many"))
    writer.close()
    made = {str(n) for n, one in enumerate(futures) if one.exception() is None}
    assert keys(embedded) == made


def test_a_commit_that_fails_is_told_to_all_that_were_in_it(embedded: Engine) -> None:
    writer = Writer(embedded)

    def fail(_connection: Connection) -> None:
        raise OperationalError("COMMIT", None, sqlite3.OperationalError("disk is full"))

    event.listen(embedded, "commit", fail)
    futures = [submitted(writer, putting(str(number))) for number in range(20)]
    assert all(isinstance(one.exception(60), TryAgainError) for one in futures)
    event.remove(embedded, "commit", fail)
    assert count(embedded) == 0
    assert writer.run(putting("one")) == "one"
    writer.close()


def test_a_full_disk_refuses_and_the_next_change_goes_well_again(embedded: Engine) -> None:
    writer = Writer(embedded)
    writer.run(putting("before"))

    def limit(connection: Connection, pages: int) -> None:
        connection.execute(text(f"PRAGMA max_page_count = {pages}"))

    def too_much(connection: Connection) -> None:
        limit(connection, 1)  # that is: as large as it is now
        for number in range(500):
            put(connection, f"{number}{'x' * 2000}")

    with pytest.raises(TryAgainError):
        writer.run(too_much)
    writer.run(lambda connection: limit(connection, 1_000_000))
    writer.run(putting("after"))
    writer.close()
    assert keys(embedded) == {"before", "after"}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_clash_is_tried_again(engine: Engine, writer: Writer) -> None:
    for key in ("left", "right"):
        writer.run(putting(key))
    barrier, attempts = threading.Barrier(2), []

    def cross(first: str, second: str) -> None:
        seen: list[int] = []

        def change(connection: Connection) -> None:
            attempts.append(first)
            add = challenges.update().values(expires_at=challenges.c.expires_at + 1)
            connection.execute(add.where(challenges.c.key == first))
            if not seen:
                seen.append(1)
                barrier.wait(30)
            connection.execute(add.where(challenges.c.key == second))

        writer.run(change)

    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(cross, "left", "right"), threads.submit(cross, "right", "left")]
        for one in both:
            one.result(60)
    assert len(attempts) > 2  # one of them was the victim of a deadlock
    with reading(engine) as connection:
        assert connection.execute(select(func.sum(challenges.c.expires_at))).scalar_one() == 6


# ── ends ─────────────────────────────────────────────────────────────────────────────────────


def test_a_closed_writer_makes_what_it_had_and_refuses_the_rest(embedded: Engine) -> None:
    writer = Writer(embedded)
    futures = [submitted(writer, putting(str(number))) for number in range(200)]
    writer.close()
    assert [one.result(0) for one in futures] == [str(number) for number in range(200)]
    with pytest.raises(TryAgainError):
        writer.run(putting("late"))
    assert count(embedded) == 200


def test_a_writer_closed_before_it_began_refuses(writer: Writer) -> None:
    writer.close()
    with pytest.raises(TryAgainError):
        writer.run(putting("late"))


def test_a_bot_that_is_closed_closes_its_writer(newsletter: Path) -> None:
    bot = Bot.open(newsletter)
    bot.writer.run(putting("one"))
    bot.close()
    with pytest.raises(TryAgainError):
        bot.writer.run(putting("two"))


def test_a_forked_process_is_kept_from_the_thread_it_does_not_have(embedded: Engine) -> None:
    writer = Writer(embedded)
    writer.run(putting("one"))
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.SimpleQueue[str] = context.SimpleQueue()

    def child() -> None:
        try:
            writer.run(putting("two"))
        except AssertionError as error:
            queue.put(str(error))

    process = context.Process(target=child)
    process.start()
    assert "forked" in queue.get()
    process.join()
    writer.close()


_ACKNOWLEDGING = """
import sys, threading
from pathlib import Path
from newsletter_bot.storage.engine import open_engine
from newsletter_bot.storage.tables import challenges
from newsletter_bot.storage.writer import Writer

writer = Writer(open_engine(sys.argv[1], Path(sys.argv[2])))
lock = threading.Lock()

def go(thread):
    for number in range(100000):
        key = f"{thread}-{number}"
        def both(connection):
            for half in "ab":
                values = {"key": key + half, "expires_at": 1}
                connection.execute(challenges.insert().values(values))
        writer.run(both)
        with lock:
            sys.stdout.write(key + "\\n")
            sys.stdout.flush()

for thread in range(12):
    threading.Thread(target=go, args=(thread,)).start()
"""


def test_what_was_acknowledged_outlives_a_kill_at_any_moment(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    for _ in range(3):
        command = [sys.executable, "-c", _ACKNOWLEDGING, database_url, str(tmp_path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        said = [process.stdout.readline().strip() for _ in range(200)]
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read()
        process.communicate()
        said += rest[: rest.rfind("\n") + 1].split()
        found = keys(engine)
        assert len(said) >= 200
        assert {f"{key}{half}" for key in said for half in "ab"} <= found
        # Those that were not acknowledged are there as a whole, or not at all.
        assert {one[:-1] for one in found if one[-1] == "a"} == {
            one[:-1] for one in found if one[-1] == "b"
        }
        with engine.begin() as connection:
            connection.execute(challenges.delete())
