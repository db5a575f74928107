"""The public web page of an issue, whole in one file: no script, no subscriber in scope."""

from __future__ import annotations

import base64
import hashlib
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import nh3
from markupsafe import Markup

from newsletter_bot.issues.model import Body, Card, Image, Issue, Item, Section
from newsletter_bot.issues.sanitise import is_safe_address
from newsletter_bot.rendering.addresses import page_url
from newsletter_bot.rendering.prose import Attributes, dressed
from newsletter_bot.rendering.public import public
from newsletter_bot.rendering.theme import Theme, direction
from newsletter_bot.settings import Settings
from newsletter_bot.shipped import template_folders

# What may stand in a headline; anything else loses its tags and keeps its text.
_IN_HEADLINES = frozenset(
    "abbr b cite code del em i ins kbd mark q s small strong sub sup u var".split()
)
# Formats every browser shows and none runs: an SVG opened by itself could run scripts.
_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif"})
# What a page of the archive may do, beside wearing its own style sheet.
_POLICY = "default-src 'none'; img-src 'self' https: data:; base-uri 'none'; form-action 'none'"
_TITLE_TAG = re.compile(r"<(/?)h1\b")


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The issue before or after, to which a page links."""

    identity: str
    title: str


@dataclass(frozen=True, slots=True)
class Article:
    """An issue's text for the web; picture files by the place they take beside the page."""

    issue: Issue
    html: str
    pictures: Mapping[str, Path]

    @property
    def first_picture(self) -> tuple[str, Image] | None:
        """The place and the picture that stand for the issue where it is linked."""
        for image in (item.image for item in self.issue.items):
            place = _place(image) if image else None
            if image and place and place in self.pictures:
                return place, image
        return None


@dataclass(frozen=True)
class Pages:
    """The page templates of a newsletter: its own `templates/web/` wins over what we ship."""

    settings: Settings

    @cached_property
    def theme(self) -> Theme:
        """Templates and words; a mail theme's loader does for pages too."""
        return Theme("web", tuple(template_folders(self.settings.folder, "web")))

    @cached_property
    def style(self) -> str:
        """The style sheet, written into each page so that a page is whole by itself."""
        return self._sheet("style.css")

    @cached_property
    def form_style(self) -> str:
        """The same with what forms need beside it: issues are not made larger by it."""
        return f"{self.style}\n{self._sheet('forms.css')}"

    def words(self, language: str) -> Mapping[str, str]:
        """Return the pages' words in a language; English where it has none."""
        if language not in self._words:
            self._words[language] = self.theme.words(language)
        return self._words[language]

    @cached_property
    def _words(self) -> dict[str, Mapping[str, str]]:
        return {}

    def render(self, template: str, language: str, *, forms: bool = False, **values: Any) -> str:
        """Fill a page template; raises ConfigurationError naming the template's line.

        `forms` gives it the style sheet of forms too.
        """
        style = self.form_style if forms else self.style
        words, newsletter = self.words(language), self.settings.newsletter
        return self.theme.render(
            template,
            {
                "newsletter": newsletter,
                "language": language,
                "direction": direction(language),
                "words": words,
                "style": Markup(style),  # noqa: S704 - the operator's own file
                "policy": f"{_POLICY}; style-src {style_hash(style)}",
                "referrer": "strict-origin-when-cross-origin",
                "subscribe_url": f"{newsletter.url}/subscribe" if self.settings.signup.open else "",
                "written": lambda day: _written(day, words),
                **values,
            },
        )

    def _sheet(self, name: str) -> str:
        found = [one for one in self.theme.folders if (one / name).is_file()]
        return (found[0] / name).read_text(encoding="utf-8").strip()


@lru_cache(maxsize=8)
def style_hash(style: str) -> str:
    """Return the source expression (CSP level 3) that allows this style sheet in a page."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def render_web(
    issue: Issue,
    settings: Settings,
    *,
    published: date | None,
    newer: Neighbour | None = None,
    older: Neighbour | None = None,
) -> str:
    """Return the complete page of an issue, with what a stranger may see of it.

    Raises ConfigurationError for a template that cannot be used.
    """
    pages = Pages(settings)
    return render_page(pages, web_article(pages, issue), published, newer, older)


def render_page(
    pages: Pages,
    article: Article,
    published: date | None,
    newer: Neighbour | None = None,
    older: Neighbour | None = None,
) -> str:
    """Put an article into its page."""
    issue, first = article.issue, article.first_picture
    url = page_url(pages.settings, issue.identity)
    return pages.render(
        "issue.html.j2",
        issue.language,
        issue=issue,
        article=Markup(article.html),  # noqa: S704 - rendered with autoescape by `web_article`
        url=url,
        picture=first and {"url": url + quote(first[0]), "alt": first[1].alt},
        published=published,
        newer=newer,
        older=older,
    )


def web_article(pages: Pages, issue: Issue) -> Article:
    """Render the text of an issue, without page and title, as feeds want it as well."""
    known = public(issue)
    view = _View(known, pages.words(known.language)["missing_picture"])
    html = pages.render("article.html.j2", known.language, issue=known, page=view)
    return Article(known, html.strip(), view.pictures)


@dataclass
class _View:
    """Offered to the article's template as `page`: an issue's parts as safe HTML."""

    issue: Issue
    missing: str
    pictures: dict[str, Path] = field(default_factory=dict)

    def headline(self, part: Item | Section) -> Markup:
        """Return a title with its emphasis and code, and nothing that cannot be in a heading."""
        cleaned = nh3.clean(part.title_html, tags=set(_IN_HEADLINES), attributes={})
        return Markup(cleaned) if cleaned else Markup("{}").format(part.title)  # noqa: S704

    def link(self, url: str | None) -> str:
        """Return an address that may be linked to, else nothing."""
        return url if url and is_safe_address(url) else ""

    def body(self, parts: Body) -> list[Card | Markup]:
        """Return prose and cards in order."""
        return [part if isinstance(part, Card) else self.html(part.html) for part in parts]

    def html(self, value: str) -> Markup:
        """Prepare sanitised HTML for the page: pictures, links, one h1 alone."""
        html = dressed(value, self._dress).replace(" />", ">")
        return Markup(_TITLE_TAG.sub(r"<\1h2", html))  # noqa: S704 - sanitised when it was read

    def picture(self, image: Image) -> Markup:
        """Show a picture, or a labelled place for one that cannot be shown; copies come later."""
        place = image.src if image.is_remote else _place(image)
        if place is None:
            what = image.alt or image.src
            return Markup('<span class="missing">{}: {}</span>').format(self.missing, what)
        if image.path is not None:
            self.pictures[place] = image.path
        source = place if image.is_remote else quote(place)
        size = Markup(' width="{}" height="{}"').format(image.width, image.height)
        return Markup('<img src="{}" alt="{}"{} loading="lazy">').format(
            source, image.alt, size if image.width and image.height else ""
        )

    def _dress(self, tag: str, attributes: Attributes) -> str | None:
        if tag == "a" and attributes.get("href", "").startswith(("https://", "http://")):
            attributes["rel"] = "noopener"
        if side := attributes.pop("align", ""):
            attributes["class"] = f"align-{side}"
        if tag == "img":
            source = attributes.get("src", "")
            known = {image.src: image for image in self.issue.images}
            return str(self.picture(known.get(source, Image(source, attributes.get("alt", ""), 1))))
        return None


def _place(image: Image) -> str | None:
    """Return where beside the page a picture file goes; None when it has no place there."""
    place = posixpath.normpath(unquote(image.src))
    inside = not place.startswith(("/", "../", "."))
    return place if image.path and inside and Path(place).suffix.lower() in _PICTURES else None


def _written(day: date, words: Mapping[str, str]) -> str:
    month = words["months"].split()[day.month - 1]
    return words["date"].format(day=day.day, month=month, year=day.year)
