"""What the preview shows of an issue: its renderings, or what stands in the way of them."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

from newsletter_bot.bot import Bot
from newsletter_bot.errors import IssueFileError, NewsletterError, Problem
from newsletter_bot.rendering.model import filled

_DARK = re.compile(r"\(\s*prefers-color-scheme\s*:\s*dark\s*\)")
_SCHEMES = re.compile(r"color-scheme:\s*light dark|content=\"light dark\"")


@dataclass(frozen=True, slots=True)
class Look:
    """One state of the issue, rendered; `errors` tell why it may be older than the file."""

    title: str = ""
    subject: str = ""
    preheader: str = ""
    sender: str = ""
    html: str = ""
    text: str = ""
    web: str = ""
    problems: tuple[Problem, ...] = ()
    errors: tuple[Problem, ...] = ()
    fault: str = ""
    own_pages: str = ""

    @property
    def size(self) -> int:
        """Bytes of the HTML part."""
        return len(self.html.encode())

    def mail(self, scheme: str) -> str:
        """Return the mail as a reader with that colour scheme sees it, whatever the desktop's."""
        query = _DARK.sub("all" if scheme == "dark" else "not all", self.html)
        fixed = _SCHEMES.sub(lambda one: one[0].replace("light dark", scheme), query)
        return fixed.replace(self.own_pages, "/issue/") if self.own_pages else fixed


@dataclass
class Viewer:
    """Renders when asked about a version it has not seen; keeps the last good look."""

    folder: Path
    issue: Path
    _look: Look = field(default_factory=Look)
    _version: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self, version: int) -> Look:
        """Return what the files say now."""
        with self._lock:
            if version != self._version:
                self._look = self._made()
                self._version = version
            return self._look

    def _made(self) -> Look:
        try:
            bot = Bot.open(self.folder)
            issue = bot.read(self.issue)
            rendering = bot.render(issue)
            values = bot.sample_values()
            settings = bot.settings.newsletter
            return Look(
                title=issue.title,
                subject=filled(rendering.subjects[0], values),
                preheader=issue.preheader,
                sender=settings.name,
                html=filled(rendering.html, values),
                text=filled(rendering.text, values),
                web=bot.web_page(issue),
                problems=bot.check(issue),
                own_pages=f"{settings.url}/archive/{issue.identity}/",
            )
        except IssueFileError as error:
            return replace(self._look, errors=error.problems, fault="")
        except NewsletterError as error:
            fault = f"{error.message} {error.next_step}".strip()
            return replace(self._look, errors=(), fault=fault)
