from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import feedparser
import pytest
from lxml import etree

from newsletter_bot.archive import feeds
from newsletter_bot.archive.feeds import Entry
from newsletter_bot.archive.site import SiteReport
from newsletter_bot.issues.model import Issue
from newsletter_bot.settings import Settings

HOSTILE = "</script> ]]> <![CDATA[ \"double\" 'single' & <b>bold</b> شبكة 汉字 🙂"
ENTRY = Entry(
    url="https://news.example.com/archive/2026-W01/",
    title=HOSTILE,
    summary=HOSTILE,
    html="<p>Text ]]&gt; &amp; <b>bold</b></p>",
    on=datetime(2026, 1, 4, 8, 0, tzinfo=UTC),
    language="en",
    tags=("machine-learning", HOSTILE),
    image="https://news.example.com/archive/2026-W01/img/x.png",
)
ATOM = "{http://www.w3.org/2005/Atom}"
WRITERS = [feeds.atom, feeds.rss]


def _strict(data: bytes) -> etree._Element:
    parser = etree.XMLParser(recover=False, resolve_entities=False, no_network=True)
    return etree.fromstring(data, parser)


@pytest.mark.parametrize("write", WRITERS)
def test_a_feed_parses_strictly_and_keeps_every_character(
    write: Callable[..., bytes], settings: Settings
) -> None:
    data = write(settings, [ENTRY])
    _strict(data)
    parsed: Any = feedparser.parse(data, sanitize_html=False)
    assert parsed.bozo == 0
    assert parsed.feed.title == "Weekly ML News"
    (entry,) = parsed.entries
    # A title of Atom is text; in RSS, which does not say, it is written as text as well.
    assert entry.title == HOSTILE
    assert entry.link == entry.id == ENTRY.url
    assert entry.content[0].value == ENTRY.html
    assert entry.published_parsed[:5] == (2026, 1, 4, 8, 0)
    assert [tag.term for tag in entry.tags] == list(ENTRY.tags)


@pytest.mark.parametrize("write", WRITERS)
def test_a_feed_without_entries_is_valid(write: Callable[..., bytes], settings: Settings) -> None:
    parsed: Any = feedparser.parse(write(settings, []))
    assert parsed.bozo == 0
    assert parsed.entries == []
    assert parsed.feed.updated


def test_an_atom_feed_has_what_rfc_4287_asks_for(settings: Settings) -> None:
    feed = _strict(feeds.atom(settings, [ENTRY]))
    for place in (feed, feed.find(f"{ATOM}entry")):
        assert place is not None
        for name in ("id", "title", "updated"):
            assert len(place.findall(f"{ATOM}{name}")) == 1
    assert feed.findtext(f"{ATOM}author/{ATOM}name") == "Weekly ML News"
    links = {link.get("rel"): link.get("href") for link in feed.findall(f"{ATOM}link")}
    assert links == {
        "self": "https://news.example.com/feed.atom",
        "alternate": "https://news.example.com/",
    }
    stamp = feed.findtext(f"{ATOM}updated")
    assert stamp is not None
    assert datetime.fromisoformat(stamp) == ENTRY.on


def test_an_rss_feed_names_itself_and_permanent_links(settings: Settings) -> None:
    channel = _strict(feeds.rss(settings, [ENTRY])).find("channel")
    assert channel is not None
    itself = channel.find(f"{ATOM}link")
    assert itself is not None
    assert itself.get("href") == "https://news.example.com/feed.rss"
    guid = channel.find("item/guid")
    assert guid is not None
    assert guid.get("isPermaLink") == "true"
    date = channel.findtext("item/pubDate")
    assert date is not None
    assert parsedate_to_datetime(date) == ENTRY.on


def test_a_json_feed_has_what_version_1_1_asks_for(settings: Settings) -> None:
    feed = json.loads(feeds.json_feed(settings, [ENTRY]))
    assert feed["version"] == "https://jsonfeed.org/version/1.1"
    assert feed["title"] == "Weekly ML News"
    (item,) = feed["items"]
    assert item["id"] == item["url"] == ENTRY.url
    assert item["title"] == HOSTILE
    assert item["content_html"] == ENTRY.html
    assert datetime.fromisoformat(item["date_published"]) == ENTRY.on
    assert item["tags"] == list(ENTRY.tags)


def test_characters_that_xml_cannot_hold_are_left_out(settings: Settings) -> None:
    table = settings.newsletter.model_copy(update={"name": "Weekly\x01 News\ufffe"})
    odd = settings.model_copy(update={"newsletter": table})
    for write in WRITERS:
        parsed: Any = feedparser.parse(write(odd, [ENTRY]))
        assert parsed.bozo == 0
        assert parsed.feed.title == "Weekly News"


def test_a_sitemap_lists_the_front_page_and_every_issue(settings: Settings) -> None:
    root = _strict(feeds.sitemap(settings, [(ENTRY.url, ENTRY.on)]))
    name = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
    assert [one.text for one in root.iter(f"{name}loc")] == [
        "https://news.example.com/",
        ENTRY.url,
    ]
    assert {one.text for one in root.iter(f"{name}lastmod")} == {"2026-01-04T08:00:00+00:00"}


def test_a_feed_carries_the_whole_issue_with_absolute_addresses(
    issue: Callable[..., Issue], build: Callable[..., SiteReport], newsletter: Path
) -> None:
    build(issue())
    feed = json.loads((newsletter / "site/feed.json").read_text(encoding="utf-8"))
    html = feed["items"][0]["content_html"]
    assert "Layers learn what to add" in html
    page = "https://news.example.com/archive/2026-W01/"
    assert f'href="{page}#very-deep-networks-can-be-trained"' in html
    addresses = re.findall(r' (?:href|src)="([^"]*)"', html)
    assert len(addresses) > 2
    assert all(address.startswith("https://") for address in addresses)
