"""The monthly digest: a draft made from the issues that went out in a month."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from newsletter_bot.crosspost.words import one_line
from newsletter_bot.delivery.model import IssueState
from newsletter_bot.delivery.planning.plan_store import IssueRow
from newsletter_bot.errors import DataError, NewsletterError, UsageError
from newsletter_bot.issues.digest import Chapter, Entry, Head, digest_text
from newsletter_bot.issues.model import Issue, Item
from newsletter_bot.rendering.public import public
from newsletter_bot.rendering.web_page import Pages
from newsletter_bot.subscribers.selection import USUAL

if TYPE_CHECKING:
    from newsletter_bot.bot import Bot

_WENT_OUT = (IssueState.SENDING, IssueState.SENT)
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True)
class Month:
    """A month of the newsletter's own calendar."""

    year: int
    month: int

    def __str__(self) -> str:
        return f"{self.year}-{self.month:02}"

    @classmethod
    def read(cls, text: str) -> Month:
        """Read `2026-11`; raises UsageError."""
        found = _MONTH.fullmatch(text)
        if found is None:
            raise UsageError(f"{text!r} is no month.", "Write one like 2026-11.")
        return cls(int(found[1]), int(found[2]))

    @classmethod
    def before(cls, now: datetime) -> Month:
        """Return the last month that is over."""
        return cls(now.year, now.month - 1) if now.month > 1 else cls(now.year - 1, 12)

    def holds(self, moment: datetime) -> bool:
        """Tell whether a local time lies in it."""
        return (moment.year, moment.month) == (self.year, self.month)


@dataclass(slots=True)
class Digest:
    """What was written: where, from which issues, how many items; and what was left out."""

    path: Path
    identity: str
    issues: list[str] = field(default_factory=list)
    items: int = 0
    notes: list[str] = field(default_factory=list)


def write_digest(bot: Bot, month: Month, list_id: str, out: Path | None = None) -> Digest:
    """Write the draft of a month's digest for a list.

    Raises UsageError when the file exists, DataError when nothing went out that month.
    """
    name = f"digest-{month}" if list_id == usual_list(bot) else f"digest-{list_id}-{month}"
    path = out or bot.settings.folder / "issues" / f"{name}.md"
    if path.exists():
        raise UsageError(f"{path} exists already.", "Edit it, remove it, or use --out FILE.")
    made = Digest(path, path.stem)
    chapters = list(_chapters(bot, month, list_id, made))
    if not chapters:
        raise DataError(
            f"Nothing for {list_id} went out in {month} that a digest could show.",
            "; ".join(made.notes) or "See `newsletter-bot status`.",
        )
    head = _head(bot, month, list_id, made)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8", newline="\n") as file:
        file.write(digest_text(head, chapters))
    return made


def usual_list(bot: Bot) -> str:
    """Return the list that is meant where none is named: the only one, or `weekly`."""
    known = [one.id for one in bot.settings.lists]
    return known[0] if len(known) == 1 else "weekly" if "weekly" in known else ""


def _chapters(bot: Bot, month: Month, list_id: str, made: Digest) -> Iterator[Chapter]:
    for row in reversed(bot.mailroom.issues()):
        planned = datetime.fromtimestamp(row.planned_at, bot.settings.newsletter.zone)
        if row.state not in _WENT_OUT or list_id not in row.lists or not month.holds(planned):
            continue
        chapter = _chapter(bot, row, made)
        if chapter is not None:
            made.issues.append(row.identity)
            made.items += len(chapter.entries)
            yield chapter


def _chapter(bot: Bot, row: IssueRow, made: Digest) -> Chapter | None:
    if row.selection != USUAL:
        segment = row.selection.segment
        if segment is not None:
            made.notes.append(f"{row.identity} was for the segment {segment.name} alone")
        return None
    try:
        issue = public(bot.read(bot.find(row.identity)))
    except NewsletterError:
        made.notes.append(f"{row.identity} has no file that can be read")
        return None
    url = bot.page_url(issue.identity)
    entries = tuple(Entry(one.title, f"{url}#{one.anchor}", _text(one)) for one in _shown(issue))
    if not entries:
        made.notes.append(f"{row.identity} has no items")
        return None
    return Chapter(issue.title, entries)


def _shown(issue: Issue) -> tuple[Item, ...]:
    """Return the picks, else the items that say themselves in a line, else all."""
    return issue.picks or tuple(one for one in issue.items if one.one_liner) or issue.items


def _text(item: Item) -> str:
    said = one_line(item)
    return "" if said == item.title else said


def _head(bot: Bot, month: Month, list_id: str, made: Digest) -> Head:
    words = Pages(bot.settings).theme.words(bot.settings.newsletter.language)
    said = _month_words(month, words)
    return Head(
        made.identity,
        words["digest_title"].format(month=said),
        words["digest_preheader"].format(month=said, count=len(made.issues)),
        (list_id,),
    )


def _month_words(month: Month, words: Mapping[str, str]) -> str:
    name = words["months"].split()[month.month - 1]
    return words["month_of"].format(month=name, year=month.year)
