"""Endpoints of a newsletter that exists in its database alone, and a courier to send round."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select
from standardwebhooks import Webhook

from newsletter_bot.hooks.courier import Courier, Ways
from newsletter_bot.hooks.desk import Webhooks
from newsletter_bot.settings import Settings
from newsletter_bot.settings.people import HookType
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.outbox import Outbox
from newsletter_bot.storage.tables import hook_deliveries, hook_events
from newsletter_bot.storage.writer import Writer
from tests.servers.hook_server import Call, HookServer, hook_server

SECRET = b"0123456789abcdef" * 4
NEWSLETTER = {"name": "News", "url": "https://news.example.com", "from": "n@news.example.com"}
PATIENCE = 30.0


@dataclass
class Round:
    """The webhooks of one newsletter; its clock goes on only when it is told."""

    engine: Engine
    writer: Writer
    settings: Settings
    now: float = field(default_factory=time.time)
    alerts: list[tuple[str, str, str]] = field(default_factory=list)
    rung: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.desk = Webhooks(self.engine, self.writer, self.settings, SECRET, lambda: self.now)
        self.outbox = Outbox.of(self.settings)

    def courier(self, longest: float = 2.0) -> Courier:
        ways = Ways(lambda *said: self.alerts.append(said), self.rung.append)
        made = self.desk.courier(ways)
        made._longest = longest
        return made

    def tell(
        self, kind: HookType = HookType.CONFIRMED, person: int | None = 1, **data: object
    ) -> None:
        def change(connection: Any) -> None:
            self.outbox.tell(connection, kind, data, int(self.now), person)

        self.writer.run(change)

    def deliver(self, courier: Courier | None = None) -> None:
        """Send a courier round once, and wait until it is back."""
        courier = courier or self.courier()
        courier.look()
        assert courier.wait(PATIENCE)

    def rows(self, endpoint: str = "a") -> list[Mapping[str, Any]]:
        query = (
            select(hook_deliveries, hook_events.c.uid)
            .join(hook_events, hook_events.c.id == hook_deliveries.c.event_id)
            .where(hook_deliveries.c.endpoint == endpoint)
            .order_by(hook_deliveries.c.event_id)
        )
        with reading(self.engine) as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def states(self, endpoint: str = "a") -> list[str]:
        return [row["state"] for row in self.rows(endpoint)]

    def is_signed(self, call: Call, endpoint: str = "a") -> bool:
        """Ask the library that endpoints use, whatever its clock says."""
        (secret,) = self.desk.secrets(endpoint)
        at = datetime.fromtimestamp(int(call.headers["webhook-timestamp"]), UTC)
        expected = Webhook(secret).sign(call.id, at, call.body.decode())
        return call.headers["webhook-signature"] == expected


@pytest.fixture
def server() -> Iterator[HookServer]:
    with hook_server() as made:
        yield made


@pytest.fixture
def open_round(engine: Engine, tmp_path: Path) -> Iterator[Callable[..., Round]]:
    """Open a newsletter with these endpoints: `open_round({"name": "a", "url": …}, …)`."""
    opened: list[Round] = []

    def made(*endpoints: Mapping[str, object]) -> Round:
        tables = [{"allow_private": True, **one} for one in endpoints]
        settings = Settings.model_validate(
            {"folder": tmp_path, "newsletter": NEWSLETTER, "webhooks": tables}
        )
        one = Round(engine, Writer(engine), settings)
        opened.append(one)
        return one

    yield made
    for one in opened:
        one.writer.close()


@pytest.fixture
def a_round(open_round: Callable[..., Round], server: HookServer) -> Round:
    """A newsletter with one endpoint, /a of the server."""
    return open_round({"name": "a", "url": server.url("a")})
