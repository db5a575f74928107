"""The folder of the static site: only changed files are written, each whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from newsletter_bot.errors import DataError, UnavailableError

MANIFEST = ".newsletter-bot.json"
Content = bytes | Path  # what to write, or the file to copy


@dataclass(frozen=True, slots=True)
class Changes:
    """The files, by name within the site, that a build wrote and removed."""

    written: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SiteFolder:
    """A folder shared with its owner: what a manifest lists is ours, everything else is not."""

    root: Path

    def publish(self, files: Mapping[str, Content]) -> Changes:
        """Make the folder hold these files, and none of ours beside them.

        Raises DataError, before anything is written, when a name leads out of the folder or a file
        that we did not make is in the way; UnavailableError when the disk refuses.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with self._locked():
                return self._published(files)
        except OSError as error:
            raise UnavailableError(
                f"The site in {self.root} cannot be written: {error}.",
                "Mend that, then build again: a build goes on from whatever is there.",
            ) from error

    def _published(self, files: Mapping[str, Content]) -> Changes:
        ours = self._manifest()
        self._refuse_obstacles(files, ours)
        # Listed before they are written: a build that is killed leaves nothing that looks foreign.
        self._write(MANIFEST, _listing(ours.union(files)))
        written = tuple(name for name in sorted(files) if self._write(name, files[name]))
        removed = tuple(name for name in sorted(ours.difference(files)) if self._remove(name))
        self._write(MANIFEST, _listing(set(files)))
        return Changes(written, removed)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one build at a time write here; the kernel frees the lock of a killed one."""
        descriptor = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _manifest(self) -> set[str]:
        path = self.root / MANIFEST
        try:
            found: Any = json.loads(path.read_text(encoding="utf-8"))
            return {str(name) for name in found["files"]}
        except FileNotFoundError:
            return set()
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"{path}, the list of files made here, cannot be read.",
                "Delete the site's folder, or name another with --out; then build again.",
            ) from error

    def _refuse_obstacles(self, files: Mapping[str, Content], ours: set[str]) -> None:
        for name, content in files.items():
            path = self._path(name)
            if path.is_dir() or (path.is_file() and name not in ours and not _same(path, content)):
                raise DataError(
                    f"{path} is in the way: it was not made by `archive build`.",
                    "Move it away, or name another folder with --out.",
                )

    def _path(self, name: str) -> Path:
        pure = PurePosixPath(name)
        path = self.root.joinpath(*pure.parts)
        # Links within the site could lead out of it as well as dots.
        inside = path.parent.resolve().is_relative_to(self.root.resolve())
        if pure.is_absolute() or ".." in pure.parts or not pure.name or not inside:
            raise DataError(f"{name!r} is not a place inside the site {self.root}.")
        return path

    def _write(self, name: str, content: Content) -> bool:
        path = self._path(name)
        if path.is_file() and _same(path, content):
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.new")
        beside.write_bytes(_bytes(content))
        beside.replace(path)
        return True

    def _remove(self, name: str) -> bool:
        path = self._path(name)
        if not path.is_file():
            return False
        path.unlink()
        for folder in path.parents:
            if folder == self.root or any(folder.iterdir()):
                break
            folder.rmdir()
        return True


def _listing(names: set[str]) -> bytes:
    return json.dumps({"files": sorted(names)}, ensure_ascii=False, indent=1).encode() + b"\n"


def _bytes(content: Content) -> bytes:
    return content.read_bytes() if isinstance(content, Path) else content


def _same(path: Path, content: Content) -> bool:
    return path.read_bytes() == _bytes(content)
