"""Which issues have a page, and since when."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from newsletter_bot.archive.site import Published
from newsletter_bot.errors import IssueFileError
from newsletter_bot.issues.find import issue_files, sequence_files
from newsletter_bot.issues.model import Issue
from newsletter_bot.settings import Settings

if TYPE_CHECKING:
    from newsletter_bot.bot import Bot


def published(bot: Bot, named: set[Path], *, everything: bool) -> list[Published]:
    """Return the pages of issues that were sent, those dated in the past, and the named ones.

    `everything` shows drafts too.
    """
    sequences = bot.mailroom.newcomers.sequences()
    sent = {row.identity: row.planned_at for row in (*bot.mailroom.issues(), *sequences)}
    files = (*issue_files(bot.settings.folder), *sequence_files(bot.settings.folder))
    today = datetime.now(bot.settings.newsletter.zone).date()
    pages = []
    for path in sorted({*files, *named}):
        try:
            issue = bot.read(path)
        except IssueFileError:
            # A page that readers have links to is never taken away by a slip of the pen.
            if path in named or path.stem in sent:
                raise
            continue
        past = issue.published is not None and issue.published <= today
        shown = (everything or past) and issue.is_for_all
        if shown or path in named or issue.identity in sent:
            pages.append(Published(issue, _publication_time(bot.settings, issue, sent)))
    return pages


def _publication_time(settings: Settings, issue: Issue, sent: dict[str, int]) -> datetime:
    if issue.published is not None:
        return _start_of(issue.published, settings)
    if issue.identity in sent:
        return datetime.fromtimestamp(sent[issue.identity], UTC)
    return _start_of(datetime.now(settings.newsletter.zone).date(), settings)


def _start_of(day: date, settings: Settings) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=settings.newsletter.zone)
