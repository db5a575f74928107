"""What many requests want kept, handed to the database together: one change for all that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from newsletter_bot.errors import TryAgainError
from newsletter_bot.feedback.events.intake import Intake, Kept
from newsletter_bot.storage.weather import crowded
from newsletter_bot.web.serving.changing import Changes

_MOST = 200  # of one change: others wait for it
_WAITING = 2000


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    one: Kept
    told: asyncio.Future[bool]


class Gathering:
    """Keeps what comes in; used by the server's thread alone.

    While one change is being made, what comes meanwhile waits for the next.
    """

    def __init__(self, intake: Intake, changes: Changes) -> None:
        self._intake = intake
        self._changes = changes
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None

    async def keep(self, one: Kept) -> bool:
        """Return whether it is new, once it is on disk; raises TryAgainError."""
        if len(self._waiting) >= _WAITING:
            raise crowded()
        loop = asyncio.get_running_loop()
        waiting = _Waiting(one, loop.create_future())
        self._waiting.append(waiting)
        if self._task is None:
            self._task = loop.create_task(self._work())
        return await waiting.told

    async def _work(self) -> None:
        try:
            while self._waiting:
                some, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                await self._make(some)
        finally:
            self._task = None

    async def _make(self, some: Sequence[_Waiting]) -> None:
        try:
            news = await self._changes.make(self._intake.keeping([one.one for one in some]))
        except TryAgainError as error:
            _fail(some, error)
        except Exception as error:  # noqa: BLE001 - it is told to those whose request it was
            if len(some) == 1:
                _fail(some, error)
            else:  # one of them may be why
                for one in some:
                    await self._make([one])
        else:
            for one, new in zip(some, news, strict=True):
                if not one.told.done():
                    one.told.set_result(new)


def _fail(some: Sequence[_Waiting], error: Exception) -> None:
    for one in some:
        if not one.told.done():
            one.told.set_exception(error)
