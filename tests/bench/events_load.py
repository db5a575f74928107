"""Posts prepared requests over many connections as fast as they are answered.

    python -m tests.bench.events_load HOST PORT FILE CONNECTIONS

FILE holds each request as the length of its bytes, a line break, and the bytes. Prints how many
were answered by 2xx, how many were not, and when it began and ended.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import uvloop


@dataclass
class Count:
    """What came of the requests."""

    taken: int = 0
    refused: int = 0


class _Poster(asyncio.Protocol):
    """One connection: posts the next request when the last one was answered."""

    def __init__(
        self, requests: Iterator[bytes], count: Count, ended: asyncio.Future[None]
    ) -> None:
        self._requests = requests
        self._count = count
        self._ended = ended
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._post()

    def data_received(self, data: bytes) -> None:
        self._heard += data
        head, found, body = self._heard.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        if not found or len(body) < length:
            return
        good = head.startswith(b"HTTP/1.1 2")
        self._count.taken += good
        self._count.refused += not good
        self._heard = b""
        self._post()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def _post(self) -> None:
        one = next(self._requests, None)
        if one is None:
            self._transport.close()
        else:
            self._transport.write(one)


def requests_of(file: Path) -> Iterator[bytes]:
    """Read the requests of a file."""
    content = file.read_bytes()
    at = 0
    while at < len(content):
        end = content.index(b"\n", at)
        length = int(content[at:end])
        yield content[end + 1 : end + 1 + length]
        at = end + 1 + length


async def _load(host: str, port: int, file: Path, connections: int) -> dict[str, float]:
    requests = iter(list(requests_of(file)))
    count = Count()
    loop = asyncio.get_running_loop()
    ends = []
    begun = time.time()
    for _ in range(connections):
        ended = loop.create_future()
        ends.append(ended)
        await loop.create_connection(lambda end=ended: _Poster(requests, count, end), host, port)  # type: ignore[misc]
    await asyncio.gather(*ends)
    return {"taken": count.taken, "refused": count.refused, "begun": begun, "ended": time.time()}


def main() -> None:
    """Post them all."""
    host, port, file, connections = sys.argv[1:5]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        done = runner.run(_load(host, int(port), Path(file), int(connections)))
    sys.stdout.write(json.dumps(done) + "\n")


if __name__ == "__main__":
    main()
