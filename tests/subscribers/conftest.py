"""A town of people: everything that may become of them, on a database of each kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, Table, select

from newsletter_bot.settings import Settings
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.outbox import Outbox
from newsletter_bot.storage.tables import (
    hook_events,
    letters,
    metadata,
    signups,
    subscription_changes,
)
from newsletter_bot.storage.writer import Writer
from newsletter_bot.subscribers.people import Backing, Evidence, People, SignupRequest
from newsletter_bot.subscribers.store import SubscriberStore

SECRET = b"secret" * 8
START = 1_000_000
EVIDENCE = Evidence("https://news.example.com/subscribe", "Send me it.", "3", "203.0.113.77")


@dataclass
class Time:
    now: float = START

    def __call__(self) -> float:
        return self.now


@dataclass
class Town:
    """The people, their store, a clock that stands still, and a look into the tables."""

    engine: Engine
    settings: Settings
    writer: Writer
    time: Time
    wanted: frozenset[str] = frozenset()
    people: People = field(init=False)
    store: SubscriberStore = field(init=False)

    def __post_init__(self) -> None:
        outbox = Outbox(self.wanted)
        backing = Backing(self.engine, self.writer, outbox, SECRET, self.time)
        self.people = People(self.settings, backing)
        self.store = SubscriberStore(self.engine, SECRET, self.time, outbox)

    def pass_time(self, seconds: float) -> None:
        self.time.now += seconds

    def rows(self, table: Table) -> list[Mapping[str, Any]]:
        """All rows of a table, in order."""
        with reading(self.engine) as connection:
            found = connection.execute(select(table).order_by(*table.primary_key.columns))
            return [dict(row) for row in found.mappings()]

    def everything(self) -> str:
        """All that every table holds, as one text."""
        return repr({table.name: self.rows(table) for table in metadata.sorted_tables})

    def letters(self) -> list[tuple[str, str]]:
        return [(row["kind"], row["address"]) for row in self.rows(letters)]

    def steps(self, subscriber: int = 1) -> list[tuple[str, str, str]]:
        return [
            (row["list"], row["state"], row["by"])
            for row in self.rows(subscription_changes)
            if row["subscriber_id"] == subscriber
        ]

    def signups(self) -> list[tuple[str, str]]:
        return [(row["state"], row["reason"]) for row in self.rows(signups)]

    def told(self) -> list[tuple[str, Any]]:
        return [(row["type"], row["data"]) for row in self.rows(hook_events)]

    def states(self, address: str) -> dict[str, str]:
        person = self.store.find(address)
        assert person is not None
        return {one.list: one.state.value for one in person.subscriptions}

    def id_of(self, address: str) -> int:
        person = self.store.find(address)
        assert person is not None
        return person.subscriber.id

    def ask(self, address: str, *lists: str, name: str = "", language: str = "") -> int:
        request = SignupRequest(address, lists or ("weekly",), name, language, EVIDENCE, True)
        return self.people.ask(request)

    def join(self, address: str, *lists: str, name: str = "", language: str = "") -> int:
        """Sign up and confirm; returns the person's id."""
        asked = self.ask(address, *lists, name=name, language=language)
        self.people.settle()
        done = self.people.confirm(asked)
        assert done is not None
        assert done.subscriber_id is not None, done
        return done.subscriber_id


MakeTown = Callable[..., Town]


def settings_of(folder: Path, signup: Mapping[str, Any]) -> Settings:
    return Settings.model_validate(
        {
            "folder": folder,
            "newsletter": {
                "name": "News",
                "url": "https://news.example.com",
                "from": "News <news@news.example.com>",
            },
            "lists": [
                {"id": "weekly", "name": "Weekly"},
                {"id": "papers", "name": "Papers"},
                {"id": "staff", "name": "Staff", "public": False},
            ],
            "subscribers": {"fields": ["plan"]},
            "signup": dict(signup),
        }
    )


@pytest.fixture
def make_town(engine: Engine, tmp_path: Path) -> Iterator[MakeTown]:
    """`make_town(per_prefix="3/h", wanted=…)`: a town with a [signup] of its own."""
    writers: list[Writer] = []

    def make(*, wanted: frozenset[str] = frozenset(), **signup: Any) -> Town:
        writers.append(Writer(engine))
        return Town(engine, settings_of(tmp_path, signup), writers[-1], Time(), wanted)

    yield make
    for one in writers:
        one.close()


@pytest.fixture
def town(make_town: MakeTown) -> Town:
    return make_town()
