"""What is told about sending: bounces as they are written, and an issue when it has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, select, update

from newsletter_bot.delivery.control_store import ControlStore
from newsletter_bot.delivery.model import Settle, Start, accepted, deferred, refused
from newsletter_bot.delivery.planning.plan_store import PlanStore
from newsletter_bot.delivery.store import LedgerStore
from newsletter_bot.delivery.telling_store import Telling
from newsletter_bot.settings import Settings
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import deliveries, hook_events, issues
from tests.delivery.post import ISSUE, NOW, owe
from tests.hooks.conftest import NEWSLETTER

ENDPOINT = {"name": "a", "url": "https://hooks.example.com/"}


@pytest.fixture
def ledger(engine: Engine, tmp_path: Path) -> Callable[..., LedgerStore]:
    """Open a ledger whose newsletter has an endpoint for these events: `ledger(events=[…])`."""

    def opened(**table: object) -> LedgerStore:
        hooks = [{**ENDPOINT, **table}]
        values = {"folder": tmp_path, "newsletter": NEWSLETTER, "webhooks": hooks}
        telling = Telling(Settings.model_validate(values))
        return LedgerStore(engine, lambda: float(NOW), telling)

    return opened


def told(engine: Engine) -> list[Mapping[str, Any]]:
    with reading(engine) as connection:
        query = select(hook_events).order_by(hook_events.c.id)
        return [dict(row) for row in connection.execute(query).mappings()]


def end(ledger: LedgerStore, outcomes: Iterable[object]) -> None:
    """Let the deliveries 1, 2, … come to these outcomes, all in one commit."""
    numbered = list(enumerate(outcomes, 1))
    assert ledger.write([Start(number) for number, _ in numbered]) == {}
    ledger.write([Settle(number, one) for number, one in numbered])  # type: ignore[arg-type]


def test_a_refusal_that_is_the_readers_own_is_told_as_a_bounce(
    engine: Engine, ledger: Callable[..., LedgerStore]
) -> None:
    owe(engine, ["example.com"] * 6)
    end(
        ledger(),
        [
            accepted("250 ok"),
            refused("550 5.1.1 no such user"),
            refused("550 5.7.1 blocked by our policy"),
            refused("552 5.3.4 message too large"),
            deferred("450 4.1.1 no such user, yet"),
            refused("552 5.2.2 mailbox full"),
        ],
    )
    first, second = told(engine)
    assert first["type"] == second["type"] == "subscriber.bounced"
    assert first["data"] == {
        "subscriber_id": 2,
        "address": "r2@example.com",
        "list": "weekly",
        "issue": "2026-W01",
        "reason": "550 5.1.1 no such user",
    }
    assert (first["subscriber_id"], second["subscriber_id"]) == (2, 6)
    assert first["at"] == NOW
    assert first["uid"] != second["uid"]


def test_an_outcome_that_does_not_reach_the_disk_is_not_told(
    engine: Engine, ledger: Callable[..., LedgerStore]
) -> None:
    owe(engine, ["example.com"])
    store = ledger()
    assert store.write([Start(1)]) == {}
    outcome = Settle(1, refused("550 5.1.1 no such user"))
    heard: list[str] = []

    def fail(*_arguments: object) -> None:
        heard.append("commit")
        raise ZeroDivisionError

    event.listen(engine, "commit", fail)
    with pytest.raises(ZeroDivisionError):
        store.write([outcome])
    event.remove(engine, "commit", fail)
    assert heard
    assert told(engine) == []
    store.write([outcome])
    assert len(told(engine)) == 1


def test_where_no_endpoint_wants_bounces_the_ledger_asks_nothing_more(
    engine: Engine, ledger: Callable[..., LedgerStore]
) -> None:
    owe(engine, ["example.com"] * 2)
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        asked.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    end(ledger(events=["issue.sent"]), [refused("550 5.1.1 no such user")] * 2)
    event.remove(engine, "before_cursor_execute", note)
    assert [one for one in asked if "hook" in one or "SELECT" in one] == []
    assert told(engine) == []


def test_an_issue_that_came_to_its_end_is_told_once_with_its_numbers(
    engine: Engine, ledger: Callable[..., LedgerStore]
) -> None:
    owe(engine, ["example.com"] * 3)
    store = ledger(events=["issue.sent"])
    assert not store.finish(ISSUE)
    end(store, [accepted("250 ok"), accepted("250 ok"), refused("550 5.1.1 no such user")])
    assert store.finish(ISSUE)
    assert not store.finish(ISSUE)
    (one,) = told(engine)
    assert one["type"] == "issue.sent"
    assert one["subscriber_id"] is None
    assert one["data"] == {
        "issue": "2026-W01",
        "title": "",
        "url": "https://news.example.com/archive/2026-W01/",
        "planned": 3,
        "accepted": 2,
        "refused": 1,
        "skipped": 0,
        "unknown": 0,
        "expired": 0,
        "balanced": True,
    }
    assert ControlStore(engine).retry_failed(ISSUE) == 1
    with engine.begin() as connection:
        later = update(deliveries).where(deliveries.c.id == 3).values(state="accepted")
        connection.execute(later)
    assert store.finish(ISSUE)
    assert len(told(engine)) == 1, "sent again to those who were refused: no second time"


@pytest.mark.parametrize("values", [{"kind": "sequence"}, {"told_at": 1}])
def test_a_sequence_message_and_an_issue_of_long_ago_are_not_told(
    engine: Engine, ledger: Callable[..., LedgerStore], values: dict[str, object]
) -> None:
    owe(engine, ["example.com"])
    with engine.begin() as connection:
        connection.execute(update(issues).values(values))
    store = ledger()
    end(store, [accepted("250 ok")])
    assert store.finish(ISSUE)
    assert told(engine) == []


def test_a_ledger_without_webhooks_sends_as_before(engine: Engine) -> None:
    owe(engine, ["example.com"])
    store = LedgerStore(engine, lambda: float(NOW))
    end(store, [refused("550 5.1.1 no such user")])
    assert store.finish(ISSUE)
    assert told(engine) == []
    assert PlanStore(engine).issue("2026-W01") is not None
