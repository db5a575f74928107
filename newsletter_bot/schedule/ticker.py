"""Rings duties again and again: APScheduler as a doorbell, never as the truth.

Jobs live in memory and are made anew at each start. What is due stands in the database: a ring too
many finds nothing to do, and a ring that was lost is made up for by the next one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler

_THREADS = 8
_GUARD = 5.0  # seconds between two looks at the clock
_JUMP = 30.0  # seconds that the clock may be set without anybody minding


class Ticker:
    """Calls duties at intervals, each in a thread and never twice at a time."""

    def __init__(self, failed: Callable[[str, Exception], None]) -> None:
        """`failed` hears of a duty that raised; it is called again all the same."""
        self._failed = failed
        self._scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(_THREADS)},
            # Its own defaults drop a job that is a second late (documentation of 3.11).
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
            timezone=UTC,
        )
        self._ended = threading.Event()
        self._idle = threading.Condition()
        self._under_way: set[str] = set()
        self._again: set[str] = set()  # rung while under way: what it was rung for may be new
        self._guard = threading.Thread(target=self._watch_clock, name="clock", daemon=True)

    def every(self, seconds: float, name: str, duty: Callable[[], None]) -> None:
        """Call a duty at the start and then every so many seconds."""

        def run() -> None:
            again = True
            while again:
                with self._idle:
                    self._under_way.add(name)
                    self._again.discard(name)
                try:
                    duty()
                except Exception as error:  # noqa: BLE001 - a duty's failure must not end the others
                    self._failed(name, error)
                finally:
                    with self._idle:
                        self._under_way.discard(name)
                        again = name in self._again and not self._ended.is_set()
                        self._idle.notify_all()

        self._scheduler.add_job(
            run, "interval", seconds=seconds, id=name, next_run_time=datetime.now(UTC)
        )

    def ring(self, name: str, at: float | None = None) -> None:
        """Call a duty at once, or at an instant that comes before its next turn.

        One that is under way is called again as soon as it is done.
        """
        with self._idle:
            if at is None and name in self._under_way:
                self._again.add(name)
                return
        when = datetime.now(UTC) if at is None else datetime.fromtimestamp(at, UTC)
        try:
            job = self._scheduler.get_job(name)
            if job is not None and job.next_run_time is not None and when < job.next_run_time:
                job.modify(next_run_time=when)
        except JobLookupError:
            return  # it was removed meanwhile

    def start(self) -> None:
        """Begin to ring."""
        self._scheduler.start()
        self._guard.start()

    def stop(self) -> None:
        """Ring no more; a duty that is under way goes on."""
        self._ended.set()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def wait(self, seconds: float) -> bool:
        """Wait for duties that are under way; False when some still are."""
        with self._idle:
            return self._idle.wait_for(lambda: not self._under_way, max(0.0, seconds))

    def _watch_clock(self) -> None:
        """Ring all duties when the clock was set: the library would sleep until it caught up."""
        offset = time.time() - time.monotonic()
        while not self._ended.wait(_GUARD):
            now = time.time() - time.monotonic()
            if abs(now - offset) > _JUMP:
                for job in self._scheduler.get_jobs():
                    job.modify(next_run_time=datetime.now(UTC))
            offset = now
