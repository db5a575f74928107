"""Chunks: the messages of one call under one key, so that the call can be made again as it was."""

from __future__ import annotations

import hashlib
import re
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.exc import DBAPIError

from newsletter_bot.delivery.calls.model import Request
from newsletter_bot.delivery.model import Change, DeliveryState, Message, Release, Settle, Start


@dataclass(frozen=True, slots=True)
class Chunk:
    """What was frozen before the first call; `deliveries` are in the order of the call."""

    key: str
    relay: str
    deliveries: tuple[int, ...]
    payload: bytes  # a hash: another payload is another call
    frozen_at: int  # seconds since 1970 UTC


class Freezer(Protocol):
    """Puts chunks on disk; called from the threads of sessions."""

    def freeze(self, chunk: Chunk, ended: Sequence[str]) -> None:
        """Write down a chunk that begins, and the keys of those that ended; all or nothing."""
        ...

    def end(self, ended: Sequence[str]) -> None:
        """Write down which chunks ended."""
        ...

    def now(self) -> float:
        """Seconds since 1970 UTC."""
        ...


class ChunkBook:
    """The chunks of one relay in one run: frozen before their call, ended with their outcomes.

    A chunk ends when all of its deliveries' outcomes are on disk; with an `unknown` among them it
    stays open, for the next run to make the call again. No delivery is in two open chunks: it can
    begin anew only once its outcome is on disk, and the chunk that it is in then is written after,
    in one transaction with the end of the one before.

    Of a chunk whose deliveries are returned nothing was taken, and its key would not keep the call
    from being a first one. Its end is on disk before any of them can leave another way.
    """

    def __init__(self, relay: str, issue: str, freezer: Freezer) -> None:
        self._relay = relay
        self._name = re.sub(r"[^A-Za-z0-9.-]", "-", issue)[:64]
        self._freezer = freezer
        self._lock = threading.Lock()
        self._open: dict[int, str] = {}  # delivery → key
        self._left: dict[str, int] = {}  # deliveries of a chunk without an outcome on disk
        self._unsure: set[str] = set()
        self._ended: list[str] = []

    def new_key(self) -> str:
        """Return a key that nobody has used; a restored backup makes others."""
        return f"{self._name}/{uuid.uuid4()}"

    def freeze(self, key: str, messages: Sequence[Message], request: Request) -> None:
        """Put a chunk on disk before its first call; raises DBAPIError."""
        ids = tuple(one.delivery_id for one in messages)
        with self._lock:
            twice = [one for one in ids if one in self._open]
            assert not twice, f"deliveries {twice} are in a chunk that has not ended"
            ended, self._ended = self._ended, []
            self._open.update(dict.fromkeys(ids, key))
            self._left[key] = len(ids)
        now = int(self._freezer.now())
        chunk = Chunk(key, self._relay, ids, payload_of(request), now)
        try:
            self._freezer.freeze(chunk, ended)
        except DBAPIError:
            with self._lock:
                self._ended += ended
            raise

    def on_disk(self, changes: Sequence[Change]) -> None:
        """Note whose outcomes, or returns, were committed; raises DBAPIError."""
        returned = False
        with self._lock:
            for change in changes:
                begins = isinstance(change, Start)
                key = None if begins else self._open.pop(change.delivery_id, None)
                if key is not None and isinstance(change, Release):
                    returned = True
                    self._returned(key)
                elif key is not None:
                    self._noted(key, unsure=_is_unknown(change))
        if returned:
            self.close()

    def close(self) -> None:
        """Write down what ended since the last chunk was frozen; raises DBAPIError."""
        with self._lock:
            ended = list(self._ended)
        if ended:
            self._freezer.end(ended)
        with self._lock:
            self._ended = [one for one in self._ended if one not in ended]

    def _returned(self, key: str) -> None:
        self._open = {row: other for row, other in self._open.items() if other != key}
        del self._left[key]
        self._ended.append(key)

    def _noted(self, key: str, *, unsure: bool) -> None:
        if unsure:
            self._unsure.add(key)
        self._left[key] -= 1
        if self._left[key] == 0:
            del self._left[key]
            if key not in self._unsure:
                self._ended.append(key)


def payload_of(request: Request) -> bytes:
    """Return the hash of what a call says, and as whom: another account knows no key of ours."""
    head = [request.method, request.url, *(f"{one}: {two}" for one, two in request.headers.items())]
    return hashlib.sha256("\n".join(head).encode() + b"\n\n" + request.content).digest()


def _is_unknown(change: Change) -> bool:
    return isinstance(change, Settle) and change.outcome.state is DeliveryState.UNKNOWN
