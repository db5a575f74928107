"""Notices that a file an issue is made of was saved."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

_PAUSE = 0.25  # seconds between two looks
_WATCHED = frozenset(
    {".md", ".json", ".toml", ".j2", ".css", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg"}
)
_SKIPPED = frozenset({"site", "mail", "node_modules"})


class Watch:
    """A number that grows with every save under a folder; looked at by one thread."""

    def __init__(self, folder: Path, issue: Path) -> None:
        self._folder = folder
        self._issue = issue
        self._seen = self._look()
        self._changed = threading.Condition()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.version = 1

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking, and let everybody who waits go."""
        self._ended.set()
        with self._changed:
            self._changed.notify_all()

    @property
    def ended(self) -> bool:
        """True once `stop` was called."""
        return self._ended.is_set()

    def wait(self, known: int, seconds: float) -> int:
        """Return the version once it differs from `known`, or after some seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self.version != known or self.ended, seconds)
            return self.version

    def _run(self) -> None:
        while not self._ended.wait(_PAUSE):
            found = self._look()
            if found != self._seen:
                self._seen = found
                with self._changed:
                    self.version += 1
                    self._changed.notify_all()

    def _look(self) -> dict[Path, tuple[int, int]]:
        return dict(self._stamps())

    def _stamps(self) -> Iterator[tuple[Path, tuple[int, int]]]:
        for path in (*self._files(self._folder), *self._files(self._issue.parent)):
            try:
                found = path.stat()
            except OSError:
                continue  # removed meanwhile
            yield path, (found.st_mtime_ns, found.st_size)

    def _files(self, folder: Path) -> Iterator[Path]:
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.name.startswith(".") or path.name in _SKIPPED:
                continue
            if path.is_dir():
                yield from self._files(path)
            elif path.suffix.lower() in _WATCHED:
                yield path
