"""Feeds of the newest issues (Atom, RSS, JSON Feed), and the sitemap of all pages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from lxml import etree

from newsletter_bot.rendering.public import legible
from newsletter_bot.settings import Settings

_ATOM = "http://www.w3.org/2005/Atom"
_CONTENT = "http://purl.org/rss/1.0/modules/content/"
_DC = "http://purl.org/dc/elements/1.1/"
_SITEMAP = "http://www.sitemaps.org/schemas/sitemap/0.9"
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)  # when an empty feed was last changed


@dataclass(frozen=True, slots=True)
class Entry:
    """One issue in a feed: its page's address is its id, its HTML holds absolute addresses only."""

    url: str
    title: str
    summary: str
    html: str
    on: datetime
    language: str
    tags: tuple[str, ...] = ()
    image: str | None = None


def atom(settings: Settings, entries: Sequence[Entry]) -> bytes:
    """Write an Atom feed (RFC 4287)."""
    newsletter = settings.newsletter
    feed = etree.Element(
        f"{{{_ATOM}}}feed", {_XML_LANG: newsletter.language}, nsmap=_default(_ATOM)
    )
    _add(feed, "id", f"{newsletter.url}/")
    _add(feed, "title", newsletter.name)
    if newsletter.description:
        _add(feed, "subtitle", newsletter.description)
    _add(feed, "updated", _stamp(_newest(entries)))
    _add(_add(feed, "author"), "name", newsletter.name)
    _add(feed, "link", rel="self", type="application/atom+xml", href=f"{newsletter.url}/feed.atom")
    _add(feed, "link", rel="alternate", type="text/html", href=f"{newsletter.url}/")
    for entry in entries:
        _add_atom_entry(feed, entry)
    return _document(feed)


def rss(settings: Settings, entries: Sequence[Entry]) -> bytes:
    """Write an RSS 2.0 feed (RSS Advisory Board, 2.0.11) with the whole text of each issue."""
    newsletter = settings.newsletter
    root = etree.Element(
        "rss", {"version": "2.0"}, nsmap={"atom": _ATOM, "content": _CONTENT, "dc": _DC}
    )
    channel = _add(root, "channel")
    _add(channel, "title", newsletter.name)
    _add(channel, "link", f"{newsletter.url}/")
    _add(channel, "description", newsletter.description or newsletter.name)
    _add(channel, "language", newsletter.language)
    _add(channel, "lastBuildDate", format_datetime(_newest(entries)))
    address = f"{newsletter.url}/feed.rss"
    _add(channel, f"{{{_ATOM}}}link", rel="self", type="application/rss+xml", href=address)
    for entry in entries:
        _add_rss_item(channel, entry, newsletter.name)
    return _document(root)


def json_feed(settings: Settings, entries: Sequence[Entry]) -> bytes:
    """Write a JSON Feed (version 1.1, jsonfeed.org)."""
    newsletter = settings.newsletter
    feed: dict[str, Any] = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": legible(newsletter.name),
        "home_page_url": f"{newsletter.url}/",
        "feed_url": f"{newsletter.url}/feed.json",
        "language": newsletter.language,
        "authors": [{"name": legible(newsletter.name)}],
        "items": [_json_item(entry) for entry in entries],
    }
    if newsletter.description:
        feed["description"] = legible(newsletter.description)
    return json.dumps(feed, ensure_ascii=False, indent=1).encode() + b"\n"


def sitemap(settings: Settings, pages: Sequence[tuple[str, datetime]]) -> bytes:
    """Write the addresses of all pages and when they changed (sitemaps.org, 0.9)."""
    root = etree.Element(f"{{{_SITEMAP}}}urlset", nsmap=_default(_SITEMAP))
    home = (f"{settings.newsletter.url}/", max((on for _, on in pages), default=None))
    for address, on in (home, *pages):
        url = _add(root, "url")
        _add(url, "loc", address)
        if on is not None:
            _add(url, "lastmod", _stamp(on))
    return _document(root)


def _add_atom_entry(feed: etree._Element, entry: Entry) -> None:
    one = _add(feed, "entry")
    one.set(_XML_LANG, entry.language)
    _add(one, "id", entry.url)
    _add(one, "title", entry.title)
    _add(one, "link", rel="alternate", type="text/html", href=entry.url)
    _add(one, "published", _stamp(entry.on))
    _add(one, "updated", _stamp(entry.on))
    for tag in entry.tags:
        _add(one, "category", term=tag)
    if entry.summary:
        _add(one, "summary", entry.summary)
    _add(one, "content", entry.html, type="html")


def _add_rss_item(channel: etree._Element, entry: Entry, author: str) -> None:
    item = _add(channel, "item")
    _add(item, "title", entry.title)
    _add(item, "link", entry.url)
    _add(item, "guid", entry.url, isPermaLink="true")
    _add(item, "pubDate", format_datetime(entry.on))
    _add(item, f"{{{_DC}}}creator", author)
    for tag in entry.tags:
        _add(item, "category", tag)
    _add(item, "description", entry.summary or entry.title)
    _add(item, f"{{{_CONTENT}}}encoded", entry.html)


def _json_item(entry: Entry) -> dict[str, Any]:
    item: dict[str, Any] = {
        "id": entry.url,
        "url": entry.url,
        "title": entry.title,
        "content_html": entry.html,
        "date_published": _stamp(entry.on),
        "language": entry.language,
    }
    optional = {"summary": entry.summary, "image": entry.image, "tags": list(entry.tags)}
    return item | {name: value for name, value in optional.items() if value}


def _add(parent: etree._Element, name: str, text: str = "", **attributes: str) -> etree._Element:
    # lxml refuses characters that XML cannot hold; one stray control character is no reason to
    # have no feed.
    clean = {key: legible(value) for key, value in attributes.items()}
    namespace = parent.nsmap.get(None)
    tag = f"{{{namespace}}}{name}" if namespace and not name.startswith("{") else name
    child = etree.SubElement(parent, tag, clean)
    child.text = legible(text) or None
    return child


def _default(namespace: str) -> dict[str, str]:
    names: dict[Any, str] = {None: namespace}  # lxml-stubs 0.5.1 does not know of None
    return names


def _newest(entries: Sequence[Entry]) -> datetime:
    return max((entry.on for entry in entries), default=_NEVER)


def _stamp(on: datetime) -> str:
    return on.isoformat(timespec="seconds")


def _document(root: etree._Element) -> bytes:
    return etree.tostring(root, xml_declaration=True, encoding="utf-8", pretty_print=True)
