"""A newsletter whose channels lead to a server on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from newsletter_bot import settings as configuration
from newsletter_bot.bot import Bot
from newsletter_bot.crosspost.desk import Crossposts
from newsletter_bot.crosspost.model import CrossPost, CrossPostState, Posted
from newsletter_bot.issues.model import Issue
from tests.servers.channel_server import TOKEN, ChannelServer

ISSUE = "2026-W01"
PAGE = f"https://news.example.com/archive/{ISSUE}/"
# Those whose service tells a second post from the first; the others must never post again.
IDEMPOTENT = {"bluesky", "linkedin", "mastodon", "x"}
NOON = 1_800_000_000.0


def options(name: str, url: str) -> dict[str, Any]:
    """What [channels.NAME] says, so that it reaches the server."""
    hook = {"discord": f"{url}/api/webhooks/1/{TOKEN}", "slack": f"{url}/services/T/B/{TOKEN}"}
    tables: dict[str, dict[str, Any]] = {
        "bluesky": {"server": url, "handle": "news.example.com", "app_password": TOKEN},
        "discord": {"url": hook["discord"]},
        "linkedin": {"server": url, "author": "urn:li:person:1", "token": TOKEN},
        "mastodon": {"server": url, "token": TOKEN},
        "medium": {"server": url, "mode": "api", "token": TOKEN},
        "slack": {"url": hook["slack"]},
        "telegram": {"server": url, "chat": "@news", "token": TOKEN},
        "webhook": {"url": f"{url}/hook", "allow_private": True},
        "x": {
            "server": url,
            "api_key": "app",
            "api_secret": "app-secret",
            "access_token": "account",
            "access_secret": "account-secret",
        },
    }
    return tables[name]


def _toml(value: Any) -> str:
    """Write a value of newsletter.toml: but for tables, as JSON does."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


@dataclass
class Clock:
    now: float = NOON

    def __call__(self) -> float:
        return self.now


@dataclass
class Newsroom:
    """A newsletter, its desk, a clock to be turned, and what the services got."""

    folder: Path
    engine: Engine
    server: ChannelServer
    clock: Clock = field(default_factory=Clock)
    pauses: list[float] = field(default_factory=list)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)

    def channel(self, name: str, **more: Any) -> None:
        """Add [channels.NAME], which leads to the server unless `more` says otherwise."""
        self.tables[name] = {**options(name, self.server.url), **more}

    def write_settings(self) -> None:
        """Write newsletter.toml anew, with the tables as they are now."""
        path = self.folder / "newsletter.toml"
        base = path.read_text(encoding="utf-8").partition("\n[channels.")[0]
        lines = [base]
        for name, table in self.tables.items():
            values = (f"{key} = {_toml(value)}" for key, value in table.items())
            lines += [f"\n[channels.{name}]", *values]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    @property
    def settings(self) -> configuration.Settings:
        self.write_settings()
        return configuration.load(self.folder)

    @property
    def desk(self) -> Crossposts:
        """A desk as a new process would open it."""
        return Crossposts(self.engine, self.settings, self.clock, self.pauses.append)

    @property
    def issue(self) -> Issue:
        bot = Bot(self.settings)
        return bot.read(bot.find(ISSUE))

    def drafts(self, only: str | None = None) -> list[Any]:
        return self.desk.drafts(self.issue, PAGE, only)

    def post(self, only: str | None = None) -> Posted:
        """Plan and post, as `crosspost` does."""
        desk = self.desk
        desk.plan(self.issue, PAGE, only)
        return desk.post(ISSUE, only)

    @property
    def rows(self) -> list[CrossPost]:
        return self.desk.rows(ISSUE)

    @property
    def states(self) -> list[CrossPostState]:
        return [row.state for row in self.rows]


@pytest.fixture
def server() -> Iterator[ChannelServer]:
    started = ChannelServer()
    started.start()
    yield started
    started.stop()


@pytest.fixture
def newsroom(
    newsletter: Path, write_issue: Callable[..., Path], engine: Engine, server: ChannelServer
) -> Newsroom:
    write_issue()
    return Newsroom(newsletter, engine, server)
