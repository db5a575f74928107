"""How the public web answers with a page: its look, its words, and the headers that guard it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fastapi.responses import HTMLResponse, Response

from newsletter_bot.rendering.web_page import Pages, style_hash
from newsletter_bot.settings import Settings

_POLICY = "default-src 'none'; img-src 'self'; form-action 'self'; base-uri 'none'"
# What ALTCHA's widget needs, on the sign-up form alone.
_SCRIPTS = "script-src 'self'; worker-src 'self'; connect-src 'self'"
_SITE = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?")
_PART = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Guard:
    """What a page may do, and who may show, index and learn of it."""

    scripts: bool = False
    frames: tuple[str, ...] = ()  # addresses of sites that may show it in a frame
    referrer: str = "no-referrer"
    indexed: bool = False

    def policy(self, style: str) -> str:
        """Return what the page itself may load and do (CSP level 3)."""
        styles = f"style-src {style_hash(style)}"
        return f"{_POLICY}; {_SCRIPTS}; {styles} 'self'" if self.scripts else f"{_POLICY}; {styles}"

    def headers(self, style: str) -> dict[str, str]:
        """Return the headers of the answer."""
        sites = " ".join(_site(one) for one in self.frames) or "'none'"
        index = {} if self.indexed else {"X-Robots-Tag": "noindex"}
        return {
            "Content-Security-Policy": f"{self.policy(style)}; frame-ancestors {sites}",
            "Cache-Control": "no-store",
            "Referrer-Policy": self.referrer,
            "X-Content-Type-Options": "nosniff",
            "Vary": "Accept-Language",
            **index,
        }


PRIVATE = Guard()  # a page behind a token


@dataclass(frozen=True, slots=True)
class Notice:
    """A page with one message, and a button where it asks something."""

    title: str
    texts: tuple[str, ...] = ()
    items: tuple[str, ...] = ()  # names of lists
    button: str = ""
    links: tuple[tuple[str, str], ...] = ()  # address and words
    contact: bool = False  # tells whom to write to
    status: int = 200


class Answers:
    """Makes the pages of one newsletter; safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._pages = Pages(settings)
        self._kept: dict[tuple[str, Notice], Response] = {}

    def say(self, language: str, word: str, **parts: object) -> str:
        """Return one of the pages' words, with what stands for its `{parts}`."""
        values = {"newsletter": self.settings.newsletter.name, **parts}
        text = self._pages.words(language)[word]
        return _PART.sub(lambda found: str(values.get(found[1], found[0])), text)

    def link(self, path: str) -> str:
        """Return the public address of one of our pages."""
        return f"{self.settings.newsletter.url}/{path}"

    def names(self, lists: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of these lists; of the newsletter where none of them is left."""
        known = tuple(one.name for one in self.settings.lists if one.id in lists)
        return known or (self.settings.newsletter.name,)

    def languages(self) -> tuple[tuple[str, str], ...]:
        """Return the languages that readers may choose from, each with its own name for itself."""
        return tuple((one, self._own_name(one)) for one in self.settings.signup.languages)

    def _own_name(self, language: str) -> str:
        name = self._pages.words(language)["own_name"]
        foreign = name == self._pages.words("en")["own_name"] and not language.startswith("en")
        return language if foreign else name

    def notice(self, language: str, notice: Notice, headers: Mapping[str, str] = {}) -> Response:
        """Answer with a message."""
        return self._answer(self._written(language, notice), notice.status, PRIVATE, headers)

    def kept(self, language: str, notice: Notice) -> Response:
        """Answer with a message that is the same for everybody, and written only once."""
        known = self._kept.get((language, notice))
        if known is None:
            html = self._written(language, notice)
            known = self._kept[language, notice] = self._answer(html, notice.status, PRIVATE)
        answer = copy(known)
        answer.raw_headers = list(known.raw_headers)  # which who asked may add to
        return answer

    def dead(self, language: str) -> Response:
        """Answer for a token that we did not make, or whose person or request is gone.

        Nobody learns which of these it is.
        """
        title, text = self.say(language, "dead_link"), self.say(language, "dead_link_text")
        return self.kept(language, Notice(title, (text,), contact=True, status=404))

    def page(
        self,
        template: str,
        language: str,
        *,
        status: int = 200,
        guard: Guard = PRIVATE,
        headers: Mapping[str, str] = {},
        **values: Any,
    ) -> Response:
        """Answer with a page of its own template."""
        return self._answer(self._render(template, language, guard, values), status, guard, headers)

    def _written(self, language: str, notice: Notice) -> bytes:
        return self._render("notice.html.j2", language, PRIVATE, {"notice": notice})

    def _render(self, template: str, language: str, guard: Guard, values: dict[str, Any]) -> bytes:
        return self._pages.render(
            template,
            language,
            forms=True,
            policy=guard.policy(self._pages.form_style),
            referrer=guard.referrer,
            say=lambda word, **parts: self.say(language, word, **parts),
            **values,
        ).encode()

    def _answer(
        self, html: bytes, status: int, guard: Guard, more: Mapping[str, str] = {}
    ) -> Response:
        return HTMLResponse(html, status, {**guard.headers(self._pages.form_style), **more})


def _site(address: str) -> str:
    """Return a site as a policy names it; 'none' for what would be more than one source."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}" if _SITE.fullmatch(parts.netloc) else "'none'"
