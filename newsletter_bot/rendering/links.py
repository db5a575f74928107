"""The links of a finished mail that may be counted, each marked where it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import urlsplit

from newsletter_bot.issues.links import fault
from newsletter_bot.issues.model import Body, Card, Slot
from newsletter_bot.issues.slots import holds_slot, in_words
from newsletter_bot.rendering.tracking import TrackedLink
from newsletter_bot.rendering.view import MailView

# Comments hold what Outlook alone sees; nothing of it is a link that our themes write.
_LINK = re.compile(
    r"""<!--.*?-->|<(?:style|script)\b.*?</(?:style|script)>"""
    r"""|<a\b(?P<tag>(?:"[^"]*"|'[^']*'|[^"'<>])*)>(?P<inside>.*?)</a>""",
    re.DOTALL | re.IGNORECASE,
)
_HREF = re.compile(r'(?<=\shref=")[^"]*(?=")')
_TAG = re.compile(r"<[^>]*>")
_HOST = re.compile(r"(?:[a-z0-9-]+\.)+[a-z]{2,24}(?::\d+)?(?:[/?#]\S*)?", re.IGNORECASE)
_LONGEST = 200  # characters of a link's text
# The pages of ours that act for a reader, and those that count (web/readers.py).
_PAGES = frozenset({"a", "c", "o", "p", "r", "subscribe", "u"})


@dataclass(frozen=True, slots=True)
class Marked:
    """A mail's HTML with a marker for the address of each link that is counted."""

    html: str
    slots: tuple[Slot, ...]  # the direct address is what stands there unless something is put in
    links: tuple[TrackedLink, ...]


def slot_name(number: int) -> str:
    """Return the name of the hole that a tracked link leaves; no field can be called so."""
    return f"link:{number}"


def marked(html: str, view: MailView) -> Marked:
    """Find the links to count: to other sites, and to items on our own.

    Left alone are mail and telephone addresses, anchors, addresses with a slot, our own other
    pages, and every link whose text shows an address: a filter takes one that leads elsewhere than
    it says for a fraud.
    """
    finder = _Finder(view, _items_by_url(view))
    html = _LINK.sub(finder.replaced, html)
    return Marked(html, tuple(finder.slots.values()), tuple(finder.links))


@dataclass
class _Finder:
    view: MailView
    items: dict[str, tuple[str, str]]  # of an address: the item's anchor and title
    slots: dict[str, Slot] = field(default_factory=dict)
    links: list[TrackedLink] = field(default_factory=list)

    def replaced(self, link: re.Match[str]) -> str:
        tag = link["tag"]
        href = tag and _HREF.search(tag)
        if not href:
            return link[0]
        url, text = unescape(href[0]), _text(link["inside"])
        if not self._is_counted(url) or shows_address(text):
            return link[0]
        before, after = tag[: href.start()], tag[href.end() :]
        return f"<a{before}{self._marker(url, text)}{after}>{link['inside']}</a>"

    def _marker(self, url: str, text: str) -> str:
        """Return the marker of an address: a link that stands twice is one."""
        if url not in self.slots:
            number = len(self.links)
            item, title = self.items.get(url, ("", text[:_LONGEST]))
            self.links.append(TrackedLink(url, item, in_words(title, self.view.issue.slots)))
            marker = f"zq9k{number}x{self.view.infix}9qz"
            self.slots[url] = Slot(slot_name(number), url, marker, 1)
        return self.slots[url].marker

    def _is_counted(self, url: str) -> bool:
        if not url.startswith(("https://", "http://")) or not url.isascii():
            return False
        if holds_slot(url) or fault(url):
            return False
        own = urlsplit(self.view.settings.newsletter.url).hostname
        parts = urlsplit(url)
        if parts.hostname != own:
            return True
        page = parts.path.lstrip("/").partition("/")[0]
        return url in self.items and page not in _PAGES and url != self.view.page_url


def shows_address(text: str) -> bool:
    """Tell whether a link's text is an address or host, or has one that says `https://`."""
    words = text.split()
    return "://" in text or (bool(words) and all(_HOST.fullmatch(one) for one in words))


def _text(inside: str) -> str:
    return " ".join(unescape(_TAG.sub(" ", inside)).split())


def _items_by_url(view: MailView) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for item in view.issue.items:
        addresses = [item.url] if item.url else []
        for url in (*addresses, *_in_body(item.body)):
            found.setdefault(view.url(url), (item.anchor, item.title))
    return found


def _in_body(body: Body) -> Iterator[str]:
    for part in body:
        if isinstance(part, Card):
            yield part.url
        else:
            yield from map(unescape, _HREF.findall(part.html))
