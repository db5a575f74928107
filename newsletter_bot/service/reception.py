"""What newcomers are greeted with: files of sequence messages, the latest issue, their plans."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from newsletter_bot.bot import Bot
from newsletter_bot.delivery.model import IssueState, Tally
from newsletter_bot.delivery.planning.dry_run import DryRun
from newsletter_bot.delivery.planning.sequences import SequenceMessage
from newsletter_bot.delivery.run import Run
from newsletter_bot.errors import BusyError, DataError, IssueFileError, NewsletterError, Severity
from newsletter_bot.issues.find import kind_of, refuse_twins, sequence_files
from newsletter_bot.issues.model import Issue, Kind, Status

Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Listed:
    """A sequence message as its file and the ledger know it; either may be missing."""

    file: str
    identity: str
    status: str  # draft | ready | broken | no file
    delay: int | None  # seconds
    lists: tuple[str, ...]
    began_at: int | None  # seconds since 1970 UTC
    tally: Tally | None
    trouble: str = ""


class Reception:
    """Looks for people who are new and plans what they get."""

    def __init__(self, bot: Bot, warn: Warn = lambda _sentence: None) -> None:
        self._bot = bot
        self._warn = warn
        self.refused: list[str] = []  # files that could not be sent at the last `plan`
        self._seen: dict[Path, tuple[tuple[int, int], Issue]] = {}

    def plan(self) -> list[str]:
        """Owe newcomers the messages whose time has come and, if so configured, the latest issue.

        Returns what was owed to somebody new: sequence messages, then issues. A file that cannot be
        sent is warned of, and the others go on.
        """
        self.refused = []
        planned = [message.identity for message in self._ready() if self._planned(message)]
        if self._bot.settings.service.latest_issue:
            planned += self._bot.mailroom.newcomers.plan_latest()
        return planned

    def plan_one(self, message: Issue) -> int:
        """Owe a message to those whose time has come; returns how many they are.

        Raises DataError for a draft and for a name that something else has, IssueFileError when a
        check finds an error, BusyError while it is being sent.
        """
        if message.status is not Status.READY:
            raise DataError(
                f"{message.identity} is a draft.", f"Write `status: ready` into {message.path}."
            )
        newcomers, about = self._bot.mailroom.newcomers, _about(message)
        if not newcomers.to_plan(about):
            return 0
        refuse_twins(self._bot.settings.folder, message.path, message.identity)
        rendering = self._bot.checked(message)
        before = self._bot.mailroom.issue(message.identity)
        if before is None or before.rendering != rendering.hash:
            self._bot.publish(message, self._warn)
        return newcomers.plan(about, rendering)

    def greeting(self) -> frozenset[str]:
        """Return the lists whose newcomers get welcome.md, in place of the letter we ship."""
        folder = self._bot.settings.folder
        for path in sequence_files(folder):
            if kind_of(folder, path) is Kind.WELCOME:
                with contextlib.suppress(NewsletterError, OSError):  # `plan` warns of it
                    message = self._read(path)
                    row = self._bot.mailroom.issue(message.identity)
                    begun = row is not None and row.state is not IssueState.CANCELLED
                    if begun and message.status is Status.READY:
                        return frozenset(message.lists)
        return frozenset()

    def send(self, message: Issue, run: Run, progress: Callable[[], None]) -> Tally:
        """Plan a message and hand over what is owed of it; raises what both raise.

        Of a draft that was ready once, what was planned then is sent.
        """
        if message.status is Status.READY or self._bot.mailroom.issue(message.identity) is None:
            self.plan_one(message)
        return self._bot.mailroom.carry_on(message.identity, run, progress)

    def dry_run(self, message: Issue) -> DryRun:
        """Tell what `send` would plan, writing nothing."""
        people = self._bot.mailroom.newcomers.due(_about(message))
        new = ((person, "") for person in people)
        return self._bot.mailroom.dry_run(self._bot.checked(message), message.lists, new)

    def listed(self) -> list[Listed]:
        """Return every sequence message, the welcome first, those without a file last."""
        rows = {row.identity: row for row in self._bot.mailroom.newcomers.sequences()}
        found = []
        for path in sequence_files(self._bot.settings.folder):
            one = self._listed(path)
            found.append(one)
            rows.pop(one.identity, None)
        for row in rows.values():
            tally = self._bot.mailroom.status(row.identity)
            found.append(
                Listed("", row.identity, "no file", None, row.lists, row.planned_at, tally)
            )
        return found

    def _listed(self, path: Path) -> Listed:
        name = str(path.relative_to(self._bot.settings.folder))
        try:
            one = self._bot.read(path)
        except NewsletterError as error:
            return Listed(name, path.stem, "broken", None, (), None, None, _shortly(error))
        began, tally, trouble = None, None, ""
        row = self._bot.mailroom.issue(one.identity)
        try:
            refuse_twins(self._bot.settings.folder, path, one.identity)
            self._bot.mailroom.newcomers.to_plan(_about(one))
        except DataError as error:
            trouble, row = error.message, None
        if row is not None:
            began, tally = row.planned_at, self._bot.mailroom.status(one.identity)
        return Listed(name, one.identity, one.status, one.delay, one.lists, began, tally, trouble)

    def _ready(self) -> Iterator[Issue]:
        for path in sequence_files(self._bot.settings.folder):
            try:
                message = self._read(path)
            except (NewsletterError, OSError) as error:
                self._refuse(path, error)
                continue
            if message.status is Status.READY:
                yield message

    def _planned(self, message: Issue) -> bool:
        try:
            return self.plan_one(message) > 0
        except BusyError:
            return False  # whoever is new meanwhile is found when the run has ended
        except NewsletterError as error:
            self._refuse(message.path, error)
            return False

    def _refuse(self, path: Path, error: Exception) -> None:
        self.refused.append(path.name)
        self._warn(f"{path.name} is not sent to newcomers: {_shortly(error)}")

    def _read(self, path: Path) -> Issue:
        """Read a file; one that has not changed since is not read again."""
        about = path.stat()
        stamp = (about.st_mtime_ns, about.st_size)
        known = self._seen.get(path)
        if known is None or known[0] != stamp:
            known = self._seen[path] = (stamp, self._bot.read(path))
        return known[1]


def _about(message: Issue) -> SequenceMessage:
    assert message.delay is not None, "its place makes it a sequence message"
    return SequenceMessage(message.identity, message.title, message.lists, message.delay)


def _shortly(error: Exception) -> str:
    """Say what is wrong in a line; the whole of a file's problems is what `check` is for."""
    if isinstance(error, IssueFileError):
        first = next(one for one in error.problems if one.severity is Severity.ERROR)
        return f"line {first.line}: {first.message} See `newsletter-bot check`."
    return error.message if isinstance(error, NewsletterError) else str(error)
