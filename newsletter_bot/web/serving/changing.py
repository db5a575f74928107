"""A change made for a request: without a thread of its own, where changes share commits anyway."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, TypeVar

from fastapi.concurrency import run_in_threadpool

from newsletter_bot.storage.weather import crowded
from newsletter_bot.storage.writer import Change, Writer

Result = TypeVar("Result")
_Ended = tuple[asyncio.Future[Any], Any, BaseException | None]

PATIENCE = 10.0  # seconds for a change's turn to come


class Changes:
    """Makes changes for the requests of one server."""

    def __init__(self, writer: Writer, patience: float = PATIENCE) -> None:
        self._writer = writer
        self._patience = patience
        self._ended: deque[_Ended] = deque()

    async def make(self, change: Change[Result]) -> Result:
        """Make a change and return its result once it is on disk; raises what Writer.run raises."""
        if not self._writer.shares:
            return await run_in_threadpool(self._writer.run, change)
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[Result] = loop.create_future()

        def told(result: Any, error: BaseException | None) -> None:
            # Those that a commit held together are told together: waking the loop costs more than
            # telling it. Whoever finds the queue empty wakes it.
            self._ended.append((waiting, result, error))
            if len(self._ended) == 1:
                loop.call_soon_threadsafe(self._tell)

        one = self._writer.submit(change, told)

        def withdraw() -> None:
            # Not one that has begun: it will be done in a moment, and must not be denied.
            if one.claim() and not waiting.done():
                waiting.set_exception(crowded())

        timer = loop.call_later(self._patience, withdraw)
        try:
            return await waiting
        finally:
            timer.cancel()

    def _tell(self) -> None:
        while self._ended:
            waiting, result, error = self._ended.popleft()
            if waiting.done():
                continue
            if error is None:
                waiting.set_result(result)
            else:
                waiting.set_exception(error)
