"""Group commit: one thread makes the changes of many, and flushes the disk once for all of them.

SQLite has one writer at a time, and a durable commit waits for the disk. Each change runs within a
savepoint of its own, so that one's failure undoes only itself; nobody is told that a change was
made before the commit that holds it is on disk.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from newsletter_bot.storage.savepoints import within
from newsletter_bot.storage.weather import LostError, closing, crowded, is_weather, weather

Result = TypeVar("Result")
# Told in the writer's thread how a change ended: its result, or what is to be raised.
Told = Callable[[Any, BaseException | None], None]

_CLOSING = 15.0  # seconds for what was handed in before; a locked database takes 10
_PAUSE = 0.05  # seconds before another try, when the database would not begin


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait, how long, and how long one transaction may last."""

    room: int = 2000  # changes that wait
    patience: float = 10.0  # seconds that a caller waits for room and for its change to begin
    hold: float = 0.02  # seconds after which a transaction takes no further change
    gap: float = 0.002  # seconds between two commits, in which another writer may begin


@dataclass(slots=True, eq=False)
class Waiting:
    """A change that was handed in, and what became of it before its commit."""

    change: Callable[[Connection], Any]
    told: Told
    until: float  # when its caller gives up waiting (time.monotonic)
    result: Any = None
    error: BaseException | None = None
    _claim: list[None] = field(default_factory=lambda: [None])

    def claim(self) -> bool:
        """Begin it, or withdraw it: whoever of the two comes first is told True."""
        try:
            self._claim.pop()  # one step of the interpreter, so that it needs no lock
        except IndexError:
            return False
        return True

    def tell(self, failure: BaseException | None) -> None:
        """Tell its caller; `failure` is that of the whole transaction."""
        error = self.error or failure
        if error is None:
            self.told(self.result, None)
        elif isinstance(error, DBAPIError) and is_weather(error):
            self.told(None, weather(error))
        elif error is self.error:
            self.told(None, error)
        else:
            self.told(None, LostError(f"The database gave up: {error}."))


class GroupCommit:
    """Takes changes from any thread; its own is started with the first one."""

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self._engine = engine
        self._limits = limits
        self._waiting: deque[Waiting] = deque()
        lock = threading.Lock()
        self._bell = threading.Condition(lock)  # rung for the thread: there is something to do
        self._space = threading.Condition(lock)  # rung for callers: there is room
        self._thread: threading.Thread | None = None
        self._closed = False
        self._process = os.getpid()

    def run(self, change: Callable[[Connection], Result]) -> Result:
        """Make a change and return its result once it is on disk; raises TryAgainError."""
        ended = threading.Lock()
        ended.acquire()
        found: list[Any] = []

        def told(result: Any, error: BaseException | None) -> None:
            found.extend((result, error))
            ended.release()

        one = self._put(change, told, self._limits.patience)
        if not ended.acquire(timeout=max(0.0, one.until - time.monotonic())):
            if one.claim():
                raise crowded()
            ended.acquire()  # it has begun, and ends in a moment
        result, error = found
        if error is not None:
            raise error
        return cast("Result", result)

    def submit(self, change: Callable[[Connection], Any], told: Told) -> Waiting:
        """Hand in a change without waiting; raises TryAgainError when there is no room.

        Who claims what is returned before it has begun has withdrawn it: nobody is told then.
        """
        return self._put(change, told, 0)

    def close(self) -> None:
        """Make what was handed in, and end the thread; later changes raise TryAgainError."""
        with self._bell:
            self._closed = True
            self._bell.notify_all()
            self._space.notify_all()
        if self._thread is not None:
            self._thread.join(_CLOSING)

    # ── callers ──────────────────────────────────────────────────────────────────────────────

    def _put(self, change: Callable[[Connection], Any], told: Told, patience: float) -> Waiting:
        assert os.getpid() == self._process, "a writer is not shared with a forked process"
        one = Waiting(change, told, time.monotonic() + self._limits.patience)
        with self._bell:
            if len(self._waiting) >= self._limits.room:
                self._space.wait_for(self._may_enter, patience)
            if self._closed:
                raise closing()
            if not self._may_enter():
                raise crowded()
            self._waiting.append(one)
            self._start()
            self._bell.notify()
        return one

    def _may_enter(self) -> bool:
        return self._closed or len(self._waiting) < self._limits.room

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
            self._thread.start()

    # ── the thread ───────────────────────────────────────────────────────────────────────────

    def _work(self) -> None:
        while self._wait():
            well = self._commit_some()
            if self._waiting:
                time.sleep(self._limits.gap if well else _PAUSE)

    def _wait(self) -> bool:
        """Wait for a change; False when there will be none any more."""
        with self._bell:
            self._space.notify_all()
            self._bell.wait_for(lambda: self._waiting or self._closed)
            return bool(self._waiting)

    def _commit_some(self) -> bool:
        """Make what waits, in one transaction, and tell everybody how it ended; False for badly."""
        made: list[Waiting] = []
        failure: BaseException | None = None
        try:
            with self._engine.begin() as connection:
                self._make_some(connection, made)
        except BaseException as error:  # noqa: BLE001 - whatever it is, nobody may be left waiting
            failure = error
            self._give_up()
        for one in made:
            one.tell(failure)
        return failure is None

    def _make_some(self, connection: Connection, made: list[Waiting]) -> None:
        end = time.monotonic() + self._limits.hold
        while (one := self._take()) is not None:
            made.append(one)
            try:
                one.result = within(connection, one.change)
            except LostError as error:
                one.error = error
                raise
            except BaseException as error:  # noqa: BLE001 - it belongs to whom asked for it
                one.error = error
            if time.monotonic() > end:
                return

    def _take(self) -> Waiting | None:
        while self._waiting:
            one = self._waiting.popleft()
            if one.claim():
                return one
        return None

    def _give_up(self) -> None:
        """Tell those whose time is over; at the end of the program, everybody."""
        now = time.monotonic()
        while self._waiting and (self._closed or self._waiting[0].until <= now):
            one = self._waiting.popleft()
            if one.claim():
                one.told(None, crowded())
