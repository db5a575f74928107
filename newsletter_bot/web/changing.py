"""A change made for a request: without a thread of its own, where changes share commits anyway."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from fastapi.concurrency import run_in_threadpool

from newsletter_bot.storage.weather import crowded
from newsletter_bot.storage.writer import Change, Writer

Result = TypeVar("Result")

PATIENCE = 10.0  # seconds for a change's turn to come


async def make(writer: Writer, change: Change[Result], patience: float = PATIENCE) -> Result:
    """Make a change and return its result once it is on disk; raises what Writer.run raises."""
    if not writer.shares:
        return await run_in_threadpool(writer.run, change)
    future = writer.submit(change)
    waiting = asyncio.wrap_future(future)
    withdrawn: list[bool] = []

    def withdraw() -> None:
        # Not one that has begun: it will be done in a moment, and must not be denied.
        withdrawn.append(future.cancel())

    timer = asyncio.get_running_loop().call_later(patience, withdraw)
    try:
        return await waiting
    except asyncio.CancelledError:
        if withdrawn and withdrawn[0]:
            raise crowded() from None
        raise
    finally:
        timer.cancel()
