from __future__ import annotations

import contextlib
import json
import plistlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from newsletter_bot.errors import DataError
from newsletter_bot.issues.collect.collector import Collector, Sourced
from newsletter_bot.issues.collect.feeds import FeedError, read_feed
from newsletter_bot.issues.collect.inbox import Inbox
from newsletter_bot.issues.collect.links import Found
from newsletter_bot.settings import Settings, load
from newsletter_bot.settings.service import CollectTable
from tests.servers.page_server import Page, PageServer, page_server

NOON = 1_800_000_000.0


def rss(*items: tuple[str, str]) -> bytes:
    entries = "".join(
        f"<item><title>{title}</title><link>{link}</link></item>" for title, link in items
    )
    return f'<rss version="2.0"><channel><title>A feed</title>{entries}</channel></rss>'.encode()


ATOM = b"""<feed xmlns="http://www.w3.org/2005/Atom"><title>Papers</title>
<entry><title>A paper</title><link href="https://arxiv.org/abs/2102.06171v2"/></entry></feed>"""
JSON_FEED = json.dumps(
    {
        "version": "https://jsonfeed.org/version/1.1",
        "title": "JSON",
        "items": [{"url": "https://example.com/json", "title": "From JSON"}, "no item", {}],
    }
).encode()


@dataclass
class Week:
    """A newsletter's sources, on a server of this machine."""

    engine: Engine
    settings: Settings
    server: PageServer
    now: float = NOON
    past: list[str] = field(default_factory=list)

    def sources(self, **table: Any) -> None:
        collect = CollectTable.model_validate({"allow_private": True, **table})
        self.settings = self.settings.model_copy(update={"collect": collect})

    def feed(self, path: str, page: Page) -> str:
        self.server.pages[path] = page
        return self.server.url + path

    def collect(self, *, dry_run: bool = False) -> list[Sourced]:
        collector = Collector(
            self.engine, self.settings, lambda: self.now, sleep=lambda _seconds: None
        )
        return collector.collect(self.past, dry_run=dry_run)

    @property
    def inbox(self) -> Inbox:
        return Inbox(self.settings.folder / "inbox.md")


@pytest.fixture
def week(engine: Engine, newsletter: Path) -> Iterator[Week]:
    with page_server() as server:
        yield Week(engine, load(newsletter), server)


def test_links_come_once_from_feeds_of_every_kind(week: Week) -> None:
    pages = {
        "/rss": Page(rss(("One &amp;amp; two", "https://example.com/1?utm_source=feed"))),
        "/atom": Page(ATOM),
        "/json": Page(JSON_FEED),
    }
    week.sources(feeds=[week.feed(path, page) for path, page in pages.items()])
    assert [(one.new, one.reason) for one in week.collect()] == [(1, ""), (1, ""), (1, "")]
    assert [(one.title, one.ticked) for one in week.inbox.entries()] == [
        ("One & two", False),
        ("A paper", False),
        ("From JSON", False),
    ]
    assert [(one.new, one.known) for one in week.collect()] == [(0, 1), (0, 1), (0, 1)]


def test_what_an_issue_had_is_not_collected(week: Week) -> None:
    week.past = ["https://arxiv.org/pdf/2102.06171"]
    week.sources(feeds=[week.feed("/atom", Page(ATOM))])
    assert week.collect()[0].known == 1
    assert week.inbox.entries() == []


def test_a_line_that_the_editor_deleted_does_not_come_back(week: Week) -> None:
    week.sources(feeds=[week.feed("/atom", Page(ATOM))])
    week.collect()
    (week.settings.folder / "inbox.md").write_text("# Mine\n\nwords\n")
    week.server.pages["/atom"] = Page(ATOM.replace(b"v2", b"v3"))
    week.collect()
    assert (week.settings.folder / "inbox.md").read_text() == "# Mine\n\nwords\n"


def test_a_dry_run_keeps_nothing(week: Week) -> None:
    week.sources(feeds=[week.feed("/atom", Page(ATOM))])
    assert week.collect(dry_run=True)[0].new == 1
    assert not (week.settings.folder / "inbox.md").exists()


def test_a_feed_is_asked_whether_it_changed(week: Week) -> None:
    page = Page(ATOM, headers={"ETag": '"1"', "Last-Modified": "Mon, 23 Nov 2026 08:00:00 GMT"})
    week.sources(feeds=[week.feed("/atom", page)])
    week.collect()
    assert week.collect()[0] == Sourced(f"{week.server.url}/atom")
    headers = week.server.asked[-1][1]
    assert headers["If-None-Match"] == '"1"'
    assert headers["If-Modified-Since"] == "Mon, 23 Nov 2026 08:00:00 GMT"


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (Page(status=500), "it answered 500"),
        (Page(status=404), "it answered 404"),
        (Page(b"<html>no feed</html>"), "it is no feed"),
        (Page(b'{"items": 7}'), "it is no JSON Feed"),
        (Page(b"[" * 100_000), "it is no feed"),
        (Page(b'{"a":' * 100_000), "it is no JSON"),
        (Page(b"<rss>" + b"x" * 70_000, endless=True), "it is larger than 5000 KB"),
    ],
)
def test_a_source_that_fails_stops_no_other_and_waits_longer_each_time(
    week: Week, page: Page, reason: str
) -> None:
    bad, good = week.feed("/bad", page), week.feed("/atom", Page(ATOM))
    week.sources(feeds=[bad, good])
    assert [one.reason for one in week.collect()] == [reason, ""]
    asked = len(week.server.asked)
    assert week.collect()[0].reason == f"{reason}; it is asked again later"
    assert len(week.server.asked) == asked + 1  # the good one
    week.now += 901
    assert week.collect()[0].reason == reason
    week.now += 901
    assert week.collect()[0].reason.endswith("it is asked again later")


def test_a_server_that_names_its_time_is_left_alone_until_then(week: Week) -> None:
    page = Page(status=429, headers={"Retry-After": "7200"})
    week.sources(feeds=[week.feed("/feed", page)])
    week.collect()
    week.now += 7100
    week.collect()
    assert len(week.server.asked) == 1
    week.now += 200
    week.collect()
    assert len(week.server.asked) == 2


def test_a_feed_in_a_private_network_is_refused(week: Week) -> None:
    week.sources(feeds=[week.feed("/atom", Page(ATOM))], allow_private=False)
    assert "private address" in week.collect()[0].reason
    assert week.server.asked == []


def test_bookmarks_of_every_kind_are_read(week: Week) -> None:
    folder = week.settings.folder / "bookmarks"
    folder.mkdir()
    (folder / "a.html").write_text('<DL><DT><A HREF="https://example.com/html">Browser</A></DL>')
    (folder / "b.url").write_text("[InternetShortcut]\r\nURL=https://example.com/url\r\n")
    (folder / "c.webloc").write_bytes(plistlib.dumps({"URL": "https://example.com/webloc"}))
    (folder / "d.md").write_text("- [Words](https://example.com/md) and https://example.com/bare.")
    (folder / "e.webloc").write_bytes(b"broken")
    (folder / "f.png").write_bytes(b"\x89PNG https://example.com/no")
    (folder / "g.txt").write_text("javascript:alert(1) file:///etc/passwd")
    (folder / "h.md").symlink_to("/etc/hostname")
    week.sources(bookmarks="bookmarks")
    assert week.collect() == [Sourced("bookmarks", new=5)]
    assert [(one.title, one.url.rpartition("/")[2]) for one in week.inbox.entries()] == [
        ("Browser", "html"), ("b", "url"), ("c", "webloc"), ("Words", "md"), ("d", "bare"),
    ]  # fmt: skip


def test_a_folder_of_bookmarks_that_is_missing_is_told(week: Week) -> None:
    week.sources(bookmarks="nowhere")
    assert "there is no folder" in week.collect()[0].reason


# ── the inbox ────────────────────────────────────────────────────────────────────────────────


def test_what_an_editor_wrote_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "inbox.md"
    inbox = Inbox(path)
    inbox.add([Found("https://example.com/1", "One", "feed")], "2026-11-23")
    text = path.read_text() + "\nA thought.\r\n- not a link\n"
    path.write_text(text, newline="")
    inbox.add([Found("https://example.com/2", "Two", "feed")], "2026-11-23")
    inbox.add([Found("https://example.com/3", "Three", "feed")], "2026-11-24")
    inbox.tick(inbox.find("https://www.example.com/1/"))
    now = path.read_text()
    assert "A thought." in now
    assert "- [x] [One](https://example.com/1) (feed)" in now
    assert now.count("## 2026-11-23") == 1
    assert now.index("Two") < now.index("## 2026-11-24") < now.index("Three")


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no link on line 3"):
        Inbox(tmp_path / "inbox.md").find("3")


@given(st.text(), st.text())
def test_hostile_titles_stay_one_line_with_one_link(title: str, source: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        inbox = Inbox(Path(folder) / "inbox.md")
        inbox.add([Found("https://example.com/1", title, source)], "2026-11-23")
        (entry,) = inbox.entries()
        assert entry.url == "https://example.com/1"


@given(st.binary(max_size=300))
def test_hostile_bytes_are_a_feed_or_no_feed(content: bytes) -> None:
    with contextlib.suppress(FeedError):
        read_feed(content, "https://example.com/feed")
