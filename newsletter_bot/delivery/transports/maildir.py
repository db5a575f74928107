"""A Maildir folder instead of a mail server: to look at an issue, or for a local reader."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from newsletter_bot.delivery.calls.model import Finding
from newsletter_bot.delivery.inbox import Inbox
from newsletter_bot.delivery.model import Message, Outcome, accepted
from newsletter_bot.delivery.threaded import Announce, ThreadedSession
from newsletter_bot.delivery.transports import BeforeFinal, RelayError
from newsletter_bot.settings.tables import Table

description = "Write each message into a Maildir folder (`path`); no server is involved."


class Options(Table):
    """[transport] kind = "maildir"."""

    path: str = "mail"


def open_transport(options: Options, folder: Path) -> Maildir:
    """Use the folder `path`, beside newsletter.toml unless absolute; made on first use."""
    return Maildir(folder / options.path)


@dataclass(frozen=True, slots=True)
class Maildir:
    """A Maildir: written to `tmp`, then renamed into `new`, which is the moment of delivery."""

    path: Path

    def open(self, before_final: BeforeFinal, wake: Callable[[], None]) -> ThreadedSession:
        """Begin to write in a thread: a flush of the disk waits."""
        return ThreadedSession(self.connect, before_final, wake)

    def check(self, domain: str) -> Iterable[Finding]:
        """Tell whether the folder, or the first above it that is there, may be written to."""
        del domain
        place = next(one for one in (self.path, *self.path.absolute().parents) if one.exists())
        if os.access(place, os.W_OK | os.X_OK):
            yield Finding(well=True, sentence=f"messages go into the Maildir {self.path}")
        else:
            yield Finding(
                well=False,
                sentence=f"Nothing can be written to {place}.",
                next_step="Correct path, or the folder's permissions.",
            )

    def connect(self) -> MaildirConnection:
        """Make the folders when they are not there; raises RelayError."""
        try:
            for part in ("tmp", "new", "cur"):
                (self.path / part).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RelayError(f"cannot write to {self.path}: {error.strerror}") from error
        return MaildirConnection(self.path)


class MaildirConnection:
    """A message's name comes from its content, so that the same message is the same file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def deliver(
        self, inbox: Inbox, announce: Announce
    ) -> Iterator[Sequence[tuple[Message, Outcome]]]:
        """Write each message; a full disk is the relay's failure, not the recipient's."""
        for message in inbox:
            yield [(message, self._write(message, announce))]

    def _write(self, message: Message, announce: Announce) -> Outcome:
        trace = f"Return-Path: <{message.sender}>\r\nDelivered-To: {message.recipient}\r\n"
        content = (trace.encode() + message.content).replace(b"\r\n", b"\n")
        name = hashlib.sha256(content).hexdigest()[:40]
        waiting = self._path / "tmp" / name
        try:
            with waiting.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            announce([message])
            waiting.replace(self._path / "new" / name)
        except OSError as error:
            raise RelayError(f"cannot write to {self._path}: {error.strerror}") from error
        return accepted(f"written to {self._path.name}/new/{name}")
