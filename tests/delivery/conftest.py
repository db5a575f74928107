"""Mail read by programs that are neither ours nor Python's, and people who subscribe."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from newsletter_bot.delivery.mailroom import Mailroom
from newsletter_bot.settings import Settings
from newsletter_bot.subscribers.store import SubscriberStore
from tests.delivery.newcomers import Clock, Hall

_SCRIPT = Path(__file__).parent / "mail_readers.js"


@pytest.fixture(scope="session")
def read_elsewhere() -> Iterator[Callable[[bytes, Mapping[str, str]], Any]]:
    """Return what mailauth and mailparser make of a message, in a DNS with these records alone."""
    node = shutil.which("node")
    assert node, "run tests/install-tools.sh"
    process = subprocess.Popen(
        [node, str(_SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    asked, answers = process.stdin, process.stdout

    def read(message: bytes, dns: Mapping[str, str]) -> Any:
        document = {
            "message": base64.b64encode(message).decode(),
            "dns": {name: [value] for name, value in dns.items()},
        }
        asked.write(json.dumps(document) + "\n")
        asked.flush()
        return json.loads(answers.readline())

    yield read
    process.kill()
    process.communicate()


@pytest.fixture
def hall(engine: Engine, tmp_path: Path, smtp_server: Any) -> Callable[..., Hall]:
    """Open a newsletter whose time stands still: `hall("rcpt@bo@example.com=450 later")`."""

    def opened(*faults: str, settings: dict[str, Any] | None = None, **transport: Any) -> Hall:
        server, clock = smtp_server(*faults), Clock()
        table = {"kind": "smtp", "port": server.port, "tls": "none", "connections": 2, **transport}
        newsletter = {
            "name": "News",
            "url": "https://news.example.com",
            "from": "News <news@news.example.com>",
            "postal_address": "here",
        }
        lists = ({"id": "weekly", "name": "Weekly"}, {"id": "monthly", "name": "Monthly"})
        tables = {"newsletter": newsletter, "transport": table, "lists": lists, **(settings or {})}
        known = Settings(folder=tmp_path, **tables)
        room = Mailroom(engine, known, b"0123456789abcdef" * 4, clock)
        return Hall(SubscriberStore(engine, b"0123456789abcdef" * 4, clock), room, server, clock)

    return opened
