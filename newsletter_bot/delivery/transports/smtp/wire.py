"""Bytes to and from a relay without waiting, and the count of those that have left."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

_CHUNK = 65_536
_LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds to wait for an answer: to a command, and after the final dot."""

    command: float
    data: float


class Wire:
    """A socket that does not block; raises OSError when the connection is gone."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._drains = isinstance(connected, ssl.SSLSocket)  # TLS may keep more than epoll sees
        self._unsent = memoryview(b"")
        self._parts: list[bytes] = []  # behind those, joined when they are sent
        self._announced: deque[tuple[int, Callable[[], None]]] = deque()
        self.queued = 0  # bytes ever put
        self.sent = 0  # of those, bytes the system has taken
        self.moved = time.monotonic()  # when something last went either way

    @property
    def file(self) -> int:
        """The descriptor to watch."""
        return self._socket.fileno()

    @property
    def unsent(self) -> bool:
        """True while bytes wait for the socket to take them."""
        return bool(self._unsent or self._parts)

    def put(self, *parts: bytes) -> None:
        """Queue bytes; `flush` sends them."""
        self.queued += sum(map(len, parts))
        self._parts += parts

    def announce(self, act: Callable[[], None]) -> None:
        """Have `act` called right before the last byte that was put may leave."""
        self._announced.append((self.queued, act))

    def flush(self) -> None:
        """Send what the socket takes now, in as few segments as it can be."""
        if self._parts:
            self._unsent = memoryview(b"".join((self._unsent, *self._parts)))
            self._parts.clear()
        try:
            while self._unsent:
                chunk = self._unsent[:_CHUNK]
                while self._announced and self._announced[0][0] <= self.sent + len(chunk):
                    self._announced.popleft()[1]()
                count = self._socket.send(chunk)
                self.sent += count
                self._unsent = self._unsent[count:]
                self.moved = time.monotonic()
        except _LATER:
            pass

    def read(self) -> tuple[bytes, bool]:
        """Return what has arrived, and whether the other side has hung up."""
        parts = []
        try:
            while data := self._socket.recv(_CHUNK):
                self.moved = time.monotonic()
                parts.append(data)
                if len(data) < _CHUNK and not self._drains:
                    return b"".join(parts), False
        except _LATER:
            return b"".join(parts), False
        return b"".join(parts), True

    def close(self) -> None:
        """Close the connection, without a word."""
        with contextlib.suppress(OSError):
            self._socket.close()
