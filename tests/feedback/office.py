"""A newsletter's people and what was sent to them, without a relay, and what comes back."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Engine, Table, insert, select, update

from newsletter_bot.feedback.events.desk import Feedback
from newsletter_bot.feedback.events.intake import Intake
from newsletter_bot.settings import Settings
from newsletter_bot.settings.people import HookType
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.outbox import Outbox
from newsletter_bot.storage.tables import (
    deliveries,
    events,
    hook_events,
    issues,
    raw_events,
    renderings,
    subscription_changes,
)
from newsletter_bot.storage.writer import Writer
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.model import NewSubscriber
from newsletter_bot.subscribers.people import Backing, People
from newsletter_bot.subscribers.store import SubscriberStore
from newsletter_bot.subscribers.tokens import TokenSigner

SECRET = b"0123456789abcdef" * 4
DAY = 86_400
START = 1_790_000_000
KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = base64.b64encode(
    KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
).decode()
SENDGRID = {"kind": "sendgrid", "api_key": "key", "webhook_public_key": PUBLIC}


def settings_of(folder: Path, feedback: Mapping[str, Any]) -> Settings:
    return Settings.model_validate(
        {
            "folder": folder,
            "newsletter": {
                "name": "News",
                "url": "https://news.example.com",
                "from": "News <news@news.example.com>",
            },
            "lists": [{"id": "weekly", "name": "Weekly"}, {"id": "papers", "name": "Papers"}],
            "transport": SENDGRID,
            "feedback": dict(feedback),
        }
    )


@dataclass
class Office:
    """Its clock stands still until it is told; `told` is what operators were told."""

    engine: Engine
    settings: Settings
    now: float = START
    told: list[tuple[str, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.writer = Writer(self.engine)
        outbox = Outbox(frozenset({HookType.BOUNCED.value, HookType.UNSUBSCRIBED.value}))
        backing = Backing(self.engine, self.writer, outbox, SECRET, lambda: self.now)
        self.people = People(self.settings, backing)
        self.store = SubscriberStore(self.engine, SECRET, lambda: self.now, outbox)
        self.feedback = Feedback(self.settings, backing)
        self.intake = Intake(self.writer, lambda: self.now)
        self.signer = TokenSigner(SECRET)
        self._keys = 0

    # ── what was sent ────────────────────────────────────────────────────────────────────────

    def joins(self, name: str, *lists: str) -> int:
        for one in lists or ("weekly",):
            person = NewSubscriber(parse_address(f"{name}@reader.example"), name)
            self.store.add([person], one, {"source": "test"})
        found = self.store.find(f"{name}@reader.example")
        assert found is not None
        return found.subscriber.id

    def sends(self, issue: str, *people: int, state: str = "accepted", **more: Any) -> list[int]:
        """Write an issue as sent to people now; returns the ids of its deliveries."""
        with self.engine.begin() as connection:
            made = {"hash": issue, "content": "{}", "made_at": int(self.now)}
            connection.execute(insert(renderings).values(made))
            row = {
                "identity": issue,
                "title": issue,
                "state": "sent",
                "rendering": issue,
                "lists": ["weekly"],
                "planned_at": int(self.now),
                "selection": {},
                "subject_test": {},
            }
            number = _made(connection, issues, row)
            return [self._sent(connection, number, one, state, more) for one in people]

    def _sent(
        self, connection: Any, issue: int, person: int, state: str, more: Mapping[str, Any]
    ) -> int:
        row = {
            "issue_id": issue,
            "subscriber_id": person,
            "list": "weekly",
            "state": state,
            "attempts": 1,
            "attempted_at": int(self.now),
            "reason": "",
            "changed_at": int(self.now),
            **more,
        }
        return _made(connection, deliveries, row)

    def moves(self, seconds: float) -> None:
        self.now += seconds

    # ── what comes back ──────────────────────────────────────────────────────────────────────

    def event(self, delivery: int, kind: str = "bounce", **more: Any) -> dict[str, Any]:
        """Return an event as SendGrid tells it: of an address that does not exist, unless told."""
        self._keys += 1
        said = {"type": "bounce", "reason": "550 5.1.1 user unknown", "status": "5.1.1"}
        return {
            "event": kind,
            "sg_event_id": f"event-{self._keys}",
            "timestamp": int(self.now),
            "email": "somebody@reader.example",
            "ref": self.signer.bounce_token(delivery),
            **(said if kind == "bounce" else {}),
            **more,
        }

    def hears(self, *told: Any, source: str = "sendgrid") -> int:
        """Take in one request that tells these events, and read it."""
        self._keys += 1
        self.intake.keep(source, json.dumps(told).encode(), f"request-{self._keys}")
        return self.work()

    def gets(self, mail: str | bytes) -> int:
        """Take in a mail, and read it."""
        self.intake.keep_mail(mail if isinstance(mail, bytes) else mail.encode())
        return self.work()

    def work(self) -> int:
        return self.feedback.work(lambda *said: self.told.append(said))

    # ── what became of it ────────────────────────────────────────────────────────────────────

    def rows(self, table: Table) -> list[Mapping[str, Any]]:
        with reading(self.engine) as connection:
            found = connection.execute(select(table).order_by(*table.primary_key.columns))
            return [dict(row) for row in found.mappings()]

    def consequences(self) -> list[str]:
        return [row["consequence"] for row in self.rows(events)]

    def raws(self) -> list[tuple[str, str]]:
        return [(row["state"], row["reason"]) for row in self.rows(raw_events)]

    def suppression(self, name: str) -> str | None:
        return self.store.suppression_of(f"{name}@reader.example")

    def states(self, name: str) -> dict[str, str]:
        found = self.store.find(f"{name}@reader.example")
        assert found is not None
        return {one.list: one.state.value for one in found.subscriptions}

    def steps(self) -> list[tuple[str, str, str]]:
        rows = self.rows(subscription_changes)
        return [(row["list"], row["state"], row["by"]) for row in rows]

    def hooks(self) -> list[tuple[str, Any]]:
        return [(row["type"], row["data"]) for row in self.rows(hook_events)]

    def replay(self) -> None:
        """Have everything read again, as if nothing had been marked as read."""
        with self.engine.begin() as connection:
            connection.execute(update(raw_events).values(state="new"))
        self.work()

    def close(self) -> None:
        self.writer.close()


def _made(connection: Any, table: Table, row: Mapping[str, Any]) -> int:
    found: int = connection.execute(insert(table).values(row).returning(table.c.id)).scalar_one()
    return found


def bounce_mail(token: str, said: str = "550 5.1.1 user unknown", status: str = "5.1.1") -> str:
    """Write a report (RFC 3464) to the return path that holds a token."""
    return (
        "From: MAILER-DAEMON@mx.example\n"
        f"To: bounce+{token}@news.example.com\n"
        "Subject: Undelivered Mail Returned to Sender\nMIME-Version: 1.0\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
        "--b\nContent-Type: text/plain\n\nIt could not be delivered.\n\n"
        "--b\nContent-Type: message/delivery-status\n\n"
        "Reporting-MTA: dns; mx.example\n\n"
        "Final-Recipient: rfc822; ada@reader.example\nAction: failed\n"
        f"Status: {status}\nDiagnostic-Code: smtp; {said}\n\n--b--\n"
    )
