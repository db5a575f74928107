"""Composition root: Settings → Bot, everything wired; the only file that knows every folder.

Folders are imported where they are first used: `status` should not wait for lxml and premailer.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from newsletter_bot import settings as configuration
from newsletter_bot.bot.parts import Parts
from newsletter_bot.errors import (
    DataError,
    IssueFileError,
    NewsletterError,
    Problem,
    Severity,
    UsageError,
)

if TYPE_CHECKING:
    from newsletter_bot.archive.site import SiteReport
    from newsletter_bot.delivery.model import Outcome, Tally
    from newsletter_bot.delivery.planning.dry_run import DryRun
    from newsletter_bot.delivery.planning.plan_store import IssueRow
    from newsletter_bot.delivery.run import Run
    from newsletter_bot.issues.collect.collector import Sourced
    from newsletter_bot.issues.model import Issue
    from newsletter_bot.rendering.model import Rendering
    from newsletter_bot.subscribers.selection import Selection

# Slots that the bot fills for every message, beside the reader's own fields.
LINK_SLOTS = frozenset({"unsubscribe_url", "preferences_url", "view_url"})


class Bot(Parts):
    """One newsletter: what is done with its issues, over its parts."""

    @classmethod
    def open(cls, folder: Path) -> Bot:
        """Read the folder's configuration; raises ConfigurationError."""
        return cls(configuration.load(folder))

    def page_url(self, identity: str) -> str:
        """Return the public address of an issue's page."""
        from newsletter_bot.rendering.addresses import page_url

        return page_url(self.settings, identity)

    # ── one issue, from file to pages ────────────────────────────────────────────────────────

    def find(self, name: str) -> Path:
        """Return the file of an issue named by identity or path; raises DataError."""
        from newsletter_bot.issues.find import find_issue

        return find_issue(self.settings.folder, name)

    def read(self, path: Path) -> Issue:
        """Parse an issue file; raises IssueFileError with every problem found."""
        from newsletter_bot.issues.find import kind_of
        from newsletter_bot.issues.parse import Known, read_issue
        from newsletter_bot.subscribers.model import PERSONAL_FIELDS

        fields = LINK_SLOTS.union(PERSONAL_FIELDS, self.settings.subscribers.fields)
        known = Known(fields, self.settings.list_ids, self.settings.newsletter.language)
        return read_issue(path, known, kind_of(self.settings.folder, path))

    def check(self, issue: Issue) -> tuple[Problem, ...]:
        """Everything questionable about an issue and what would be mailed, by line."""
        return self._problems(issue, self.render(issue))

    def check_readers(self, issue: Issue) -> tuple[Problem, ...]:
        """What the list tells, not the file: whether it is large enough to test subjects."""
        counted = self.settings.tracking.clicks == "individual"  # else `check` says so
        if len(issue.subjects) == 1 or issue.is_sequence or not counted:
            return ()
        line = issue.lines.get("subjects", 1)
        rendering, selection = self.render(issue), self.selection(issue)
        plan = self.mailroom.dry_run(rendering, issue.lists, selection=selection)
        if not plan.no_test:
            return ()
        message = f"No test of the subjects is held, for {plan.no_test}."
        return (Problem(line, "subject-test", Severity.WARNING, message),)

    def _problems(self, issue: Issue, rendering: Rendering) -> tuple[Problem, ...]:
        from newsletter_bot.issues.checks import check_issue
        from newsletter_bot.rendering.checks import check_rendering

        found = check_issue(issue, self._segment_trouble(issue))
        return tuple(sorted((*found, *check_rendering(rendering, self.settings))))

    def selection(self, issue: Issue) -> Selection:
        """Tell which people of its lists an issue is for; raises DataError for a bad segment."""
        from newsletter_bot.subscribers.consent import Frequency
        from newsletter_bot.subscribers.selection import Selection

        segment = self.segments.load(issue.segment) if issue.segment else None
        return Selection(Frequency(issue.frequency), segment)

    def _segment_trouble(self, issue: Issue) -> str:
        try:
            self.selection(issue)
        except DataError as error:
            return error.message
        return ""

    def render(self, issue: Issue) -> Rendering:
        """Compile an issue once for every reader."""
        from newsletter_bot.rendering.render import render

        return render(issue, self.settings)

    def web_page(self, issue: Issue) -> str:
        """Render the issue's public page."""
        from newsletter_bot.rendering.web_page import render_web

        return render_web(issue, self.settings, published=issue.published)

    def sample_values(self) -> dict[str, str]:
        """Slot values of an invented reader, for previews and files."""
        url = self.settings.newsletter.url
        return {
            **dict.fromkeys(self.settings.subscribers.fields, ""),
            "email": "reader@example.com",
            "name": "Ada Reader",
            "first_name": "Ada",
            "language": self.settings.newsletter.language,
            "unsubscribe_url": f"{url}/u/sample",
            "preferences_url": f"{url}/p/sample",
        }

    # ── links through the week ───────────────────────────────────────────────────────────────

    def collect(self, *, dry_run: bool = False) -> list[Sourced]:
        """Ask the sources of [collect], and add what no issue has had to the inbox."""
        from newsletter_bot.issues.collect.collector import Collector

        past = (link.url for issue in self._readable() for link in issue.links)
        return Collector(self.engine, self.settings).collect(past, dry_run=dry_run)

    def drafts(self) -> list[Issue]:
        """Return the issues that are drafts and were not planned, in order of their names."""
        planned = {row.identity for row in self.mailroom.issues()}
        found = (one for one in self._readable() if one.identity not in planned)
        return [one for one in found if one.status == "draft"]

    def clip(self, url: str, issue: Issue, *, card: bool = False) -> tuple[Issue, int]:
        """Add a page to a draft as an item; returns the issue and the item's line."""
        from newsletter_bot.issues.clip import add_card, add_item, clip

        add = add_card if card else add_item
        page = clip(url, allow_private=self.settings.collect.allow_private)
        return issue, add(issue, page)

    def _readable(self) -> list[Issue]:
        from newsletter_bot.issues.find import issue_files

        found = []
        for path in issue_files(self.settings.folder):
            with contextlib.suppress(IssueFileError):
                found.append(self.read(path))
        return found

    # ── one issue, from rendering to readers and archive ─────────────────────────────────────

    def sendable(self, issue: Issue) -> Rendering:
        """Compile an issue that may be sent.

        Raises IssueFileError when a check finds an error, UsageError for a sequence message.
        """
        refuse_sequence(issue)
        return self.checked(issue)

    def checked(self, issue: Issue) -> Rendering:
        """Compile what has no errors; raises IssueFileError when a check finds one."""
        rendering = self.render(issue)
        problems = self._problems(issue, rendering)
        if any(problem.severity is Severity.ERROR for problem in problems):
            raise IssueFileError(issue.path, problems, exit_code=1)
        return rendering

    def dry_run(self, issue: Issue) -> DryRun:
        """Tell what `send` would do, writing nothing."""
        rendering, selection = self.sendable(issue), self.selection(issue)
        return self.mailroom.dry_run(rendering, issue.lists, selection=selection)

    def identity(self, name: str) -> str:
        """Return the identity behind an ISSUE argument, even when its file is gone or broken."""
        if self.mailroom.issue(name) is not None:
            return name
        return self.read(self.find(name)).identity

    def send(
        self,
        issue: Issue,
        run: Run,
        progress: Callable[[], None] = lambda: None,
        warn: Callable[[str], None] = lambda _sentence: None,
    ) -> Tally:
        """Publish the issue's pages, so that its links live, then send what is owed.

        Once planned, an issue goes to everybody as it was then, whatever its file says now.
        """
        from newsletter_bot.delivery.model import IssueKind
        from newsletter_bot.delivery.planning.plan_store import refuse_other_kind

        planned = self.mailroom.issue(issue.identity)
        if planned is not None:
            refuse_other_kind(planned, IssueKind.ISSUE)
            if self._edited(issue, planned):
                warn("it was edited since it was planned: readers get it as it was planned")
            return self.mailroom.carry_on(issue.identity, run, progress)
        rendering, selection = self.sendable(issue), self.selection(issue)
        self.publish(issue, warn)
        return self.mailroom.send(
            rendering, issue.title, issue.lists, run, progress, selection=selection
        )

    def _edited(self, issue: Issue, planned: IssueRow) -> bool:
        """Tell whether an issue would be another one, or go to others, than was planned."""
        if self._segment_trouble(issue):
            return True
        now = self.selection(issue).seal(self.render(issue).hash, issue.lists)
        return now != planned.selection.seal(planned.rendering, planned.lists)

    def plan(
        self,
        issue: Issue,
        warn: Callable[[str], None] = lambda _sentence: None,
        approved: tuple[Rendering, Selection] | None = None,
    ) -> None:
        """Publish the issue's pages and owe it to those it is for, sending nothing yet.

        `approved` is what `sendable` and `selection` returned, where somebody has looked at it.
        """
        rendering, selection = approved or (self.sendable(issue), self.selection(issue))
        self.publish(issue, warn)
        self.mailroom.plan(rendering, issue.title, issue.lists, selection)

    def publish(self, issue: Issue, warn: Callable[[str], None]) -> None:
        """Build the archive; whatever is wrong with it, the mail goes out."""
        try:
            self.build_archive([str(issue.path)])
        except (NewsletterError, OSError) as error:
            warn(f"the archive was not built: {error}")

    def status(self, name: str) -> Tally:
        """Count an issue's deliveries; before its plan its file tells where it stands."""
        from newsletter_bot.delivery.model import Tally

        if self.mailroom.issue(name) is None:
            issue = self.read(self.find(name))
            if self.mailroom.issue(issue.identity) is None:
                return Tally(issue=issue.identity, state=issue.status)
            name = issue.identity
        return self.mailroom.status(name)

    def proof(self, issue: Issue, to: str) -> Outcome:
        """Send one copy to the editor, outside the ledger; errors in the file do not stop it."""
        from newsletter_bot.delivery.model import DeliveryState
        from newsletter_bot.schedule.approval_store import ApprovalStore

        rendering = self.render(issue)
        outcome = self.mailroom.proofs.send(rendering, self.sample_values(), to)
        if outcome.state is DeliveryState.ACCEPTED:
            ApprovalStore(self.engine, time.time).proof_sent(issue.identity, rendering.hash)
        return outcome

    def build_archive(
        self, names: Sequence[str] = (), *, everything: bool = False, out: Path | None = None
    ) -> SiteReport:
        """Write the static site: issues that were sent, those dated in the past, and `names`.

        Sequence messages have pages that no other page links to. An issue file that cannot be read
        is an error only when it was named.
        """
        from newsletter_bot.archive.site import build_site
        from newsletter_bot.bot.published import published

        pages = published(self, {self.find(name) for name in names}, everything=everything)
        folder = out or self.settings.folder / self.settings.archive.folder
        return build_site(pages, self.settings, folder)


def refuse_sequence(issue: Issue) -> None:
    """Raise UsageError for a sequence message: it has no slot, no approval, and no posts."""
    if issue.is_sequence:
        raise UsageError(
            f"{issue.identity} is a sequence message: newcomers get it, each at their own time.",
            "Write `status: ready` into it, and see `newsletter-bot sequences list`.",
        )
