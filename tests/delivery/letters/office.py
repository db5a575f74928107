"""People who ask for things, and the letters they get."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from threading import Event
from typing import Any

from sqlalchemy import Engine, insert, select

from newsletter_bot.delivery.letters.model import Post
from newsletter_bot.delivery.letters.sender import Letters
from newsletter_bot.settings import Settings
from newsletter_bot.storage.outbox import Outbox
from newsletter_bot.storage.tables import letters as table
from newsletter_bot.storage.tables import subscribers
from newsletter_bot.storage.writer import Writer
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.consent import SignupRequest
from newsletter_bot.subscribers.model import NewSubscriber
from newsletter_bot.subscribers.people import Backing, By, People
from newsletter_bot.subscribers.tokens import TokenSigner
from tests.conftest import SmtpServer
from tests.delivery.newcomers import Clock

SECRET = b"0123456789abcdef" * 4
HOUR = 3600
NEWSLETTER = {
    "name": "Weekly ML News",
    "url": "https://news.example.com",
    "from": "Weekly ML News <news@news.example.com>",
    "reply_to": "editor@example.com",
    "postal_address": "1-2-3 Example, Tokyo",
    "timezone": "Asia/Tokyo",
}


@dataclass
class Office:
    settings: Settings
    engine: Engine
    server: SmtpServer
    clock: Clock
    people: People
    letters: Letters

    @classmethod
    def on(cls, engine: Engine, folder: Path, server: SmtpServer, **tables: Any) -> Office:
        given = tables.pop("transport", {})
        smtp = {"kind": "smtp", "port": server.port, "tls": "none"}
        transport = given if "kind" in given else smtp | given
        newsletter = NEWSLETTER | tables.pop("newsletter", {})
        settings = Settings(folder=folder, newsletter=newsletter, transport=transport, **tables)
        clock = Clock(float(int(time.time())))
        backing = Backing(engine, Writer(engine), Outbox(frozenset()), SECRET, clock)
        people = People(settings, backing)
        letters = Letters(engine, settings, SECRET, clock)
        return cls(settings, engine, server, clock, people, letters)

    @property
    def tokens(self) -> TokenSigner:
        return TokenSigner(SECRET)

    # ── what people do ───────────────────────────────────────────────────────────────────────

    def asks(self, address: str, language: str = "", name: str = "", *lists: str) -> int:
        """Let somebody fill in the form; returns the sign-up's id."""
        request = SignupRequest(address, lists or ("weekly",), name, language)
        number = self.people.ask(request)
        self.people.settle()
        return number

    def joins(self, address: str, language: str = "", name: str = "") -> int:
        """Subscribe somebody by hand; returns the subscriber's id."""
        person = NewSubscriber(parse_address(address), name, language)
        self.people.subscribe(person, "weekly", {"source": "by hand"}, By.OPERATOR)
        with self.engine.connect() as connection:
            key = subscribers.c.address_key == parse_address(address).key
            found: int = connection.execute(select(subscribers.c.id).where(key)).scalar_one()
            return found

    def moves(self, subscriber: int, address: str) -> int:
        return self.people.ask_address_change(subscriber, address)

    def owes(self, kind: str, address: str, about: Mapping[str, Any], **more: Any) -> int:
        """Owe a letter, whatever it is about."""
        row: dict[str, Any] = {"kind": kind, "address": address, "address_key": address.lower()}
        row |= {"about": dict(about), "state": "planned", "language": ""}
        row |= {"made_at": self.clock.now, "changed_at": self.clock.now, **more}
        with self.engine.begin() as connection:
            made = connection.execute(insert(table).values(row).returning(table.c.id))
            number: int = made.scalar_one()
            return number

    # ── what becomes of it ───────────────────────────────────────────────────────────────────

    def sends(self, greeted: tuple[str, ...] = ()) -> Post:
        return self.letters.send(Event(), greeted)

    def rows(self) -> list[Mapping[str, Any]]:
        with self.engine.connect() as connection:
            query = select(table).order_by(table.c.id)
            return [dict(row) for row in connection.execute(query).mappings()]

    def states(self) -> list[tuple[str, str]]:
        return [(row["kind"], row["state"]) for row in self.rows()]

    def arrived(self) -> Counter[str]:
        return self.server.recipients()

    def mail(self) -> list[EmailMessage]:
        """What has arrived, in the order it was sent, as Python's own parser reads it."""
        found = [
            message_from_bytes(path.read_bytes(), policy=policy.default)
            for path in self.server.folder.glob("new/*")
        ]
        assert all(isinstance(one, EmailMessage) for one in found)
        return sorted(found, key=lambda one: str(one["X-Newsletter-Bot-Ref"]))

    def raw(self) -> list[bytes]:
        """The same, byte by byte, without what the server wrote in front."""
        files = [path.read_bytes() for path in self.server.folder.glob("new/*")]
        lines = [one.replace(b"\r\n", b"\n").split(b"\n", 2)[2] for one in files]
        return [one.replace(b"\n", b"\r\n") for one in lines]


def text_of(message: EmailMessage) -> str:
    """The letter's text; it has no other part."""
    assert message.get_content_type() == "text/plain"
    text = message.get_content()
    assert isinstance(text, str)
    return text.replace("\r\n", "\n")
