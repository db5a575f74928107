"""Maildir: a folder of files, each moved into a subfolder (Maildir++) once it is kept."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from newsletter_bot.feedback.mailboxes import (
    LONGEST_KEPT,
    PORTION,
    Cursor,
    Desk,
    MailboxError,
    cursor_of,
    names_at,
)
from newsletter_bot.settings.tables import Table

description = "A Maildir on this machine, as Postfix, Dovecot and others fill it."


class Options(Table):
    """[[mailboxes]] kind = "maildir"."""

    path: str
    done_folder: Annotated[str, Field(pattern=r"^[^/.\x00-\x1f][^/\x00-\x1f]{0,99}$")] = "Processed"


def open_mailbox(options: Options, folder: Path) -> MaildirMailbox:
    """Make the mailbox; whether it is there is found out when it is visited."""
    return MaildirMailbox(folder / options.path, options.done_folder)


class MaildirMailbox:
    """A Maildir, and the subfolder for what was kept."""

    def __init__(self, path: Path, done_folder: str) -> None:
        self._path = path
        self._done = path / f".{done_folder}"

    def visit(self, cursor: Cursor, desk: Desk) -> None:
        """Keep and move every file; the cursor names those that could not be moved."""
        stuck = names_at(cursor)
        waiting = files(self._path)
        stuck &= {_base(one) for one in waiting}
        done = 0
        for path in [one for one in waiting if _base(one) not in stuck]:
            if done == desk.most or desk.ended():
                desk.found.more = True
                break
            done += self._take(path, desk, stuck)
            if done % PORTION == 0:
                desk.save(cursor_of(stuck))
        desk.save(cursor_of(stuck))

    def _take(self, path: Path, desk: Desk, stuck: set[str]) -> bool:
        """Keep a mail and move it away; returns whether there was one."""
        try:
            body = content(path)
        except FileNotFoundError:
            return False  # somebody else moved it
        except OSError as error:
            desk.found.remark = f"{path}: {error.strerror}"
            desk.found.missed += isinstance(error, PermissionError)
            return False
        desk.take(body)
        try:
            self._move(path)
            desk.found.moved += 1
        except OSError as error:
            stuck.add(_base(path))
            desk.found.remark = f"{path} cannot be moved to {self._done.name}: {error.strerror}"
        return True

    def _move(self, path: Path) -> None:
        if not (self._done / "maildirfolder").exists():
            for name in ("cur", "new", "tmp"):
                (self._done / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._done / "maildirfolder").touch()
        name = path.name if ":2," in path.name else f"{path.name}:2,"
        path.rename(self._done / "cur" / name)


def files(path: Path) -> list[Path]:
    """Return the mails of a Maildir, the oldest names first; raises MailboxError."""
    if not ((path / "new").is_dir() and (path / "cur").is_dir()):
        raise MailboxError(f"{path} is no Maildir that can be read", lasting=True)
    try:
        return sorted(_listed(path), key=lambda one: one.name)
    except OSError as error:
        raise MailboxError(f"{path} cannot be read: {error.strerror}", lasting=True) from error


def _listed(path: Path) -> Iterator[Path]:
    for name in ("new", "cur"):
        yield from (one for one in (path / name).iterdir() if not one.name.startswith("."))


def content(path: Path) -> bytes:
    """Return a mail's first megabyte; raises OSError for what is no file, or leads elsewhere."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "it is no file")
        return file.read(LONGEST_KEPT)


def _base(path: Path) -> str:
    return path.name.partition(":")[0]
