"""What the schedule asks of the rest: which issues there are, what is approved, planning one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

from newsletter_bot.bot import Bot
from newsletter_bot.delivery.model import IssueKind
from newsletter_bot.errors import (
    DataError,
    IssueFileError,
    NewsletterError,
    TryAgainError,
    UsageError,
)
from newsletter_bot.issues.find import issue_files
from newsletter_bot.issues.model import Issue, Status
from newsletter_bot.schedule.approval_store import Approval, ApprovalStore
from newsletter_bot.schedule.model import Candidate
from newsletter_bot.schedule.store import OccurrenceStore

_BROKEN = "has errors: check it"


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was found in a file the last time it was read."""

    stamp: tuple[int, int]
    identity: str
    issue: Issue | None = None  # only of one that is ready
    rendering: str = ""
    ready: bool = False
    trouble: str = ""

    @property
    def may_mend_elsewhere(self) -> bool:
        """True for one in trouble, perhaps by its segment, whose file is not its own."""
        return bool(self.trouble and self.issue and self.issue.segment)


class Newsroom:
    """Issues, approvals and their occurrences; see schedule.sweep.Newsroom."""

    def __init__(
        self,
        bot: Bot,
        clock: Callable[[], float] = time.time,
        warn: Callable[[str], None] = lambda _sentence: None,
        owner: str = "",
        mark: Callable[[], str] = str,
    ) -> None:
        """`mark` changes the machine's mark, and tells why it may not act (Instance.mark)."""
        self._bot = bot
        self._mark = mark
        self._warn = warn
        self._seen: dict[Path, _Seen] = {}
        self.approvals = ApprovalStore(bot.engine, clock)
        self.occurrences = OccurrenceStore(bot.engine, clock, owner)

    def candidates(self) -> list[Candidate]:
        """Return the issues that have not been planned; see schedule.sweep.Newsroom."""
        planned = {row.identity for row in self._bot.mailroom.issues()}
        files = [one for one in issue_files(self._bot.settings.folder) if one.stem not in planned]
        self._seen = {path: self._look(path) for path in files}
        return [self._candidate(one) for one in self._seen.values() if one.identity not in planned]

    def is_planned(self, issue: str) -> bool:
        """Tell whether the ledger has an issue; see schedule.sweep.Newsroom."""
        row = self._bot.mailroom.issue(issue)
        return row is not None and row.kind is IssueKind.ISSUE

    def plan(self, issue: str, *, approval: bool) -> None:
        """Publish an issue and owe it to everybody; see schedule.sweep.Newsroom."""
        if self.is_planned(issue):
            return
        why = self._mark()  # a database restored to what it was before this moment is a copy
        if why:
            raise TryAgainError(f"Nothing is sent: {why}.", "See `newsletter-bot instance status`.")
        found = self._bot.read(self._bot.find(issue))
        if found.status is not Status.READY:
            raise DataError(f"{issue} is a draft.", f"Write `status: ready` into {found.path}.")
        # Read once: a segment's file may be edited between the question and the plan.
        rendering, selection = self._bot.sendable(found), self._bot.selection(found)
        if approval:
            self.check_approval(found, selection.seal(rendering.hash, found.lists))
        self._bot.plan(found, self._warn, (rendering, selection))

    # ── what the editor decides ──────────────────────────────────────────────────────────────

    def approve(self, issue: Issue, *, proof: bool = True) -> str:
        """Bind the editor's approval to what would go to whom now; returns the name of both.

        Raises IssueFileError when a check finds an error, UsageError for a draft, for an issue that
        was planned, and when no proof of exactly this was sent.
        """
        if self.is_planned(issue.identity):
            raise UsageError(f"{issue.identity} was planned already: there is nothing to approve.")
        if issue.status is not Status.READY:
            raise UsageError(
                f"{issue.identity} is a draft.", f"Write `status: ready` into {issue.path} first."
            )
        rendering = self._bot.sendable(issue)
        if proof and not self.approvals.was_proved(issue.identity, rendering.hash):
            raise UsageError(
                f"No proof of {issue.identity} as it is now was sent.",
                f"Look at it first: newsletter-bot proof {issue.identity} --to ADDRESS"
                " (or approve it with --without-proof).",
            )
        seal = self._bot.selection(issue).seal(rendering.hash, issue.lists)
        self.approvals.approve(issue.identity, seal, issue.source)
        return seal

    def check_approval(self, issue: Issue, seal: str) -> None:
        """Raise DataError, with what was edited, unless exactly this is approved."""
        approval = self.approvals.approval(issue.identity)
        if approval is None:
            raise DataError(
                f"{issue.identity} is not approved.",
                f"newsletter-bot approve {issue.identity}",
            )
        if approval.rendering != seal:
            raise DataError(
                f"{issue.identity} was edited after it was approved:\n"
                + _edits(approval, issue.path),
                f"If that is right: newsletter-bot approve {issue.identity}",
            )

    def call_off(self, issue: str) -> bool:
        """Take an issue that was not planned from its occurrence, and its approval back.

        Nothing is lost: it may be approved and scheduled again. False when there was nothing.
        """
        unbound = self.occurrences.unbind(issue)
        return self.approvals.withdraw(issue) or unbound > 0

    def _candidate(self, one: _Seen) -> Candidate:
        approval = self.approvals.approval(one.identity)
        seal, trouble = self._sealed(one)
        return Candidate(
            identity=one.identity,
            ready=one.ready,
            rendering=seal,
            approved=approval.rendering if approval else "",
            approved_at=approval.approved_at if approval else 0,
            published=one.issue.published if one.issue else None,
            trouble=trouble,
            digest=one.issue is not None and one.issue.is_digest,
        )

    def _look(self, path: Path) -> _Seen:
        """Read a file; one that has not changed since is not read again."""
        try:
            about = path.stat()
        except OSError as error:
            return _Seen((0, 0), path.stem, trouble=f"cannot be read: {error.strerror}")
        stamp = (about.st_mtime_ns, about.st_size)
        known = self._seen.get(path)
        if known is not None and known.stamp == stamp and not known.may_mend_elsewhere:
            return known
        try:
            issue = self._bot.read(path)
        except NewsletterError:
            return _Seen(stamp, path.stem, ready=_says_ready(path), trouble=_BROKEN)
        if issue.status is not Status.READY:
            return _Seen(stamp, issue.identity)
        rendering, trouble = self._rendered(issue)
        return _Seen(stamp, issue.identity, issue, rendering, ready=True, trouble=trouble)

    def _rendered(self, issue: Issue) -> tuple[str, str]:
        try:
            return self._bot.sendable(issue).hash, ""
        except IssueFileError:
            return "", _BROKEN
        except NewsletterError as error:
            return "", f"cannot be rendered: {error.message}"

    def _sealed(self, one: _Seen) -> tuple[str, str]:
        """Ask for whom an issue is each time: its segment is another file than its own."""
        if one.issue is None or one.trouble:
            return "", one.trouble
        try:
            return self._bot.selection(one.issue).seal(one.rendering, one.issue.lists), ""
        except NewsletterError:
            return "", _BROKEN


def _says_ready(path: Path) -> bool:
    try:
        return "\nstatus: ready" in path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _edits(approval: Approval, path: Path) -> str:
    now = path.read_text(encoding="utf-8")
    if now == approval.source:
        same = "the file is the same, but its theme, pictures or settings have changed"
        return f"{same}, or its segment"
    lines = unified_diff(
        approval.source.splitlines(), now.splitlines(), "approved", str(path), lineterm="", n=1
    )
    return "\n".join(lines)
