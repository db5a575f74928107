"""A run without a network: a real ledger, a backlog, and somebody who says what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine, create_engine, insert

from newsletter_bot.delivery.backlog import Backlog
from newsletter_bot.delivery.feed import Feed
from newsletter_bot.delivery.model import (
    Outcome,
    Recipient,
    Release,
    Settle,
    Start,
    accepted,
    deferred,
)
from newsletter_bot.delivery.relaying.domains import Domains
from newsletter_bot.delivery.relaying.pacing import Limits, Pace
from newsletter_bot.delivery.relaying.pacing_store import PacingStore
from newsletter_bot.delivery.relaying.relays import Relay, Router
from newsletter_bot.delivery.report_store import ReportStore
from newsletter_bot.delivery.store import LedgerStore
from newsletter_bot.delivery.transports.maildir import Maildir
from newsletter_bot.storage.tables import (
    deliveries,
    issues,
    renderings,
    subscribers,
    subscriptions,
)

NOW = 1_800_000_000
ISSUE = 1
FINE = accepted("250 ok")
LATER = deferred("451 4.7.1 greylisted")
FAR_TOO_FAST = deferred("421 4.7.28 unusual rate")
UNUSED = PacingStore(create_engine("sqlite://"))  # a relay without limits never asks it


def relay(name: str = "main", weight: int = 1, lists: Iterable[str] = ()) -> Relay:
    pace = Pace(name, Limits(), UNUSED)
    return Relay(name, Maildir(Path(name)), 8, pace, weight, frozenset(lists))


@dataclass
class Post:
    """Takes deliveries from a backlog, and says what became of them."""

    engine: Engine
    relays: Sequence[Relay]
    most: int = 20
    now: float = NOW
    taken: Counter[int] = field(default_factory=Counter)
    flying: dict[int, tuple[Relay, Recipient]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ledger = LedgerStore(self.engine, lambda: self.now)
        self.domains = Domains(self.most, {})
        router = Router(self.relays, {})
        feed = Feed(self.ledger, ISSUE)
        self.backlog = Backlog(feed, router, self.relays, self.domains)

    def take(self, one: Relay, most: int = 1_000_000) -> list[Recipient]:
        """Begin as many deliveries of a relay as may go now."""
        found: list[Recipient] = []
        while len(found) < most:
            recipient = self.backlog.take(one, self.now)
            if recipient is None:
                break
            assert recipient.delivery_id not in self.flying
            assert not one.lists or recipient.list in one.lists
            assert self.domains.limit(one.name, recipient.domain).admits(self.now)
            self.domains.limit(one.name, recipient.domain).under_way += 1
            self.flying[recipient.delivery_id] = one, recipient
            self.taken[recipient.delivery_id] += 1
            found.append(recipient)
        starts = [Start(each.delivery_id, again=each.attempts > 0) for each in found]
        assert self.ledger.write(starts) == {}
        return found

    def settle(self, found: Iterable[Recipient], outcome: Outcome, wait: int = 300) -> None:
        """Let deliveries come to an outcome."""
        changes = []
        for recipient in found:
            one, _ = self.flying.pop(recipient.delivery_id)
            self.domains.hear(one.name, recipient.domain, outcome, self.now)
            due = int(self.now) + wait if outcome.state == "deferred" else None
            changes.append(Settle(recipient.delivery_id, outcome, due, one.name))
            self.backlog.settled(recipient.delivery_id)
        self.ledger.write(changes)

    def give_back(self, found: Iterable[Recipient]) -> None:
        """Let sessions end before deliveries happened."""
        for recipient in found:
            one, _ = self.flying.pop(recipient.delivery_id)
            self.domains.limit(one.name, recipient.domain).under_way -= 1
            self.ledger.write([Release(recipient.delivery_id)])
            self.backlog.give_back(one, recipient)
            self.taken[recipient.delivery_id] -= 1

    def in_memory(self) -> int:
        """How many whole deliveries wait in memory."""
        piles = [*self.backlog._queues.values()]
        piles += [pile for each in self.backlog._parked.values() for pile in each.values()]
        return sum(len(pile._first) for pile in piles)

    def tally(self) -> dict[str, int]:
        return ReportStore(self.engine).tally(ISSUE)


def owe(
    engine: Engine, domains: Sequence[str], lists: Sequence[str] = (), state: str = "planned"
) -> None:
    """Owe an issue to a reader at each of these domains, in this order."""
    lists = lists or ["weekly"] * len(domains)
    rows = list(enumerate(zip(domains, lists, strict=True), 1))
    tried = {"attempts": 1, "attempted_at": NOW - 900, "not_before": NOW - 1, "reason": "451 later"}
    fresh = {"attempts": 0, "attempted_at": None, "not_before": None, "reason": ""}
    values = {"state": state, **(tried if state == "deferred" else fresh)}
    people = [_person(at, f"r{at}@{domain}") for at, (domain, _) in rows]
    signed = [{"list": on, "subscriber_id": at} for at, (_, on) in rows]
    owed = [
        {"id": at, "issue_id": ISSUE, "subscriber_id": at, "list": on, **values}
        for at, (_, on) in rows
    ]
    with engine.begin() as connection:
        connection.execute(insert(renderings).values(hash="h", content="", made_at=NOW))
        issue = {"id": ISSUE, "identity": "2026-W01", "title": "", "state": "sending"}
        issue |= {"rendering": "h", "lists": sorted(set(lists)), "planned_at": NOW}
        connection.execute(insert(issues).values(issue))
        connection.execute(insert(subscribers), people)
        active = insert(subscriptions).values(state="active", consent={}, changed_at=NOW)
        connection.execute(active, signed)
        connection.execute(insert(deliveries).values(changed_at=NOW), owed)


def _person(at: int, address: str) -> dict[str, object]:
    fixed = {"name": "", "language": "", "fields": {}, "added_at": NOW}
    key = {"address_key": address, "suppression_key": b"%d" % at}
    return {"id": at, "address": address, **key, **fixed}
