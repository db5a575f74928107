"""What is stuck, by domain and age; what servers said, searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from sqlalchemy import Engine, insert

from newsletter_bot.delivery.model import DeliveryState, Settle, Start, deferred, refused
from newsletter_bot.delivery.report_store import AGES, ReportStore
from newsletter_bot.delivery.store import LedgerStore
from newsletter_bot.storage.tables import (
    deliveries,
    issues,
    renderings,
    subscribers,
    subscriptions,
)
from newsletter_bot.subscribers.address import key_of

NOW = 1_800_000_000
ISSUE = 1


@dataclass
class Desk:
    """A ledger with one issue, looked at by an operator."""

    engine: Engine
    now: int = NOW
    count: int = 0
    report: ReportStore = field(init=False)
    ledger: LedgerStore = field(init=False)

    def __post_init__(self) -> None:
        self.report = ReportStore(self.engine, lambda: self.now)
        self.ledger = LedgerStore(self.engine, lambda: self.now)
        row = {"id": ISSUE, "identity": "2026-W01", "title": "", "state": "sending"}
        with self.engine.begin() as connection:
            connection.execute(insert(renderings).values(hash="h", content="", made_at=NOW))
            values = {**row, "rendering": "h", "lists": ["weekly"], "planned_at": NOW}
            connection.execute(insert(issues).values(values))

    def owe(self, address: str, **values: object) -> int:
        """Owe the issue to somebody; returns the delivery's number."""
        self.count += 1
        one = self.count
        person = {"id": one, "address": address, "address_key": key_of(address), "name": ""}
        person |= {"suppression_key": b"%d" % one, "language": "", "fields": {}, "added_at": NOW}
        row = {"id": one, "issue_id": ISSUE, "subscriber_id": one, "list": "weekly"}
        row |= {"state": "planned", "attempts": 0, "reason": "", "changed_at": NOW, **values}
        signed = {"list": "weekly", "subscriber_id": one, "state": "active", "consent": {}}
        with self.engine.begin() as connection:
            connection.execute(insert(subscribers).values(person))
            connection.execute(insert(subscriptions).values(**signed, changed_at=NOW))
            connection.execute(insert(deliveries).values(row))
        return one

    def stuck(self, address: str, age: int, state: str = "deferred") -> None:
        """Owe it to somebody whose first attempt was so many seconds ago."""
        self.owe(address, state=state, attempted_at=self.now - age, reason="451 later")

    def tried(self, one: int, reason: str, relay: str = "main", *, for_good: bool = False) -> None:
        """Try a delivery and hear a no."""
        outcome = refused(reason) if for_good else deferred(reason)
        assert self.ledger.write([Start(one, again=self.now > NOW)]) == {}
        due = None if for_good else self.now
        self.ledger.write([Settle(one, outcome, due, relay)])
        self.now += 600


@pytest.fixture
def desk(engine: Engine) -> Desk:
    return Desk(engine)


def found(desk: Desk, words: str, limit: int = 100) -> Sequence[str]:
    return [one.reason for one in desk.report.search(ISSUE, words, limit)]


def test_every_age_falls_into_the_bucket_whose_bounds_hold_it(desk: Desk) -> None:
    ages = [0, *(60 * one for one in AGES)]
    for at, age in enumerate(ages):
        for second in (0, 1, 59):
            desk.stuck(f"r{at}-{second}@example.org", age + second)
    (row,) = desk.report.stuck(ISSUE, 10)
    assert (row.domain, row.total, row.by_age) == ("example.org", 30, (3,) * 10)


def test_the_last_second_of_a_bucket_is_not_the_first_of_the_next(desk: Desk) -> None:
    desk.stuck("ann@example.org", 299)
    desk.stuck("bo@example.org", 300)
    (row,) = desk.report.stuck(ISSUE, 10)
    assert row.by_age[:3] == (1, 1, 0)


def test_a_clock_set_back_loses_nobody_from_the_histogram(desk: Desk) -> None:
    desk.stuck("ann@example.org", -3600)
    (row,) = desk.report.stuck(ISSUE, 10)
    assert sum(row.by_age) == row.total == 1


def test_only_what_was_tried_and_has_not_arrived_is_stuck(desk: Desk) -> None:
    for at, state in enumerate(DeliveryState):
        desk.stuck(f"r{at}@{state}.example", 60, state)
    domains = {one.domain for one in desk.report.stuck(ISSUE, 100)}
    assert domains == {"deferred.example", "sending.example", "unknown.example"}


def test_the_worst_domain_comes_first_and_the_limit_counts_domains(desk: Desk) -> None:
    for at in range(12):
        desk.stuck(f"r{at}@{'big' if at < 7 else 'mid' if at < 11 else 'small'}.example", 60)
    rows = desk.report.stuck(ISSUE, 2)
    assert [(one.domain, one.total) for one in rows] == [("big.example", 7), ("mid.example", 4)]


def test_a_domain_is_what_follows_the_last_at_sign(desk: Desk) -> None:
    for address in ('"a@b"@example.org', "example.org@example.org", "x@münchen.example"):
        desk.stuck(address, 60)
    rows = {one.domain: one.total for one in desk.report.stuck(ISSUE, 10)}
    assert rows == {"example.org": 2, "xn--mnchen-3ya.example": 1}


def test_all_that_servers_said_is_found_and_the_newest_comes_first(desk: Desk) -> None:
    one, two = desk.owe("ann@example.org"), desk.owe("bo@example.com")
    desk.tried(one, "451 4.7.1 greylisted")
    desk.tried(one, "452 4.2.2 mailbox full", "spare")
    desk.tried(two, "550 5.1.1 no such user", for_good=True)
    said = desk.report.search(ISSUE, "", 100)
    assert [(each.address, each.state, each.relay, each.reason) for each in said] == [
        ("bo@example.com", "refused", "main", "550 5.1.1 no such user"),
        ("ann@example.org", "deferred", "spare", "452 4.2.2 mailbox full"),
        ("ann@example.org", "deferred", "main", "451 4.7.1 greylisted"),
    ]
    assert [each.at for each in said] == [NOW + 1200, NOW + 600, NOW]
    assert found(desk, "GREYlisted") == ["451 4.7.1 greylisted"]
    assert len(found(desk, "Ann@Example")) == 2
    assert len(found(desk, "", limit=2)) == 2


def test_words_are_words_not_patterns(desk: Desk) -> None:
    one, two = desk.owe("a_b@example.org"), desk.owe("axb@example.org")
    desk.tried(one, "452 mailbox 100% full, see C:\\mail/quota")
    desk.tried(two, "452 mailbox 1000 full")
    assert len(found(desk, "100% full")) == 1
    assert len(found(desk, "a_b")) == 1
    assert len(found(desk, "C:\\mail/quota")) == 1
    assert found(desk, "%") == found(desk, "100%")
    assert found(desk, "'; DROP TABLE deliveries; --") == []


def test_an_international_address_is_found_as_it_is_shown(desk: Desk) -> None:
    desk.tried(desk.owe("ann@münchen.example"), "451 later")
    assert len(found(desk, "@münchen")) == 1
    assert len(found(desk, "xn--mnchen")) == 1


def test_an_attempt_under_way_does_not_repeat_what_was_said_before(desk: Desk) -> None:
    one = desk.owe("ann@example.org")
    desk.tried(one, "451 4.7.1 greylisted")
    desk.ledger.write([Start(one, again=True)])
    assert found(desk, "") == ["451 4.7.1 greylisted"]


def test_states_and_reasons_are_counted_the_most_frequent_first(desk: Desk) -> None:
    for at in range(3):
        desk.stuck(f"r{at}@example.org", 60)
    desk.owe("ann@example.org", state="refused", reason="550 gone")
    desk.owe("bo@example.org")
    assert desk.report.tally(ISSUE) == {"deferred": 3, "refused": 1, "planned": 1}
    wanted = {DeliveryState.DEFERRED, DeliveryState.REFUSED}
    assert desk.report.reasons(ISSUE, wanted) == [
        (DeliveryState.DEFERRED, "451 later", 3),
        (DeliveryState.REFUSED, "550 gone", 1),
    ]
