"""Visits to mailboxes: who is due, one process at a time, and what is noted when one fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Engine

from newsletter_bot.errors import BusyError, ConfigurationError, UsageError
from newsletter_bot.feedback.mailboxes import (
    Cursor,
    Desk,
    Found,
    Mailbox,
    MailboxError,
    open_mailbox,
)
from newsletter_bot.feedback.mailboxes.store import MailboxStore
from newsletter_bot.settings import Settings
from newsletter_bot.settings.mailboxes import MailboxTable
from newsletter_bot.settings.tables import seconds
from newsletter_bot.storage.lock import exclusive
from newsletter_bot.storage.writer import Writer

_VISIT = 120.0  # seconds after which a visit begins no further mail; the next one goes on
WORRYING = 3  # failures in a row after which somebody is told


@dataclass(frozen=True, slots=True)
class Visited:
    """How a visit ended."""

    name: str
    found: Found
    reason: str = ""  # why it failed
    failures: int = 0  # in a row, with this one
    lasting: bool = False

    @property
    def worrying(self) -> bool:
        """Tell whether somebody should look."""
        return self.lasting or self.failures >= WORRYING


class MailboxVisits:
    """The mailboxes of a newsletter, and how each stands."""

    def __init__(
        self,
        engine: Engine,
        writer: Writer,
        settings: Settings,
        keep: Callable[[bytes], bool],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._store = MailboxStore(engine, writer)
        self._settings = settings
        self._keep = keep
        self._clock = clock

    def names(self, name: str | None = None) -> list[str]:
        """Return the mailboxes there are, or the one asked for; raises UsageError."""
        known = [one.name for one in self._settings.mailboxes]
        if name is None:
            return known
        if name not in known:
            there = ", ".join(known) or "none at all"
            raise UsageError(
                f"There is no mailbox {name} in newsletter.toml.", f"There is: {there}."
            )
        return [name]

    def due(self) -> list[str]:
        """Return the mailboxes whose time has come."""
        now = self._clock()
        return [one.name for one in self._settings.mailboxes if self._is_due(one, now)]

    def _is_due(self, table: MailboxTable, now: float) -> bool:
        checked = self._store.standing(table.name).checked_at
        # A clock that was set back must not silence a mailbox for as long.
        return not checked <= now < checked + seconds(table.every)

    def visit(
        self,
        name: str,
        stopping: Callable[[], bool] = lambda: False,
        heard: Callable[[bytes, bool], object] = lambda _body, _new: None,
    ) -> Visited:
        """Read a mailbox now, whether it is due or not; `heard` is told of each mail kept.

        Raises BusyError while another process does, ConfigurationError for a table that cannot be
        used, TryAgainError when the database takes nothing; what was kept stays kept.
        """
        table = next(one for one in self._settings.mailboxes if one.name == name)
        mailbox = self._open(table)
        with exclusive(self._engine, f"mailbox-{name}") as held:
            if not held:
                raise BusyError(f"Another process reads the mailbox {name} just now.")
            standing = self._store.standing(name)
            ends = time.monotonic() + _VISIT
            desk = Desk(
                keep=partial(self._keep_heard, heard),
                save=partial(self._save, name),
                most=table.most,
                ended=lambda: stopping() or time.monotonic() > ends,
            )
            try:
                mailbox.visit(standing.cursor, desk)
            except MailboxError as error:
                failures = standing.failures + 1
                self._store.note(name, self._now(), failures, error.reason)
                return Visited(name, desk.found, error.reason, failures, error.lasting)
            self._store.note(name, self._now(), 0, desk.found.remark)
            return Visited(name, desk.found)

    def _keep_heard(self, heard: Callable[[bytes, bool], object], body: bytes) -> bool:
        new = self._keep(body)
        heard(body, new)
        return new

    def _open(self, table: MailboxTable) -> Mailbox:
        try:
            return open_mailbox(table, self._settings.folder)
        except ConfigurationError as error:
            failures = self._store.standing(table.name).failures + 1
            self._store.note(table.name, self._now(), failures, error.message)
            raise

    def _save(self, name: str, cursor: Cursor) -> None:
        self._store.move_cursor(name, cursor, self._now())

    def _now(self) -> int:
        return int(self._clock())
