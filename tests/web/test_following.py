"""Links that lead through our site: where they lead, whom they tell what, and what is counted."""

from __future__ import annotations

import email
import re
import time
from collections.abc import Callable, Iterator
from email.policy import default
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, select, text
from starlette.requests import Request

from newsletter_bot.bot import Bot
from newsletter_bot.delivery.run import Run
from newsletter_bot.feedback.visits.visitors import Action, Visit
from newsletter_bot.settings.tables import TrackingTable
from newsletter_bot.storage.tables import events, issues, links, metadata
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.model import NewSubscriber
from newsletter_bot.subscribers.tokens import TokenSigner
from newsletter_bot.web.public import make_public
from newsletter_bot.web.serving.service import PublicServer
from newsletter_bot.web.visits import visiting as visiting_module
from newsletter_bot.web.visits.visiting import Place, Visiting

BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "Accept-Language": "en",
}
PAPER = "https://arxiv.org/abs/1512.03385"
ARTICLE = "https://distill.pub/2018/building-blocks/"


class Site:
    """A newsletter that counts, whose issue two readers got, and its web."""

    def __init__(self, folder: Path, write: Callable[..., Path], lines: str) -> None:
        toml = folder / "newsletter.toml"
        toml.write_text(f"{toml.read_text()}\n{lines}\n")
        self.bot = Bot.open(folder)
        who = [NewSubscriber(parse_address(f"{one}@example.com"), one) for one in ("ada", "bo")]
        self.bot.subscribers.add(who, "weekly", {"source": "test"})
        self.bot.send(self.bot.read(write()), Run())
        self.mails = sorted(
            (folder / "mail" / "new").iterdir(), key=lambda one: b"bo@" in one.read_bytes()
        )
        self.open()

    def open(self) -> None:
        table = self.bot.settings.web.model_copy(update={"port": 0})
        self.server = PublicServer(make_public(self.bot), table)
        self.server.start()
        self.web = httpx.Client(base_url=self.server.address, timeout=30, headers=BROWSER)

    def links(self, reader: int = 0) -> list[str]:
        """The paths of the links in a reader's mail."""
        return self._paths(r'href="https://news\.example\.com(/r/[^"]*)"', reader)

    def picture(self, reader: int = 0) -> str:
        (path,) = self._paths(r'src="https://news\.example\.com(/o/[^"]*)"', reader)
        return path

    def _paths(self, pattern: str, reader: int) -> list[str]:
        message = email.message_from_bytes(self.mails[reader].read_bytes(), policy=default)
        part = message.get_body(("html",))
        assert part is not None
        return [unescape(one) for one in re.findall(pattern, part.get_content())]

    def events(self) -> list[dict[str, Any]]:
        assert self.bot.visit_counter.flush()
        with self.bot.engine.connect() as connection:
            query = select(events).order_by(events.c.id)
            return [dict(row) for row in connection.execute(query).mappings()]

    def others(self) -> dict[str, Any]:
        """All rows of all tables but that of events."""
        with self.bot.engine.connect() as connection:
            tables = {name: one for name, one in metadata.tables.items() if name != "events"}
            return {name: connection.execute(select(one)).all() for name, one in tables.items()}

    def close(self) -> None:
        self.web.close()
        self.server.stop()
        self.bot.close()


Open = Callable[..., Site]


@pytest.fixture
def opened(newsletter: Path, write_issue: Callable[..., Path]) -> Iterator[Open]:
    made: list[Site] = []

    def make(clicks: str = "aggregate", opens: str = "off", more: str = "") -> Site:
        lines = f'{more}\n[tracking]\nclicks = "{clicks}"\nopens = "{opens}"'
        made.append(Site(newsletter, write_issue, lines))
        return made[-1]

    yield make
    for one in made:
        one.close()


# ── where it leads ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("clicks", ["aggregate", "individual"])
def test_a_link_leads_on_and_tells_nobody(opened: Open, clicks: str) -> None:
    site = opened(clicks)
    assert len(set(site.links())) == 2
    for path, url in zip(site.links()[-2:], (PAPER, ARTICLE), strict=True):
        answers = [site.web.get(path), site.web.head(path), site.web.get(f"{path}?to=//evil")]
        for answer in answers:
            assert (answer.status_code, answer.headers["location"]) == (302, url)
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["x-robots-tag"] == "noindex"
            assert answer.headers["cache-control"] == "no-store"
            assert "set-cookie" not in answer.headers
            assert answer.content == b""
    assert (site.links(0) == site.links(1)) is (clicks == "aggregate")


def test_what_we_did_not_make_leads_nowhere(opened: Open) -> None:
    site = opened("individual")
    before = site.others()
    token = site.bot.signer.visit_token(1, 1)
    foreign = TokenSigner(b"another newsletter's secret, long enough")
    place = site.bot.signer.place_mac
    hostile = [
        f"/r/{foreign.visit_token(1, 1)}/1",
        f"/r/{site.bot.signer.bounce_token(1)}/1",
        f"/r/{token[:-1]}/1",
        *(f"/r/{token}/{number}" for number in ("0", "99", "-1", "1.0", "١", "1e3", "9" * 30, "")),
        f"/r/{token}/%2F%2Fevil.example",
        f"/r/{token}/https:%2F%2Fevil.example",
        f"/r/{token}//evil.example",
        f"/r/{token}/1%0d%0aLocation:%20https://evil.example",
        f"/r/{site.bot.signer.visit_token(99, 1)}/1",
        f"/r/2026-W01/1/{foreign.place_mac('2026-W01', 1)}",
        f"/r/2026-W01/2/{place('2026-W01', 1)}",
        f"/r/2026-W02/1/{place('2026-W02', 1)}",
        f"/r/2026-W01/1/{place('2026-W01', 1)}/evil",
        f"/r/../1/{place('2026-W01', 1)}",
        f"/r/%ff%fe/1/{place('2026-W01', 1)}",
        f"/r/2026-W01/{'1' * 5000}/x",
        "/r/", "/r", "/r/https://evil.example", "//evil.example/r/1", "/r/é/1",
    ]  # fmt: skip
    for path in hostile:
        answer = site.web.get(path)
        assert answer.status_code in {404, 400}, path
        assert "location" not in answer.headers, path
        assert "<h1" in answer.text, path
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert site.web.request(method, site.links()[0]).status_code == 405
    assert site.events() == []
    assert site.others() == before


def test_an_address_that_no_header_may_hold_is_followed_by_nobody(opened: Open) -> None:
    site = opened()
    evil = [
        "javascript:alert(1)",
        "https://a.example/\r\nSet-Cookie: a=b",
        "//a.example",
        "https://é",
    ]
    with site.bot.engine.begin() as connection:
        rows = [
            {"issue_id": 1, "number": at, "url": url, "item": "", "title": ""}
            for at, url in enumerate(evil, 50)
        ]
        connection.execute(insert(links), rows)
    for at in range(50, 54):
        path = f"/r/2026-W01/{at}/{site.bot.signer.place_mac('2026-W01', at)}"
        assert site.web.get(path).status_code == 404


def test_old_links_lead_on_when_nothing_is_counted_any_more(opened: Open) -> None:
    site = opened("individual", "individual")
    paths = [site.links()[0], site.picture()]
    site.web.close()
    site.server.stop()
    off = site.bot.settings.tracking.model_copy(update={"clicks": "off", "opens": "off"})
    site.bot.settings = site.bot.settings.model_copy(update={"tracking": off})
    site.open()
    assert [site.web.get(path).status_code for path in paths] == [302, 200]
    assert site.events() == []


def test_a_link_added_to_a_sequence_message_is_found(opened: Open) -> None:
    site = opened()
    assert site.web.get(site.links()[0]).status_code == 302
    with site.bot.engine.begin() as connection:
        new = {"issue_id": 1, "number": 9, "url": "https://new.example/", "item": "", "title": ""}
        connection.execute(insert(links).values(new))
    path = f"/r/2026-W01/9/{site.bot.signer.place_mac('2026-W01', 9)}"
    ends = time.monotonic() + 20  # it is not looked for again in the same second
    while site.web.get(path).status_code != 302:
        assert time.monotonic() < ends


def test_links_lead_on_while_the_database_is_down(opened: Open) -> None:
    site = opened("individual", "aggregate")
    first, second = site.links(0)[0], site.links(1)[-1]
    assert site.web.get(first).status_code == 302
    with site.bot.engine.begin() as connection:
        connection.execute(text("ALTER TABLE issues RENAME TO gone"))
        connection.execute(text("ALTER TABLE events RENAME TO gone_too"))
    assert site.web.get(second).headers["location"] == ARTICLE
    assert site.web.get(site.picture()).status_code == 200
    unasked = f"/r/2026-W01/1/{site.bot.signer.place_mac('2026-W01', 1)}"
    answer = site.web.get(unasked)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]


# ── what is counted ──────────────────────────────────────────────────────────────────────────────


def test_in_aggregate_a_visit_tells_nothing_of_anybody(opened: Open) -> None:
    site = opened("aggregate", "aggregate")
    before = site.others()
    site.web.get(site.links()[-1])
    site.web.get(site.picture())
    site.web.head(site.links()[-1])
    rows = site.events()
    assert [(one["kind"], one["why"], one["link"]) for one in rows] == [
        ("clicked", "browser", 2),
        ("opened", "browser", None),
        ("clicked", "head", 2),
    ]
    for row in rows:
        assert (row["delivery_id"], row["subscriber_id"], row["agent"]) == (None, None, "")
        assert "127.0.0" not in row["prefix"]
        assert re.fullmatch(r"[0-9a-f]{24}", row["prefix"])
    assert len({row["prefix"] for row in rows}) == 1
    assert site.others() == before


def test_individually_a_visit_tells_which_reader(opened: Open) -> None:
    site = opened("individual", "individual")
    site.web.get(site.links(1)[0])
    site.web.get(site.picture(0))
    clicked, viewed = site.events()
    assert (clicked["kind"], clicked["delivery_id"], clicked["subscriber_id"]) == ("clicked", 2, 2)
    assert (viewed["kind"], viewed["delivery_id"], viewed["link"]) == ("opened", 1, None)
    assert clicked["prefix"] == "127.0.0.0/24"
    assert clicked["agent"] == BROWSER["User-Agent"]


def test_the_less_of_what_was_mailed_and_what_is_set_is_kept(opened: Open) -> None:
    site = opened("individual")
    site.web.close()
    site.server.stop()
    less = site.bot.settings.tracking.model_copy(update={"clicks": "aggregate"})
    site.bot.settings = site.bot.settings.model_copy(update={"tracking": less})
    site.open()
    site.web.get(site.links()[0])
    (row,) = site.events()
    assert (row["delivery_id"], row["agent"]) == (None, "")


def test_the_picture_is_shown_to_whoever_asks(opened: Open) -> None:
    site = opened("off", "aggregate")
    for path in (site.picture(), "/o/forged.gif", "/o/2026-W01/forged.gif"):
        answer = site.web.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
        assert answer.content.startswith(b"GIF89a")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert len(site.events()) == 1


def test_a_hostile_header_is_kept_as_text(opened: Open) -> None:
    site = opened("individual")
    hostile = {"User-Agent": "x'); DROP TABLE events;--" + "y" * 5000, "Purpose": "\xff"}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in hostile.items()]
    assert site.web.get(site.links()[0], headers=raw).status_code == 302
    (row,) = site.events()
    assert len(row["agent"]) == 300
    assert row["why"] == "other-agent"


@pytest.mark.parametrize("clicks", ["aggregate", "individual"])
def test_visits_are_kept_on_each_database(opened: Open, database_url: str, clicks: str) -> None:
    site = opened(clicks, more=f'[database]\nurl = "{database_url}"')
    site.web.get(site.links()[0])
    assert [one["actor"] for one in site.events()] == [""]
    with site.bot.engine.connect() as connection:
        assert connection.execute(select(issues.c.id)).scalar_one() == 1


def test_one_visitor_cannot_fill_the_disk() -> None:
    kept: list[Visit] = []

    def note(visit: Visit) -> bool:
        kept.append(visit)
        return True

    now = [0.0]
    visiting = Visiting(TrackingTable(clicks="aggregate"), note, lambda: now[0])
    scope = {"type": "http", "method": "GET", "headers": []}
    for address in ("192.0.2.1", "192.0.2.2"):
        for _ in range(1500):
            visiting.note(Request({**scope, "client": (address, 1)}), Place(Action.CLICKED, 1, 1))
    assert len(kept) == 2000
    now[0] = 60.0
    visiting.note(Request({**scope, "client": ("192.0.2.1", 1)}), Place(Action.CLICKED, 1, 1))
    assert len(kept) == 2001
    assert kept[0].network == kept[-1].network != kept[1999].network
    now[0] = 86_400.0
    visiting.note(Request({**scope, "client": ("192.0.2.1", 1)}), Place(Action.CLICKED, 1, 1))
    assert kept[-1].network != kept[0].network  # the salt of another day


def test_whoever_has_another_name_each_time_cannot_fill_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(visiting_module, "_VISITORS", 3)
    kept: list[Visit] = []

    def note(visit: Visit) -> bool:
        kept.append(visit)
        return True

    visiting = Visiting(TrackingTable(clicks="aggregate"), note, lambda: 0.0)
    scope = {"type": "http", "method": "GET", "client": ("192.0.2.1", 1)}
    for name in (*range(5), 0):
        headers = [(b"user-agent", b"%d" % name)]
        visiting.note(Request({**scope, "headers": headers}), Place(Action.CLICKED, 1, 1))
    assert len({one.network for one in kept}) == 3
    assert len(kept) == 4, "those who are known already are counted on"
