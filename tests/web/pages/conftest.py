"""A newsletter with two public lists and a private one, its readers, and its web on a port."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import event, select

from newsletter_bot.bot import Bot
from newsletter_bot.storage.tables import metadata
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.consent import SignupRequest
from newsletter_bot.subscribers.model import NewSubscriber
from newsletter_bot.subscribers.tokens import Link
from newsletter_bot.web.public import make_public
from newsletter_bot.web.serving.service import PublicServer

LISTS = """
[[lists]]
id = "weekly"
name = "Weekly"
description = "Every Sunday"

[[lists]]
id = "jobs"
name = "Jobs & grants"

[[lists]]
id = "staff"
name = "Staff only"
public = false
"""
Fields = Mapping[str, str | Sequence[str]]


class Site:
    """What a visitor and a test can do with the public web of a newsletter."""

    def __init__(self, folder: Path) -> None:
        self.bot = Bot.open(folder)
        self.rung: list[str] = []
        person = NewSubscriber(parse_address("ada@example.com"), "Ada", "en")
        self.bot.subscribers.add([person], "weekly", {"source": "test"})
        table = self.bot.settings.web.model_copy(update={"port": 0})
        self.server = PublicServer(make_public(self.bot, ring=self.rung.append), table)
        self.server.start()
        self.web = httpx.Client(base_url=self.server.address, timeout=30)

    def close(self) -> None:
        self.web.close()
        self.server.stop()
        self.bot.close()

    def token(self, link: Link, number: int = 1) -> str:
        return self.bot.signer.link_token(link, number)

    def shown(self, ago: int = 60) -> str:
        """The token of a form that was shown so many seconds ago."""
        return self.token(Link.FORM, int(time.time()) - ago)

    def sign_up(self, headers: Any = None, **fields: Any) -> httpx.Response:
        """Send the form as our own page would, after a minute."""
        whole = {"address": "bo@example.com", "list": "weekly", "form": self.shown(), **fields}
        return self.web.post("/subscribe", data=whole, headers=headers)

    def asked(self, address: str = "bo@example.com", lists: tuple[str, ...] = ("weekly",)) -> int:
        """Ask for somebody and settle it; returns the id of the request that was mailed."""
        number = self.bot.people.ask(SignupRequest(address, lists, proved=True))
        self.bot.people.settle()
        return number

    def rows(self, table: str) -> list[dict[str, Any]]:
        with self.bot.engine.connect() as connection:
            found = connection.execute(select(metadata.tables[table])).mappings()
            return [dict(row) for row in found]

    def everything(self) -> dict[str, list[dict[str, Any]]]:
        """All rows of all tables."""
        return {name: self.rows(name) for name in metadata.tables}

    def state(self, address: str, list_id: str = "weekly") -> str | None:
        person = self.bot.subscribers.find(address)
        states = {one.list: str(one.state) for one in person.subscriptions} if person else {}
        return states.get(list_id)

    def statements(self, act: Callable[[], object]) -> list[str]:
        """The SQL that something made."""
        heard: list[str] = []

        def hear(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
            heard.append(statement)

        event.listen(self.bot.engine, "before_cursor_execute", hear)
        try:
            act()
        finally:
            event.remove(self.bot.engine, "before_cursor_execute", hear)
        return heard


@pytest.fixture
def site_with(newsletter: Path) -> Iterator[Callable[..., Site]]:
    """Open a site with more lines in its newsletter.toml, or with other lists."""
    made: list[Site] = []
    path = newsletter / "newsletter.toml"
    plain = path.read_text(encoding="utf-8")

    def make(more: str = "", lists: str = LISTS) -> Site:
        text = plain.replace('[[lists]]\nid = "weekly"\nname = "Weekly"\n', lists)
        path.write_text(f"{text}\n{more}\n", encoding="utf-8")
        made.append(Site(newsletter))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def site(site_with: Callable[..., Site]) -> Site:
    """The newsletter as it is."""
    return site_with()


@pytest.fixture
def any_site(site_with: Callable[..., Site], database_url: str) -> Site:
    """The same on a database of each kind in turn."""
    return site_with(f'[database]\nurl = "{database_url}"')
