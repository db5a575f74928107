"""A plain HTTP client for many small requests: raw connections, kept open, each job once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlencode

_REFUSED = 503  # it takes no more just now, and says so: the job is asked again
_PAUSE = 0.2


@dataclass(frozen=True)
class Job:
    """A form to post, and when it was answered by 2xx or 3xx."""

    path: str
    fields: dict[str, str]
    done: Callable[[float], None] = lambda _at: None

    def request(self) -> bytes:
        """Return its bytes."""
        body = urlencode(self.fields).encode()
        return (
            f"POST {self.path} HTTP/1.1\r\nHost: news.example.com\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body


@dataclass
class Crew:
    """Connections that share out jobs; a job that was refused for now is asked again."""

    port: int
    connections: int
    refused: int = 0
    answered: int = 0
    strange: list[str] = field(default_factory=list)

    def work(self, jobs: Iterable[Job]) -> None:
        """Do all jobs; returns when the last one is done."""
        asyncio.run(self._work(iter(jobs)))

    async def _work(self, jobs: Iterator[Job]) -> None:
        async with asyncio.TaskGroup() as everybody:
            for _ in range(self.connections):
                everybody.create_task(self._one(jobs))

    async def _one(self, jobs: Iterator[Job]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        for job in jobs:
            await self._insist(job, reader, writer)
        writer.close()
        await writer.wait_closed()

    async def _insist(
        self, job: Job, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if not await self._ask(job, reader, writer):
            await asyncio.sleep(_PAUSE)
            await self._insist(job, reader, writer)

    async def _ask(
        self, job: Job, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        writer.write(job.request())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        await reader.readexactly(length)
        status = int(head.split()[1])
        if status == _REFUSED:
            self.refused += 1
            return False
        if status >= 400:
            self.strange.append(f"{job.path}: {status}")
        self.answered += 1
        job.done(time.time())
        return True
