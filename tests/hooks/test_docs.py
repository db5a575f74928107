"""What docs/webhooks.md promises about payloads is what endpoints get."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select, update

from newsletter_bot.delivery.model import Settle, Start, refused
from newsletter_bot.delivery.store import LedgerStore
from newsletter_bot.delivery.telling_store import Telling
from newsletter_bot.hooks.retry import WAITS
from newsletter_bot.settings import Settings
from newsletter_bot.settings.people import HookType
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.outbox import Outbox
from newsletter_bot.storage.tables import hook_events, issues, subscribers
from newsletter_bot.subscribers.consent import By
from newsletter_bot.subscribers.transitions_store import Moment, Transitions
from tests.delivery.post import ISSUE, NOW, owe
from tests.hooks.conftest import NEWSLETTER

DOCUMENT = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")


def example(kind: HookType) -> dict[str, Any]:
    section = DOCUMENT.partition(f"### `{kind.value}`")[2].partition("\n##")[0]
    found: dict[str, Any] = json.loads(section.partition("```json")[2].partition("```")[0])
    return found


def shape(data: dict[str, Any]) -> dict[str, type]:
    return {name: type(value) for name, value in data.items()}


@pytest.fixture
def told(engine: Engine, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """One event of each type, as it is put into the outbox."""
    settings = Settings.model_validate(
        {
            "folder": tmp_path,
            "newsletter": NEWSLETTER,
            "webhooks": [{"name": "a", "url": "https://hooks.example.com"}],
        }
    )
    owe(engine, ["example.com"])
    ada: dict[str, object] = {"id": 17, "address": "ada@example.com", "name": "", "language": ""}
    ada |= {"address_key": "ada", "suppression_key": b"ada", "fields": {}, "added_at": NOW}
    transitions, moment = Transitions(Outbox.of(settings)), Moment(NOW, By.FORM)
    with engine.begin() as connection:
        connection.execute(update(issues).values(title="Week 1"))
        connection.execute(insert(subscribers).values(ada))
        transitions.ask(connection, 17, ["weekly"], {}, moment)
        transitions.join(connection, 17, ["weekly"], {}, moment)
        transitions.leave(connection, 17, ["weekly"], moment)
    ledger = LedgerStore(engine, lambda: float(NOW), Telling(settings))
    ledger.write([Start(1)])
    ledger.write([Settle(1, refused("550 5.1.1 no such user"))])
    ledger.finish(ISSUE)
    with reading(engine) as connection:
        rows = connection.execute(select(hook_events.c.type, hook_events.c.data))
        return {row[0]: row[1] for row in rows}


@pytest.mark.parametrize("kind", list(HookType))
def test_every_type_is_documented_with_the_keys_that_it_has(
    told: dict[str, dict[str, Any]], kind: HookType
) -> None:
    assert shape(example(kind)) == shape(told[kind.value])
    assert list(example(kind)) == list(told[kind.value])


def test_every_origin_of_a_change_is_documented() -> None:
    for one in By:
        assert one is By.IMPORT or f"`{one.value}`" in DOCUMENT


def test_the_waits_between_attempts_are_those_documented() -> None:
    said = DOCUMENT.partition("then after ")[2].partition("hours")[0]
    seconds, minutes, hours = said.split("seconds")[0], *said.split("seconds")[1].split("minutes")
    units = ((seconds, 1), (minutes, 60), (hours, 3600))
    assert tuple(int(n) * unit for text, unit in units for n in re.findall(r"\d+", text)) == WAITS
