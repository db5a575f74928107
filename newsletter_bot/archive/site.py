"""The static site: front page, a page for each issue, feeds, sitemap."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

import lxml.html

from newsletter_bot.archive import feeds
from newsletter_bot.archive.folder import Content, SiteFolder
from newsletter_bot.errors import DataError
from newsletter_bot.issues.model import Issue
from newsletter_bot.rendering.addresses import page_url
from newsletter_bot.rendering.theme import direction
from newsletter_bot.rendering.web_page import Article, Neighbour, Pages, render_page, web_article
from newsletter_bot.settings import Settings

_IDENTITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_IN_FEEDS = 20  # the newest issues; the front page and the sitemap list all


@dataclass(frozen=True, slots=True)
class Published:
    """An issue that the world may read, and since when."""

    issue: Issue
    on: datetime

    @property
    def listed(self) -> bool:
        """False where the page is there for those alone who have its address."""
        return self.issue.is_for_all


@dataclass(frozen=True, slots=True)
class SiteReport:
    """What a build did: how many issues there are, and the files it wrote and removed."""

    folder: Path
    pages: int
    written: tuple[str, ...]
    removed: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the counts, as `archive build --json` prints them."""
        return {
            "pages": self.pages,
            "written": len(self.written),
            "removed": len(self.removed),
            "folder": str(self.folder),
        }


@dataclass(frozen=True, slots=True)
class _Page:
    article: Article
    on: datetime

    @property
    def identity(self) -> str:
        return self.article.issue.identity

    @property
    def title(self) -> str:
        return self.article.issue.title

    @property
    def preheader(self) -> str:
        return self.article.issue.preheader

    @property
    def language(self) -> str:
        return self.article.issue.language

    @property
    def direction(self) -> str:
        return direction(self.language)

    @property
    def day(self) -> date:
        return self.on.date()

    @property
    def neighbour(self) -> Neighbour:
        return Neighbour(self.identity, self.title)


def build_site(pages: Sequence[Published], settings: Settings, out: Path) -> SiteReport:
    """Make `out` the site of these issues; the same issues give the same bytes.

    Files there that no build made are kept. Raises DataError when two issues have one identity,
    when an identity is no safe name, or when a foreign file is in the way.
    """
    _refuse_bad_identities([page.issue for page in pages])
    templates = Pages(settings)
    zone = settings.newsletter.zone
    newest_first = sorted(pages, key=lambda one: (one.on, one.issue.identity), reverse=True)
    made = [
        _Page(web_article(templates, one.issue), one.on.astimezone(zone))
        for one in newest_first
        if one.listed
    ]
    files = {**_front(templates, made), **_issue_files(templates, made), **_feeds(settings, made)}
    for one in newest_first:
        if not one.listed:
            article = web_article(templates, one.issue)
            files.update(_page_files(article, render_page(templates, article, None)))
    changes = SiteFolder(out).publish(files)
    return SiteReport(out, len(made), changes.written, changes.removed)


def _refuse_bad_identities(issues: Sequence[Issue]) -> None:
    known: dict[str, Path] = {}
    for issue in issues:
        if not _IDENTITY.fullmatch(issue.identity):
            raise DataError(
                f"{issue.path}: {issue.identity!r} cannot be a page's address.",
                "Give it an `issue:` of letters, digits, dots, hyphens and underscores.",
            )
        # Folded, as two names that differ in case are one file on some disks.
        first = known.setdefault(issue.identity.casefold(), issue.path)
        if first != issue.path:
            raise DataError(
                f"{first} and {issue.path} are both issue {issue.identity!r}.",
                "Give one of them another `issue:`, or remove it.",
            )


def _front(templates: Pages, made: Sequence[_Page]) -> dict[str, Content]:
    newsletter = templates.settings.newsletter
    years = [(year, list(group)) for year, group in groupby(made, key=lambda one: one.day.year)]
    index = templates.render("index.html.j2", newsletter.language, years=years)
    lost = templates.render("404.html.j2", newsletter.language)
    robots = f"User-agent: *\nAllow: /\n\nSitemap: {newsletter.url}/sitemap.xml\n"
    return {
        "index.html": index.encode(),
        "404.html": lost.encode(),
        "robots.txt": robots.encode(),
    }


def _issue_files(templates: Pages, made: Sequence[_Page]) -> dict[str, Content]:
    files: dict[str, Content] = {}
    for at, page in enumerate(made):
        newer = made[at - 1].neighbour if at else None
        older = made[at + 1].neighbour if at + 1 < len(made) else None
        html = render_page(templates, page.article, page.day, newer, older)
        files.update(_page_files(page.article, html))
    return files


def _page_files(article: Article, html: str) -> dict[str, Content]:
    folder = f"archive/{article.issue.identity}"
    pictures = {f"{folder}/{place}": path for place, path in article.pictures.items()}
    return {f"{folder}/index.html": html.encode(), **pictures}


def _feeds(settings: Settings, made: Sequence[_Page]) -> dict[str, Content]:
    entries = [_entry(settings, page) for page in made[:_IN_FEEDS]]
    addresses = [(page_url(settings, page.identity), page.on) for page in made]
    return {
        "feed.atom": feeds.atom(settings, entries),
        "feed.rss": feeds.rss(settings, entries),
        "feed.json": feeds.json_feed(settings, entries),
        "sitemap.xml": feeds.sitemap(settings, addresses),
    }


def _entry(settings: Settings, page: _Page) -> feeds.Entry:
    url = page_url(settings, page.identity)
    first = page.article.first_picture
    return feeds.Entry(
        url=url,
        title=page.title,
        summary=page.preheader,
        html=_absolute(page.article.html, url),
        on=page.on,
        language=page.language,
        tags=page.article.issue.tags,
        image=url + quote(first[0]) if first else None,
    )


def _absolute(html: str, url: str) -> str:
    """Write every address in full: a feed is read far from the page it came from."""
    root = lxml.html.fragment_fromstring(html, create_parent="div")
    root.make_links_absolute(url, handle_failures="ignore")
    written: str = lxml.html.tostring(root, encoding="unicode")
    return written
