"""What the preview shows of an issue at one moment: pages, plain text, and what is wrong."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parseaddr
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from newsletter_bot.bot import Bot
from newsletter_bot.errors import IssueFileError, NewsletterError, Problem, Severity
from newsletter_bot.issues.model import Issue
from newsletter_bot.rendering.addresses import page_url
from newsletter_bot.rendering.cut import Cutter
from newsletter_bot.rendering.model import filled
from newsletter_bot.settings import Settings

_OWN_POLICY = re.compile(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing wrong, as the page says it; `place` is file:line, or nothing."""

    place: str
    severity: Severity
    rule: str
    message: str


@dataclass(frozen=True, slots=True)
class Specimen:
    """An issue as an invented reader gets it; `version` changes when a page must be reloaded."""

    version: str
    title: str
    sender: str
    subjects: tuple[str, ...]
    preheader: str
    mail: str
    size: int  # bytes of the mail's HTML, as readers get it
    text: str
    web: str
    pictures: Mapping[str, Path]  # by the place they have beside the issue's public page
    wanted: tuple[Path, ...]  # the files behind all its pictures, those that are missing too


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The last good specimen, and what is wrong now; `fresh` when both are of the same files."""

    specimen: Specimen | None
    complaints: tuple[Complaint, ...]
    fresh: bool
    next_step: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return what the page in the browser needs to know."""
        return {
            "fresh": self.fresh,
            "next": self.next_step,
            "complaints": [
                {"place": c.place, "severity": c.severity, "rule": c.rule, "message": c.message}
                for c in self.complaints
            ],
            "specimen": self.specimen and _specimen_json(self.specimen),
        }


def take(folder: Path, path: Path, before: Specimen | None) -> Snapshot:
    """Look at the issue file `path` of the newsletter in `folder`; never raises.

    What cannot be rendered is told, and `before`, the last good specimen, stays.
    """
    try:
        # Opened anew each time: newsletter.toml may be what changed.
        bot = Bot.open(folder)
        issue = bot.read(path)
        specimen = _specimen(bot, issue)
        return Snapshot(specimen, _complaints(folder, path, bot.check(issue)), fresh=True)
    except IssueFileError as error:
        return Snapshot(before, _complaints(folder, path, error.problems), fresh=False)
    except NewsletterError as error:
        complaint = Complaint("", Severity.ERROR, "", error.message)
        return Snapshot(before, (complaint,), fresh=False, next_step=error.next_step)
    except Exception as error:  # noqa: BLE001 - a theme being written can raise anything at all
        message = f"{type(error).__name__}: {error}"
        complaint = Complaint("", Severity.ERROR, "", message)
        return Snapshot(before, (complaint,), fresh=False)


def mark(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file is saved (inode, nanoseconds, bytes); None without it."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _complaints(folder: Path, path: Path, problems: tuple[Problem, ...]) -> tuple[Complaint, ...]:
    shown = path.relative_to(folder) if path.is_relative_to(folder) else path
    return tuple(
        Complaint(f"{shown}:{one.line}", one.severity, one.rule, one.message) for one in problems
    )


def _specimen(bot: Bot, issue: Issue) -> Specimen:
    rendering, values = bot.render(issue), bot.sample_values()
    mail = filled(rendering.html, values)
    web = bot.web_page(issue)
    local = [image for image in issue.images if image.src and not image.is_remote]
    wanted = tuple(issue.path.parent / image.src for image in local)
    return Specimen(
        version=_version(mail, web, wanted),
        title=issue.title,
        sender=_sender(bot.settings),
        subjects=tuple(filled(subject, values) for subject in rendering.subjects),
        preheader=filled(Cutter(issue.slots, issue.only_blocks).plain(issue.preheader), values),
        mail=_with_local_pictures(mail, page_url(bot.settings, issue.identity)),
        size=len(mail.encode()),
        text=filled(rendering.text, values),
        web=_OWN_POLICY.sub("", web),  # the preview sends its own, which is as strict
        pictures={_place(image.src): image.path for image in local if image.path},
        wanted=wanted,
    )


def _version(mail: str, web: str, pictures: tuple[Path, ...]) -> str:
    content = repr((mail, web, [mark(path) for path in pictures]))
    return hashlib.sha256(content.encode(errors="replace")).hexdigest()[:16]


def _sender(settings: Settings) -> str:
    name, address = parseaddr(settings.newsletter.from_)
    return name or address


def _with_local_pictures(mail: str, page: str) -> str:
    # The archive may not be published yet; its addresses below the page are the preview's too.
    return mail.replace(f'src="{escape(page)}', 'src="')


def _place(src: str) -> str:
    return posixpath.normpath(unquote(src))


def _specimen_json(specimen: Specimen) -> dict[str, Any]:
    return {
        "version": specimen.version,
        "title": specimen.title,
        "sender": specimen.sender,
        "subjects": specimen.subjects,
        "preheader": specimen.preheader,
        "size": specimen.size,
        "text": specimen.text,
    }
