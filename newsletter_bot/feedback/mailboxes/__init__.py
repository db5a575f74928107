"""Mailboxes that bounces arrive in, one file for each kind, found by discovery.

Order is everything: a mail is kept (on disk), then moved away, then the cursor goes on. So whoever
is killed in between finds the mail again, and knows it by the hash of its bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from newsletter_bot.feedback.mailboxes import kinds as kinds_of
from newsletter_bot.feedback.mails.decode import LONGEST
from newsletter_bot.settings.kinds import Kinds, choose
from newsletter_bot.settings.mailboxes import MailboxTable
from newsletter_bot.settings.tables import Table

LONGEST_KEPT = LONGEST + 1  # one byte more than is read, so that the reading says it was cut
PORTION = 20  # mails between two changes of the cursor


class MailboxError(Exception):
    """A mailbox that could not be read, in a few words; what was kept before stays kept.

    `lasting` failures (login refused, no such folder) are not cured by trying again.
    """

    def __init__(self, reason: str, *, lasting: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.lasting = lasting


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a mailbox was read, in words that its kind alone understands."""

    validity: str = ""
    position: str = ""


@dataclass(slots=True)
class Found:
    """What a visit found."""

    new: int = 0
    known: int = 0
    moved: int = 0  # out of the way: into the done folder, or deleted where that is configured
    missed: int = 0  # that the server would not give, or no program may read; they stay
    more: bool = False  # others wait for the next visit
    remark: str = ""  # what did not go well, and stopped nothing


@dataclass(frozen=True, slots=True)
class Desk:
    """What a mailbox is given for one visit."""

    keep: Callable[[bytes], bool]  # puts a mail on disk; returns whether it is new
    save: Callable[[Cursor], None]  # puts the cursor on disk
    most: int  # mails of one visit
    ended: Callable[[], bool]  # time to stop between two mails
    found: Found = field(default_factory=Found)

    def take(self, body: bytes) -> None:
        """Put a mail on disk, and count it."""
        if self.keep(body):
            self.found.new += 1
        else:
            self.found.known += 1


class Mailbox(Protocol):
    """A configured mailbox."""

    def visit(self, cursor: Cursor, desk: Desk) -> None:
        """Hand over every mail behind the cursor; raises MailboxError."""
        ...


class MailboxKind(Protocol):
    """What a kind's module offers under its own name (`imap` is `kind = "imap"`)."""

    description: str
    Options: type[Table]

    def open_mailbox(self, options: Any, folder: Path) -> Mailbox:
        """Make the mailbox from its checked options; connects to nothing."""
        ...


def kinds() -> Kinds[MailboxKind]:
    """Return every kind of mailbox there is, by name."""
    return Kinds(kinds_of.__name__, kinds_of.__path__)


def open_mailbox(table: MailboxTable, folder: Path) -> Mailbox:
    """Make the mailbox that a table asks for; raises ConfigurationError."""
    kind, options = choose(kinds(), table, folder, "is no kind of mailbox", "Known kinds")
    return kind.open_mailbox(options, folder)


def names_at(cursor: Cursor) -> set[str]:
    """Read a cursor that is a list of names: of mails that were kept and still lie there."""
    try:
        found = json.loads(cursor.position or "[]")
    except ValueError:
        return set()
    return {str(one) for one in found} if isinstance(found, list) else set()


def cursor_of(names: Collection[str]) -> Cursor:
    """Write such a cursor."""
    return Cursor(position=json.dumps(sorted(names)))
