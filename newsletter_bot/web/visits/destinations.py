"""Where links of issues lead, kept in memory: they lead on while the database is down."""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import SQLAlchemyError

from newsletter_bot.delivery.planning.links_store import IssueLinks
from newsletter_bot.errors import TryAgainError

_MOST = 500  # issues; the one asked for longest ago is forgotten
_FRESH = 1.0  # seconds in which a number that is not there is not looked for again
_ADDRESS = re.compile(r"https?://[!-~]+")  # what may stand in a header
_Issue = int | str


@dataclass(frozen=True, slots=True)
class _Known:
    links: IssueLinks | None
    at: float


class Destinations:
    """Finds links; for one event loop."""

    def __init__(self, find: Callable[[_Issue], IssueLinks | None], most: int = _MOST) -> None:
        self._find = find
        self._most = most
        self._known: OrderedDict[_Issue, _Known] = OrderedDict()
        self._asking: dict[_Issue, asyncio.Task[IssueLinks | None]] = {}

    async def issue(self, issue: _Issue) -> int | None:
        """Return an issue's id; None for one that there is not, or raises TryAgainError."""
        known = self._known.get(issue)
        links = known.links if known and known.links else await self._load(issue)
        return links.issue_id if links else None

    async def link(self, issue: _Issue, number: int) -> tuple[int, str] | None:
        """Return the issue's id and where its link leads; None, or raises TryAgainError."""
        known = self._known.get(issue)
        links = known.links if known else None
        if links is None or number not in links.urls:
            # A sequence message gets new links when it is edited.
            if known is not None and time.monotonic() - known.at < _FRESH:
                return None
            links = await self._load(issue)
        url = links.urls.get(number, "") if links else ""
        return (links.issue_id, url) if links and _ADDRESS.fullmatch(url) else None

    async def _load(self, issue: _Issue) -> IssueLinks | None:
        """Ask the database, once for all who wait for the same."""
        if issue not in self._asking:
            task = asyncio.ensure_future(run_in_threadpool(self._find, issue))
            task.add_done_callback(lambda _task: self._asking.pop(issue, None))
            self._asking[issue] = task
        try:
            links = await asyncio.shield(self._asking[issue])
        except SQLAlchemyError as error:
            raise TryAgainError(
                f"The database does not answer: {type(error).__name__}.", "Try it again in a while."
            ) from error
        self._known[issue] = _Known(links, time.monotonic())
        self._known.move_to_end(issue)
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        return links
