"""A newsletter whose API is served on a port of this machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from newsletter_bot.bot import Bot
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.consent import By
from newsletter_bot.subscribers.model import NewSubscriber, Person
from newsletter_bot.web.api.keys import Scope
from newsletter_bot.web.api.keys_store import KeyStore
from newsletter_bot.web.public import make_public
from newsletter_bot.web.serving.service import PublicServer

CONSENT = {"source": "order form", "given_at": "2026-01-02T03:04:05Z"}
MORE = """
[[lists]]
id = "monthly"
name = "Monthly"
description = "The best of it"
public = false

[web]
port = 0
"""


def settle(newsletter: Path, database: str = "", more: str = "") -> None:
    """Write what the API's newsletters have beside others."""
    path = newsletter / "newsletter.toml"
    text = path.read_text(encoding="utf-8") + MORE + more
    if database:
        text += f'\n[database]\nurl = "{database}"\n'
    path.write_text(text, encoding="utf-8")


class ApiSite:
    def __init__(self, folder: Path) -> None:
        self.bot = Bot.open(folder)
        self.rung: list[str] = []
        app = make_public(self.bot, ring=self.rung.append)
        self.server = PublicServer(app, self.bot.settings.web)
        self.server.start()
        self.base = f"{self.server.address}api/v1"
        self.keys = KeyStore(self.bot.engine, self.bot.writer)
        self._clients: list[httpx.Client] = []
        self._made = 0

    def client(self, *scopes: Scope, key: str | None = None) -> httpx.Client:
        """A program with a key of its own that has these scopes, or with this one."""
        if key is None:
            self._made += 1
            key = self.keys.add(f"key-{self._made}", scopes)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        made = httpx.Client(base_url=self.base, headers=headers, timeout=30)
        self._clients.append(made)
        return made

    def add(self, address: str, name: str = "", lists: Sequence[str] = ("weekly",)) -> int:
        person = NewSubscriber(parse_address(address), name)
        for one in lists:
            self.bot.people.subscribe(person, one, {"source": "test"}, By.OPERATOR)
        return self.id_of(address)

    def person(self, address: str) -> Person:
        found = self.bot.subscribers.find(address)
        assert found is not None
        return found

    def id_of(self, address: str) -> int:
        return self.person(address).subscriber.id

    def states(self, address: str) -> dict[str, str]:
        return {one.list: one.state.value for one in self.person(address).subscriptions}

    def close(self) -> None:
        for one in self._clients:
            one.close()
        self.server.stop()
        self.bot.close()


def problem(answer: httpx.Response, status: int, kind: str) -> Any:
    """Check that an answer is a problem of a kind; returns its body."""
    body = answer.json()
    assert (answer.status_code, body["type"]) == (status, f"urn:newsletter-bot:problem:{kind}")
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


def later(seconds: float) -> int:
    return int(time.time() + seconds)
