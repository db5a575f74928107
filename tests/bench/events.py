"""Events of providers, over HTTP into SQLite: stored, interpreted, counted; ours and a plain one.

Batches are SendGrid's, signed by ECDSA; events that come one by one are Mailgun's, signed by HMAC.
The load comes from a process on the same machine, which takes its share of what it measures.
"""

from __future__ import annotations

import base64
import hmac
import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import func, insert, select

from newsletter_bot.bot import Bot
from newsletter_bot.cli.newsletter import scaffold
from newsletter_bot.storage.tables import (
    deliveries,
    events,
    issues,
    raw_events,
    renderings,
    suppressions,
)
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.model import NewSubscriber
from tests.bench.table import Table, in_turn, say
from tests.bench.web import running

CONNECTIONS = 64
BATCHES = (100, 500)  # events of one post
WANTED = 5000  # events a second
_SIGNING_KEY = "bench"
_HARD, _SOFT, _COMPLAINT = 0.02, 0.02, 0.001  # of the events; the others say `delivered`
_PATIENCE = 300.0
_START = 4.0  # seconds


@dataclass
class Newsletter:
    """A newsletter that sent one issue, and what its providers tell of that."""

    place: Path
    readers: int
    copies: int = 0
    folder: Path = field(init=False)
    key: ec.EllipticCurvePrivateKey = field(init=False)
    first: int = 0
    hard: int = 0  # readers that the events shut out

    def __post_init__(self) -> None:
        """Make its folder, its readers and their deliveries."""
        self.key = ec.generate_private_key(ec.SECP256R1())
        form = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.folder = self.place / "news"
        scaffold(self.folder, sample=True)
        toml = self.folder / "newsletter.toml"
        kept = toml.read_text().partition("[transport]")[0].replace("[web]\nport = 8080\n", "")
        toml.write_text(
            f"{kept}\n[web]\nport = 0\n"
            '[service]\ntick = "1s"\n'
            '[[relays]]\nname = "a"\nkind = "sendgrid"\napi_key = "bench"\n'
            f'webhook_public_key = "{base64.b64encode(form).decode()}"\n'
            '[[relays]]\nname = "b"\nkind = "mailgun"\napi_key = "bench"\n'
            f'domain = "news.example.com"\nwebhook_signing_key = "{_SIGNING_KEY}"\n'
        )
        with closing(Bot.open(self.folder)) as bot:
            self._people(bot)
            self._sent(bot)
            self.tokens = [bot.signer.bounce_token(self.first + n) for n in range(self.readers)]

    def _people(self, bot: Bot) -> None:
        for at in range(0, self.readers, 5000):
            some = range(at, min(at + 5000, self.readers))
            people = [NewSubscriber(parse_address(f"reader{n}@example.com")) for n in some]
            bot.subscribers.add(people, "weekly", {"source": "bench"})

    def _sent(self, bot: Bot) -> None:
        now = int(time.time()) - 60
        with bot.engine.begin() as connection:
            made = {"hash": "bench", "content": "{}", "made_at": now}
            connection.execute(insert(renderings).values(made))
            row = {
                "identity": "bench",
                "title": "Bench",
                "state": "sent",
                "rendering": "bench",
                "lists": ["weekly"],
                "planned_at": now,
                "selection": {},
                "subject_test": {},
                "told_at": now,
            }
            made_issue = insert(issues).values(row).returning(issues.c.id)
            issue = connection.execute(made_issue).scalar_one()
            each = {
                "issue_id": issue,
                "list": "weekly",
                "state": "accepted",
                "attempts": 1,
                "attempted_at": now,
                "reason": "250 ok",
                "changed_at": now,
            }
            rows = [{**each, "subscriber_id": n + 1} for n in range(self.readers)]
            connection.execute(insert(deliveries), rows)
            self.first = connection.execute(select(func.min(deliveries.c.id))).scalar_one()

    def copy(self) -> Path:
        """Return the folder of a fresh copy."""
        self.copies += 1
        folder = self.place / f"copy{self.copies}"
        shutil.copytree(self.folder, folder)
        return folder

    # ── what is told ─────────────────────────────────────────────────────────────────────────

    def batches(self, count: int) -> list[bytes]:
        """Return requests of SendGrid's that tell so many events."""
        draw = random.Random(5)
        told = [self._sendgrid(n, draw) for n in range(count)]
        found = []
        while told:
            size = draw.randint(*BATCHES)
            some, told = told[:size], told[size:]
            body = json.dumps(some).encode()
            stamp = str(int(time.time()))
            signature = self.key.sign(stamp.encode() + body, ec.ECDSA(SHA256()))
            found.append(
                _request(
                    "sendgrid",
                    body,
                    f"X-Twilio-Email-Event-Webhook-Timestamp: {stamp}\r\n"
                    "X-Twilio-Email-Event-Webhook-Signature: "
                    f"{base64.b64encode(signature).decode()}\r\n",
                )
            )
        return found

    def singles(self, count: int) -> list[bytes]:
        """Return as many requests of Mailgun's, of one event each."""
        draw = random.Random(5)
        return [self._mailgun(n, draw) for n in range(count)]

    def _sendgrid(self, number: int, draw: random.Random) -> dict[str, Any]:
        what, reason, status = _happened(draw)
        kind = {"hard": "bounce", "soft": "bounce", "complaint": "spamreport"}.get(what, what)
        more = {"type": "bounce" if what == "hard" else "blocked"} if kind == "bounce" else {}
        return {
            "email": f"reader{number % self.readers}@example.com",
            "timestamp": int(time.time()) - 5,
            "smtp-id": f"<bench.{number}@news.example.com>",
            "event": kind,
            "sg_event_id": f"bench-event-{number}",
            "sg_message_id": f"message{number}.recvd-5f6d8-abcde-1-67A2B3C4-1D.0",
            "ref": self.tokens[number % self.readers],
            "ip": "203.0.113.7",
            "tls": 1,
            "reason": reason,
            "status": status,
            **more,
        }

    def _mailgun(self, number: int, draw: random.Random) -> bytes:
        what, reason, status = _happened(draw)
        kind = {"hard": "failed", "soft": "failed", "complaint": "complained"}.get(what, what)
        stamp, token = str(int(time.time())), f"token{number}"
        signed = hmac.digest(_SIGNING_KEY.encode(), f"{stamp}{token}".encode(), "sha256").hex()
        document = {
            "signature": {"timestamp": stamp, "token": token, "signature": signed},
            "event-data": {
                "id": f"bench-{number}",
                "event": kind,
                "severity": "permanent",
                "timestamp": time.time() - 5,
                "recipient": f"reader{number % self.readers}@example.com",
                "delivery-status": {"message": reason, "enhanced-code": status},
                "user-variables": {"ref": self.tokens[number % self.readers]},
            },
        }
        return _request("mailgun", json.dumps(document).encode(), "")


def _happened(draw: random.Random) -> tuple[str, str, str]:
    lot = draw.random()
    if lot < _HARD:
        return "hard", "550 5.1.1 The email account that you tried to reach does not exist", "5.1.1"
    if lot < _HARD + _SOFT:
        return "soft", "452 4.2.2 The recipient's inbox is out of storage space", "4.2.2"
    if lot < _HARD + _SOFT + _COMPLAINT:
        return "complaint", "", ""
    return "delivered", "250 2.0.0 OK 1795665582", "2.0.0"


def _request(name: str, body: bytes, headers: str) -> bytes:
    return (
        f"POST /hooks/{name} HTTP/1.1\r\nHost: news.example.com\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    ).encode() + body


@dataclass
class EventsBench:
    """One run over events, and the rows of the table that come of it."""

    place: Path
    count: int
    rounds: int
    table: Table

    def run(self) -> None:
        """Measure batches, then events one by one."""
        sample = Newsletter(self.place / "events", max(500, self.count // 2))
        say(
            f"\nEvents over HTTP into SQLite, until all are interpreted: {CONNECTIONS} connections;"
            f" median of {self.rounds}, ours : a plain implementation  (range)"
        )
        self._compare(
            sample, f"batches of {BATCHES[0]} to {BATCHES[1]}", sample.batches, self.count
        )
        self._compare(sample, "one in each post", sample.singles, self.count // 5)
        shutil.rmtree(self.place / "events")

    def _compare(
        self,
        sample: Newsletter,
        name: str,
        make: Callable[[int], Sequence[bytes]],
        count: int,
    ) -> None:
        few = max(50, count // 20)  # a plain implementation's rate is constant
        seen = in_turn(
            self.rounds,
            {
                "ours": lambda: self._ours(sample, make(count), count),
                "plain": lambda: self._plain(sample, make(few), few),
            },
        )
        rate = seen.median("ours")
        title = f"events: {name}"
        self.table.at_least(f"{title}: 5,000/s", rate / WANTED, 1, f"{rate:,.0f}/s")
        ratio, rates = seen.ratio("ours", "plain"), seen.rates("ours", "plain")
        self.table.note(f"{title}, against a plain one", f"{ratio:6.2f} ×", rates)

    def _ours(self, sample: Newsletter, requests: Sequence[bytes], count: int) -> float:
        """Return the events a second from the first post until the last is interpreted."""
        folder = sample.copy()
        with running("-m", "newsletter_bot", "-C", str(folder), "run") as address:
            # Its duties look round once, and import what they need.
            time.sleep(_START if self.table.judging else 0)
            begun, _ = _post(sample.place, address, requests)
            _wait_until_read(folder)
            seconds = time.time() - begun
        with closing(Bot.open(folder)) as bot, bot.engine.connect() as connection:
            stored = connection.execute(select(func.count()).select_from(events)).scalar_one()
            shut = connection.execute(select(func.count()).select_from(suppressions)).scalar_one()
        assert stored == count, f"{count - stored} of {count} events were lost"
        assert shut or count < WANTED
        shutil.rmtree(folder)
        return count / seconds

    def _plain(self, sample: Newsletter, requests: Sequence[bytes], count: int) -> float:
        folder = sample.copy()
        with running("-m", "tests.bench.web_peers", "events", str(folder)) as address:
            begun, ended = _post(sample.place, address, requests)
        seconds = ended - begun
        with closing(Bot.open(folder)) as bot, bot.engine.connect() as connection:
            stored = connection.execute(select(func.count()).select_from(events)).scalar_one()
        assert stored == count, f"the plain one lost {count - stored} of {count} events"
        shutil.rmtree(folder)
        return count / seconds


def _post(place: Path, address: str, requests: Sequence[bytes]) -> tuple[float, float]:
    """Post them all; returns when that began and ended."""
    file = place / "requests"
    file.write_bytes(b"".join(_framed(requests)))
    parts = urlsplit(address)
    words = [str(parts.hostname), str(parts.port), str(file), str(CONNECTIONS)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.events_load", *words],
        capture_output=True,
        text=True,
        check=True,
        timeout=_PATIENCE,
    )
    said = json.loads(done.stdout)
    assert said["taken"] == len(requests), said
    return said["begun"], said["ended"]


def _framed(requests: Sequence[bytes]) -> Iterator[bytes]:
    for one in requests:
        yield b"%d\n" % len(one)
        yield one


def _wait_until_read(folder: Path) -> None:
    unread = select(func.count()).select_from(raw_events).where(raw_events.c.state == "new")
    end = time.monotonic() + _PATIENCE
    with closing(Bot.open(folder)) as bot:
        while True:
            with bot.engine.connect().execution_options(sqlite_begin="DEFERRED") as connection:
                if not connection.execute(unread).scalar_one():
                    return
            assert time.monotonic() < end, "they are not read"
            time.sleep(0.02)
