"""Who visits: what a request says, what stands around it, and what is kept of whom."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, text, update

from newsletter_bot.delivery.planning.plan_store import PlanStore
from newsletter_bot.feedback.visits.visit_counter import VisitCounter
from newsletter_bot.feedback.visits.visitors import (
    RULES,
    Action,
    Actor,
    Asked,
    Seen,
    Visit,
    first_look,
    judged,
)
from newsletter_bot.feedback.visits.visitors_store import WAIT
from newsletter_bot.rendering.model import Rendering
from newsletter_bot.settings.tables import TrackingTable
from newsletter_bot.storage.tables import deliveries, events, subscribers
from newsletter_bot.storage.tables.feedback import UNJUDGED, WITH_VISITOR
from newsletter_bot.storage.writer import Writer
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.model import NewSubscriber
from newsletter_bot.subscribers.store import SubscriberStore

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/131.0.0.0 Safari/537.36"
)
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15"
    " (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1"
)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"
MAIL = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
GOOGLE = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
NOW = 1_800_000_000
SOME_NETWORK = "192.0.2.0/24"

# ── what a request alone says ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("agent", "clicked", "opened"),
    [
        (CHROME, "browser", "browser"),
        (SAFARI, "browser", "browser"),
        (FIREFOX, "browser", "browser"),
        (MAIL, "browser", "browser"),
        (CHROME.replace("Windows NT 10.0", "Linux; Android 13; CUBOT P80"), "browser", "browser"),
        (f"{CHROME} Telegram-Android/11.2", "browser", "browser"),
        ("TelegramBot (like TwitterBot)", "scanner", "scanner"),
        ("", "no-agent", "no-agent"),
        ("  ", "no-agent", "no-agent"),
        ("Mozilla/5.0", "bare-agent", "bare-agent"),
        (GOOGLE, "scanner", "image-proxy"),
        ("YahooMailProxy; https://help.yahoo.com/", "scanner", "image-proxy"),
        ("Microsoft Office/16.0 (Windows NT 10.0; …)", "other-agent", "browser"),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/131.0 Safari/537.36",
         "scanner", "scanner"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://…)", "scanner", "scanner"),
        ("BarracudaCentral", "scanner", "scanner"),
        ("python-requests/2.32", "scanner", "scanner"),
        ("Go-http-client/1.1", "scanner", "scanner"),
        ("curl/8.5.0", "scanner", "scanner"),
        ("SomethingNew/1.0", "other-agent", "other-agent"),
        ("Mozilla/4.0 (compatible; ms-office; MSOffice 16)", "other-agent", "browser"),
    ],
)  # fmt: skip
def test_a_program_is_known_by_what_it_calls_itself(agent: str, clicked: str, opened: str) -> None:
    headers = {"user-agent": agent, "accept-language": "en"}
    assert first_look(Asked(Action.CLICKED, "GET", headers)) == clicked
    assert first_look(Asked(Action.OPENED, "GET", headers)) == opened


@pytest.mark.parametrize(
    ("method", "header", "rule"),
    [
        ("HEAD", {}, "head"),
        ("GET", {"purpose": "prefetch"}, "prefetch"),
        ("GET", {"sec-purpose": "prefetch;prerender"}, "prefetch"),
        ("GET", {"x-moz": "prefetch"}, "prefetch"),
        ("GET", {"purpose": "navigate"}, "browser"),
        ("GET", {"accept-language": ""}, "no-language"),
    ],
)
def test_a_browser_that_was_not_asked_by_a_reader_is_none(
    method: str, header: dict[str, str], rule: str
) -> None:
    headers = {"user-agent": CHROME, "accept-language": "en", **header}
    assert first_look(Asked(Action.CLICKED, method, headers)) == rule


def test_only_one_rule_speaks_for_a_human() -> None:
    assert [name for name, rule in RULES.items() if rule.actor is Actor.HUMAN] == ["browser"]


def test_every_rule_is_written_down_with_what_it_makes_of_a_visit() -> None:
    document = (Path(__file__).parents[2] / "docs/tracking.md").read_text(encoding="utf-8")
    for name, rule in RULES.items():
        assert f"\n| `{name}` | {rule.actor} |" in document


# ── what stands around it ────────────────────────────────────────────────────────────────────────


def seen(at: int, link: int = 1, visitor: str = "7", **more: Any) -> Seen:
    number = more.pop("id", at * 100 + link)
    rule = more.pop("rule", "browser")
    return Seen(number, more.pop("action", Action.CLICKED), rule, at, visitor, link, **more)


def rules(*visits: Seen) -> list[str]:
    found = judged(visits)
    return [found.get(one.id, one.rule) for one in visits]


def test_three_links_within_two_seconds_are_a_burst() -> None:
    assert rules(seen(0, 1), seen(1, 2), seen(2, 3)) == ["burst"] * 3
    assert rules(seen(0, 1), seen(1, 2), seen(3, 3)) == ["browser"] * 3
    assert rules(seen(0, 1), seen(1, 1, id=5), seen(2, 2)) == ["browser"] * 3
    assert rules(seen(0, 1), seen(1, 2, "8"), seen(2, 3)) == ["browser"] * 3
    late = seen(9, 4)
    assert rules(seen(0, 1), seen(1, 2), seen(2, 3), late) == ["burst"] * 3 + ["browser"]


def test_whoever_asks_for_headers_first_is_no_reader() -> None:
    assert rules(seen(0, rule="head"), seen(10)) == ["head", "after-head"]
    assert rules(seen(0, rule="head"), seen(11)) == ["head", "browser"]
    assert rules(seen(5), seen(8, rule="head", id=1)) == ["after-head", "head"]


def test_a_quick_click_is_a_machines_where_it_is_suspect_otherwise_too() -> None:
    assert rules(seen(9, rule="no-language", accepted_at=0)) == ["soon"]
    assert rules(seen(10, rule="no-language", accepted_at=0)) == ["no-language"]
    assert rules(seen(2, accepted_at=0)) == ["browser"]
    assert rules(seen(-3, rule="other-agent", accepted_at=0)) == ["soon"]


def test_one_network_that_reads_for_many_is_a_gateway() -> None:
    def readers(count: int, apart: int) -> list[Seen]:
        return [
            seen(at * apart, visitor=str(at), delivery=at, network="n", id=at)
            for at in range(count)
        ]

    assert rules(*readers(11, 6)) == ["network"] * 11
    assert rules(*readers(10, 6)) == ["browser"] * 10
    assert rules(*readers(11, 7)) == ["browser"] * 11


def test_a_flood_of_visits_is_judged_in_its_stride() -> None:
    flood = [seen(at // 4000, at % 50, id=at, network="n", delivery=at) for at in range(60_000)]
    assert set(rules(*flood)) == {"burst"}


# ── what is kept ─────────────────────────────────────────────────────────────────────────────────


class Clock:
    now = float(NOW)

    def __call__(self) -> float:
        return self.now


class Ledger:
    """An issue that three readers got, and the counter of its visits."""

    def __init__(self, engine: Engine, room: int = 1000) -> None:
        self.engine = engine
        self.writer = Writer(engine)
        self.clock = Clock()
        people = SubscriberStore(engine, b"0123456789abcdef" * 4)
        who = [NewSubscriber(parse_address(f"{name}@example.com"), name) for name in "abc"]
        people.add(who, "weekly", {"source": "test"})
        rendering = Rendering("2026-W01", ((),), (), (), "en")
        self.issue = PlanStore(engine).plan(rendering, "T", ["weekly"]).id
        with engine.begin() as connection:
            accepted = {"state": "accepted", "changed_at": NOW - 3600}
            connection.execute(update(deliveries).values(accepted))
        self.counter = VisitCounter(engine, self.writer, TrackingTable(), self.clock, room)

    def visit(self, delivery: int | None = 1, link: int = 1, at: int = 0, **more: Any) -> bool:
        agent = "" if delivery is None else CHROME
        said = {"rule": "browser", "network": SOME_NETWORK, "agent": agent, **more}
        when = int(self.clock.now) + at
        return self.counter.note(
            Visit(Action.CLICKED, self.issue, link, when, delivery_id=delivery, **said)
        )

    def rows(self) -> list[dict[str, Any]]:
        assert self.counter.flush()
        with self.engine.connect() as connection:
            query = select(events).order_by(events.c.at, events.c.id)
            return [dict(row) for row in connection.execute(query).mappings()]

    def judge(self, later: float = WAIT) -> list[tuple[str, str]]:
        assert self.counter.flush()
        self.clock.now += later
        self.counter.judge()
        return [(row["actor"], row["why"]) for row in self.rows()]

    def close(self) -> None:
        self.counter.close()
        self.writer.close()


@pytest.fixture
def ledger(engine: Engine) -> Iterator[Ledger]:
    made = Ledger(engine)
    yield made
    made.close()


def test_a_visit_is_an_event_nobody_has_judged_yet(ledger: Ledger) -> None:
    ledger.visit(2, link=3)
    (row,) = ledger.rows()
    assert (row["source"], row["kind"], row["actor"], row["link"]) == ("link", "clicked", "", 3)
    assert (row["delivery_id"], row["subscriber_id"], row["issue_id"]) == (2, 2, ledger.issue)
    assert (row["prefix"], row["agent"]) == (SOME_NETWORK, CHROME)
    assert ledger.judge(WAIT - 1) == [("", "browser")]
    assert ledger.judge(1) == [("human", "browser")]


def test_every_click_is_kept_and_readers_are_counted_once(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.visit(1)
    ledger.visit(2)
    assert ledger.judge() == [("human", "browser")] * 4
    assert len({row["subscriber_id"] for row in ledger.rows()}) == 2


def test_a_burst_is_one_whenever_it_is_judged(ledger: Ledger) -> None:
    for at, link in ((0, 1), (1, 2), (2, 3)):
        ledger.visit(1, link, at)
        ledger.visit(None, link, at, network="hash")
        ledger.visit(None, link, at, network="hush" if link == 2 else "hash2")
    ledger.judge(WAIT)  # the first of each burst alone is due
    assert all(row["prefix"] for row in ledger.rows() if not row["actor"])
    found = Counter(ledger.judge(2))
    assert found == {("machine", "burst"): 6, ("human", "browser"): 3}
    assert {row["prefix"] for row in ledger.rows() if row["delivery_id"] is None} == {""}


def test_what_a_visitor_left_is_forgotten_in_time(ledger: Ledger) -> None:
    ledger.visit(1)
    ledger.judge()
    assert ledger.rows()[0]["prefix"] == SOME_NETWORK
    ledger.judge(30 * 86_400)
    (row,) = ledger.rows()
    assert (row["prefix"], row["agent"], row["actor"]) == ("", "", "human")


def test_nothing_is_kept_of_somebody_erased_or_unknown_but_the_count(ledger: Ledger) -> None:
    with ledger.engine.begin() as connection:
        erased = update(subscribers).where(subscribers.c.id == 2).values(erased_at=NOW)
        connection.execute(erased)
    ledger.visit(2)
    ledger.visit(999)
    rows = ledger.rows()
    assert [(one["delivery_id"], one["subscriber_id"]) for one in rows] == [(None, None)] * 2
    assert [(one["prefix"], one["agent"]) for one in rows] == [("", "")] * 2


def test_an_issue_that_is_gone_spoils_no_other_visit(ledger: Ledger) -> None:
    ledger.counter.note(Visit(Action.CLICKED, 999, 1, NOW, "browser", ""))
    ledger.visit(1)
    assert len(ledger.rows()) == 1


def test_visits_find_their_indexes(ledger: Ledger) -> None:
    if ledger.engine.dialect.name != "sqlite":
        pytest.skip("the planner of PostgreSQL reads a small table as a whole")
    for where, index in ((UNJUDGED, "ix_events_unjudged"), (WITH_VISITOR, "ix_events_visitors")):
        query = f"EXPLAIN QUERY PLAN SELECT id FROM events WHERE {where} AND received_at < 1"
        with ledger.engine.connect() as connection:
            assert index in str(connection.execute(text(query)).all())


def test_what_finds_no_room_is_lost_and_nobody_waits(engine: Engine) -> None:
    ledger = Ledger(engine, room=10)
    busy, free = threading.Event(), threading.Event()

    def hold(_connection: object) -> None:
        busy.set()
        free.wait(20)

    holder = threading.Thread(target=ledger.writer.run, args=(hold,))
    if engine.dialect.name == "sqlite":  # elsewhere one change does not hold up another
        holder.start()
        busy.wait(20)
        taken = [ledger.visit(1) for _ in range(1000)]
        assert not all(taken)
        free.set()
        holder.join()
        assert len(ledger.rows()) == sum(taken)
    ledger.close()
    assert not ledger.visit(1)
