"""SQL, HTML and template text in every field: kept as it is, and inert wherever it is shown."""

from __future__ import annotations

import csv
import io
import json

import pytest
from sqlalchemy import select

from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import subscribers
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.csv_out import write_csv
from newsletter_bot.subscribers.model import NewSubscriber
from newsletter_bot.subscribers.people import By, Evidence, SignupRequest
from tests.subscribers.conftest import Town

HOSTILE = [
    "'; DROP TABLE subscribers; --",
    '" OR 1=1 --',
    "%_\\",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}{% include 'secret.key' %}",
    "${7*7} #{7*7} <%= 7*7 %>",
    '=HYPERLINK("https://evil.example")',
    "+cmd|' /C calc'!A0",
    "-1+1",
    "@SUM(A1)",
    "[bold red]markup[/]",
    "\u202eevil",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_it_is_kept_as_it_is_and_shown_inert(town: Town, text: str) -> None:
    evidence = Evidence(page=text, wording=text, version=text, prefix=text)
    asked = town.people.ask(
        SignupRequest("ada@example.com", ("weekly",), text, "en", evidence, proved=True)
    )
    town.people.settle()
    town.people.confirm(asked, text)
    person = NewSubscriber(parse_address("ada@example.com"), "", "", {"plan": text})
    town.people.subscribe(person, "weekly", {"source": text, text: text}, By.API)
    found = town.store.find("ada@example.com")
    assert found is not None
    assert (found.subscriber.name, found.subscriber.fields) == (text, {"plan": text})
    with reading(town.engine) as connection:
        assert connection.execute(select(subscribers.c.name)).scalars().all() == [text]

    held = town.people.dossier("ada@example.com")
    assert held is not None
    again = json.loads(json.dumps(held))
    assert again["subscriptions"][0]["consent"]["wording"] == text
    assert "prefix" not in again["subscriptions"][0]["consent"]

    out = io.StringIO()
    write_csv(town.store.export("weekly"), ["plan"], out)
    row = next(csv.DictReader(io.StringIO(out.getvalue())))
    for cell in (row["name"], row["plan"]):
        assert cell.removeprefix("'") == text.removeprefix("'")
        assert not cell.startswith(("=", "+", "-", "@"))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_tag_a_list_and_a_reason_are_texts_too(town: Town, text: str) -> None:
    person = town.join("ada@example.com")
    town.people.suppress("ada@example.com", text)
    assert town.store.suppression_of("ada@example.com") == text
    assert town.people.unsubscribe(person, [text]) == 0
    word = "".join(text.split()).replace(",", "").lstrip("+-")
    assert town.people.set_tags(person, [word], []) == (word.lower(),)
