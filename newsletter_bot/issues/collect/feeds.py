"""RSS, Atom and JSON feeds → links; the bytes were fetched already and are hostile."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from io import BytesIO
from typing import Any
from urllib.parse import urljoin

import feedparser

from newsletter_bot.issues.collect.links import Found, is_web_address

_MOST = 500  # entries of one feed
_TAG = re.compile(r"<[^<>]{0,1000}>")


class FeedError(Exception):
    """What came is no feed; says so in a few words."""


def read_feed(content: bytes, address: str) -> list[Found]:
    """Return a feed's links, in its order; raises FeedError when it is none."""
    if content.lstrip()[:1] == b"{":
        return _checked(_json(content), address)
    try:
        feed = feedparser.parse(
            BytesIO(content), response_headers={"content-location": address}, sanitize_html=True
        )
    except Exception as error:
        raise FeedError(f"it cannot be read: {type(error).__name__}") from error
    if not feed.get("version") and not feed.entries:
        raise FeedError("it is no feed")
    source = str(feed.feed.get("title", ""))
    found = ((one.get("link", ""), one.get("title", ""), source) for one in feed.entries[:_MOST])
    return _checked(found, address)


def _json(content: bytes) -> Iterator[tuple[Any, Any, Any]]:
    try:
        feed = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise FeedError("it is no JSON") from error
    items = feed.get("items") if isinstance(feed, dict) else None
    if not isinstance(items, list):
        raise FeedError("it is no JSON Feed")
    for one in items[:_MOST]:
        if isinstance(one, dict):
            link = one.get("external_url") or one.get("url")
            yield link, one.get("title") or one.get("content_text"), feed.get("title")


def _checked(entries: Any, address: str) -> list[Found]:
    found = []
    for link, title, source in entries:
        if not isinstance(link, str) or not link:
            continue
        try:
            url = urljoin(address, link.strip())
        except ValueError:
            continue
        if is_web_address(url):
            found.append(Found(url, _words(title), _words(source) or address))
    return found


def _words(text: object) -> str:
    """Return a title without tags: feeds may write it as HTML."""
    if not isinstance(text, str):
        return ""
    return html.unescape(_TAG.sub("", text[:2000])).strip()
