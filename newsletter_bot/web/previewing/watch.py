"""The files behind an issue, looked at again and again; a new snapshot when one was saved."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from newsletter_bot.settings import FILE_NAME
from newsletter_bot.web.previewing.snapshot import Snapshot, mark, take

_PAUSE = 0.2  # seconds between two looks


class Watch:
    """One issue under an editor's hands; safe to ask from several threads.

    Files are looked at when somebody asks: without a page open nothing runs.
    """

    def __init__(self, folder: Path, path: Path) -> None:
        self._folder, self._path = folder, path
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._marks: dict[Path, object] = {}
        self._snapshot = Snapshot(None, (), fresh=False)

    def snapshot(self) -> Snapshot:
        """Return the issue as its files are now; the same object while nothing shows a change."""
        with self._lock:
            # Marked before it is read: what is saved meanwhile is seen at the next look.
            marks: dict[Path, object] = {path: mark(path) for path in self._watched()}
            if marks != self._marks:
                self._marks = marks
                now = take(self._folder, self._path, self._snapshot.specimen)
                if now != self._snapshot:
                    self._snapshot = now
            return self._snapshot

    def changes(self) -> Iterator[Snapshot | None]:
        """Yield the snapshot now and after each change, None at every look without one."""
        shown = None
        while not self._stopped.is_set():
            now = self.snapshot()
            yield None if now is shown else now
            shown = now
            self._stopped.wait(_PAUSE)

    def stop(self) -> None:
        """Let every `changes` come to its end."""
        self._stopped.set()

    def _watched(self) -> Iterator[Path]:
        yield self._path
        yield self._path.with_name(f"{self._path.stem}.cards.json")
        yield self._folder / FILE_NAME
        yield from (self._folder / "templates").rglob("*")
        if self._snapshot.specimen:
            yield from self._snapshot.specimen.wanted
