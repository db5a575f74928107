"""Which messages went beyond their final dot, noted where a killed process cannot lose it.

The ledger says `sending` before a message can be delivered; after a kill that would leave every
message in the hands of a session `unknown`. This file, mapped into memory, holds the ids of those
whose dot may have left: a write to it costs nothing and outlives the process, though not the
machine. After a loss of power it is not believed, and all of them are `unknown`.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

_SLOTS = 8192  # at least: enough for 64 sessions of two messages, and a commit or two
_ID = struct.Struct("=q")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_HEADER = 64  # bytes: which run this is, in which boot of the machine


class Recorder:
    """The file of one issue's run, held under the issue's lock; safe to call from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._map: mmap.mmap | None = None
        self._slots: dict[int, int] = {}  # delivery → slot
        self._free: list[int] = []

    def found(self, run: str) -> set[int] | None:
        """Return what the run of that name, ended without a word, had noted.

        None when nobody can tell: another run wrote the file, or the machine was off since.
        """
        try:
            content = self._path.read_bytes()
        except OSError:
            return None
        header = _header(run)
        if header is None or content[:_HEADER] != header:
            return None
        if len(content) < _HEADER + _SLOTS * _ID.size or len(content) % _ID.size:
            return None
        return {one for (one,) in _ID.iter_unpack(content[_HEADER:]) if one}

    @contextmanager
    def recording(self, run: str, most: int = 0) -> Iterator[Self]:
        """Keep the file while a run goes on; a folder that cannot be written goes without.

        `most` is how many messages may be in the hands of all sessions together.
        """
        header = _header(run)
        slots = _SLOTS + 2 * most  # as many again may have outcomes that are not on disk
        self._slots, self._free = {}, list(range(slots))
        try:
            self._path.write_bytes((header or bytes(_HEADER)) + bytes(slots * _ID.size))
            with self._path.open("r+b") as file:
                self._map = mmap.mmap(file.fileno(), 0)
        except OSError:
            self._map = None
        try:
            yield self
        finally:
            if self._map is not None:
                self._map.close()
                self._map = None

    def remove(self) -> None:
        """Remove the file of an issue of which nothing is owed any more."""
        self._path.unlink(missing_ok=True)

    def beyond(self, delivery_id: int) -> None:
        """Note that the final dot of a message may leave from now on."""
        slot = self._free.pop()
        self._slots[delivery_id] = slot
        self._write(slot, delivery_id)

    def settled(self, delivery_ids: Iterable[int]) -> None:
        """Forget messages whose outcome, or return, is on disk."""
        for one in delivery_ids:
            slot = self._slots.pop(one, None)
            if slot is not None:
                self._write(slot, 0)
                self._free.append(slot)

    def _write(self, slot: int, delivery_id: int) -> None:
        if self._map is not None:
            _ID.pack_into(self._map, _HEADER + slot * _ID.size, delivery_id)


def _header(run: str) -> bytes | None:
    try:
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return None  # not Linux: nothing tells a kill from a loss of power
    return hashlib.sha512(f"{boot} {run}".encode()).digest()
