"""The built archive, as files: those that are asked for often are kept in memory.

A file is looked at for each request, so that what was built anew is seen at once; it is read again
when it changed. Redirects lead to a folder of the site and nowhere else: what a request says about
hosts is not looked at.
"""

from __future__ import annotations

import hashlib
import mimetypes
import stat
from dataclasses import dataclass, field
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from urllib.parse import quote

from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_SMALL = 512 * 1024  # bytes of a file that is kept
_ALL = 64 * 1024 * 1024  # bytes of all that are
_INDEX = "index.html"
_METHODS = frozenset({"GET", "HEAD"})
_TYPES = {
    ".atom": "application/atom+xml; charset=utf-8",
    ".rss": "application/rss+xml; charset=utf-8",
    ".xml": "application/xml; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".webp": "image/webp",
    ".avif": "image/avif",
}
# How long others may show a copy without asking: an issue may be mended, pictures seldom are.
_PAGES_FRESH, _FRESH = 60, 3600  # seconds

Pair = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is now: its mark tells when it changed; a large one has no body here."""

    path: Path
    mark: tuple[int, int, int, int]
    headers: tuple[Pair, ...]
    etag: str
    modified: int
    body: bytes | None


@dataclass(slots=True)
class _Kept:
    """Files in memory, by the path they were asked for with."""

    files: dict[str, File] = field(default_factory=dict)
    size: int = 0

    def keep(self, path: str, file: File) -> None:
        """Remember a file; all are forgotten when there are too many, which a site seldom has."""
        size = len(file.body or b"")
        if self.size + size > _ALL:
            self.files.clear()
            self.size = 0
        before = self.files.get(path)
        self.size += size - len((before and before.body) or b"")
        self.files[path] = file


class Site:
    """Serves a folder: only files in it, and none whose name, or folder's, begins with a dot."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept = _Kept()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; raises HTTPException for what there is not."""
        if scope["method"] not in _METHODS:
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        found = await self.find(scope["path"])
        if isinstance(found, str):
            await RedirectResponse(found, 308)(scope, receive, send)
        elif found is None:
            raise HTTPException(404)
        else:
            await answer(found, scope, receive, send)

    async def find(self, path: str) -> File | str | None:
        """Return the file at a path, or the path of the folder that was meant, or nothing."""
        kept = self._kept.files.get(path)
        if kept is not None and _mark(kept.path) == kept.mark:
            return kept
        parts = _parts(path)
        if parts is None:
            return None
        found = await run_in_threadpool(_look, self._folder, parts, path.endswith("/"))
        if isinstance(found, File):
            self._kept.keep(path, found)
        return found


class First:
    """Answers for the archive before the app looks through its routes; the rest goes on."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self._app = app
        self._site = site
        self._taken: frozenset[str] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and scope["method"] in _METHODS and self._is_free(scope):
            found = await self._site.find(scope["path"])
            if isinstance(found, File):
                await answer(found, scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_free(self, scope: Scope) -> bool:
        """Tell whether no route of the app begins as this path does."""
        if self._taken is None:
            self._taken = frozenset(_beginning(one.path) for one in scope["app"].routes) - {""}
        return _beginning(scope["path"]) not in self._taken


def _beginning(path: str) -> str:
    return path[1:].partition("/")[0]


async def answer(file: File, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a file, or say that it has not changed (RFC 9110 section 13)."""
    if _is_known(file, Headers(scope=scope)):
        start, body = {"status": 304, "headers": file.headers}, b""
    elif file.body is None:
        headers = {name.decode(): value.decode() for name, value in file.headers}
        await FileResponse(file.path, headers=headers)(scope, receive, send)
        return
    else:
        length = (b"content-length", b"%d" % len(file.body))
        start, body = {"status": 200, "headers": (*file.headers, length)}, file.body
    await send({"type": "http.response.start", **start})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _is_known(file: File, headers: Headers) -> bool:
    known = headers.get("if-none-match")
    if known is not None:
        tags = {one.strip().removeprefix("W/") for one in known.split(",")}
        return bool({file.etag, "*"} & tags)
    since = headers.get("if-modified-since")
    if since is None:
        return False
    try:
        return file.modified <= parsedate_to_datetime(since).timestamp()
    except (ValueError, OverflowError):
        return False


def _parts(path: str) -> list[str] | None:
    """Return the names in a path; None for one that no file of a site has."""
    if not path.startswith("/") or "\0" in path or "\\" in path:
        return None
    names = path[1:].removesuffix("/").split("/") if path != "/" else []
    return None if any(not one or one.startswith(".") for one in names) else names


def _look(folder: Path, names: list[str], is_folder: bool) -> File | str | None:  # noqa: FBT001
    """Find what a path means: a file, or, without the slash at its end, a folder with an index."""
    try:
        root = folder.resolve()
        place = root.joinpath(*names)
        if is_folder or not names:
            return _read(root, place / _INDEX)
        if not place.is_dir():
            return _read(root, place)
        moved = f"/{'/'.join(quote(one, safe='') for one in names)}/"
        return moved if _read(root, place / _INDEX) else None
    except (OSError, RuntimeError, ValueError):
        return None  # a name that is too long, links in a circle, a folder that we may not read


def _read(root: Path, place: Path) -> File | None:
    path = place.resolve()
    # A link in the site must not lead out of it.
    mark = _mark(path) if path.is_relative_to(root) else None
    if mark is None:
        return None
    body = path.read_bytes() if mark[-1] <= _SMALL else None
    seconds = mark[2] // 1_000_000_000
    content = repr(mark).encode() if body is None else body
    etag = f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
    return File(path, mark, _headers(path, etag, seconds), etag, seconds, body)


def _mark(path: Path) -> tuple[int, int, int, int] | None:
    """Return what changes with a file; None where there is no regular file."""
    try:
        seen = path.stat()
    except OSError:
        return None
    regular = stat.S_ISREG(seen.st_mode)
    return (seen.st_dev, seen.st_ino, seen.st_mtime_ns, seen.st_size) if regular else None


def _headers(path: Path, etag: str, modified: int) -> tuple[Pair, ...]:
    ending = path.suffix.lower()
    kind = _TYPES.get(ending) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    fresh = _FRESH if kind.startswith(("image/", "font/")) else _PAGES_FRESH
    headers = {
        "content-type": kind,
        "etag": etag,
        "last-modified": formatdate(modified, usegmt=True),
        "cache-control": f"public, max-age={fresh}",
    }
    return tuple((name.encode("ascii"), value.encode("ascii")) for name, value in headers.items())
