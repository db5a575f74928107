"""IMAP: a UID cursor, and mails moved into a folder of their own, never deleted."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from pydantic import SecretStr, model_validator

from newsletter_bot.feedback.mailboxes import PORTION, Cursor, Desk
from newsletter_bot.feedback.mailboxes.imap_talk import Talk, talking
from newsletter_bot.feedback.mailboxes.mail_servers import (
    RefusedError,
    Server,
    ServerOptions,
    secret_of,
    server_of,
)
from newsletter_bot.settings.tables import OneLine

description = "A folder of an IMAP server: your own, Gmail's, Microsoft 365's."

_PORTS = {"implicit": 993, "starttls": 143, "none": 143}


class Options(ServerOptions):
    """[[mailboxes]] kind = "imap"."""

    token_file: str = ""
    folder: OneLine = "INBOX"
    done_folder: OneLine = "Processed"

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        if self.folder == self.done_folder:
            raise ValueError("folder and done_folder are the same: nothing would ever be done")
        return self


def open_mailbox(options: Options, folder: Path) -> ImapMailbox:
    """Check what the options say together; raises ConfigurationError."""

    def log_in(talk: Talk) -> None:
        if options.token_file:
            token = secret_of(SecretStr(""), options.token_file, folder, "token_file")
            talk.log_in_by_token(options.username, token)
        else:
            file = options.password_file
            talk.log_in(options.username, secret_of(options.password, file, folder, "password"))

    server = server_of(options, _PORTS)
    return ImapMailbox(server, log_in, options.folder, options.done_folder)


@dataclass(frozen=True, slots=True)
class ImapMailbox:
    """A folder on a server, and where its mails go once they are kept."""

    server: Server
    log_in: Callable[[Talk], None]
    folder: str
    done_folder: str

    def visit(self, cursor: Cursor, desk: Desk) -> None:
        """Keep and move what lies behind the cursor; another UIDVALIDITY begins afresh."""
        with talking(self.server) as talk:
            self.log_in(talk)
            validity, count, writable = talk.select(self.folder)
            last = int(cursor.position or 0) if cursor.validity == validity else 0
            uids, more = _behind(talk, last, count, desk.most)
            visit = _Visit(talk, desk, self.done_folder if writable else "")
            desk.found.remark = "" if writable else f"{self.folder} may only be read"
            while uids and not desk.ended():
                portion = visit.take(uids[:PORTION])
                desk.save(Cursor(validity, str(portion.behind)))
                del uids[: portion.count]
            desk.found.more = more or bool(uids)


def _behind(talk: Talk, last: int, count: int, most: int) -> tuple[list[int], bool]:
    """Return the UIDs behind the cursor, at most so many, and whether there are more.

    Looked for by halves: a listing of a folder with a million mails would be megabytes.
    """
    places = range(1, count + 1)
    first = 1 + bisect.bisect_right(places, last, key=lambda at: max(talk.uids(at, at), default=0))
    if first > count:
        return [], False
    end = min(count, first + most - 1)
    return [one for one in talk.uids(first, end) if one > last][:most], end < count


@dataclass(frozen=True, slots=True)
class _Portion:
    """How many mails were asked for, and the UID to go on behind."""

    count: int
    behind: int


@dataclass(slots=True)
class _Visit:
    """One visit, portion by portion."""

    talk: Talk
    desk: Desk
    done_folder: str  # empty once mails cannot be moved: then the cursor alone remembers
    missed: list[int] = field(default_factory=list)  # mails that were not given

    def take(self, uids: Sequence[int]) -> _Portion:
        """Keep some mails and move them away, as many as there is time for."""
        kept: list[int] = []
        count = 0
        for count, uid in enumerate(uids, 1):  # noqa: B007 - how many were asked for
            try:
                body = self.talk.body(uid)
            except RefusedError as error:
                self.missed.append(uid)
                self.desk.found.missed += 1
                self.desk.found.remark = error.reason
                continue
            if body is not None:
                self.desk.take(body)
                kept.append(uid)
            if self.desk.ended():
                break
        moved = self._move(kept)
        # What was not given is asked for again, if others do not come again with it.
        behind = min(self.missed) - 1 if self.missed and moved else uids[count - 1]
        return _Portion(count, behind)

    def _move(self, uids: Sequence[int]) -> bool:
        if uids and self.done_folder:
            try:
                self.talk.move(uids, self.done_folder)
                self.desk.found.moved += len(uids)
            except RefusedError as error:
                self.done_folder, self.desk.found.remark = "", error.reason
        return bool(self.done_folder)
