"""`report`: what it prints, writes and says when there is nothing to report."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from newsletter_bot.storage.engine import open_engine
from tests.reports.ledger import BEGUN, DAY, Ledger, rich

DOCS = (Path(__file__).parents[2] / "docs" / "reports.md").read_text()


@pytest.fixture
def ledger(newsletter: Path) -> Ledger:
    """The newsletter's own database, to write into."""
    return Ledger(open_engine("sqlite:///newsletter.db", newsletter))


def _keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(_keys, value.values())) if value else set()
    return set().union(*map(_keys, value)) if isinstance(value, list) else set()


def test_all_fields_of_the_json_are_documented(run: Callable[..., Any], ledger: Ledger) -> None:
    rich(ledger, 200)
    own = {"one-click", "page", "gets the monthly digest"}  # counts by words
    for words in (("report", "2026-W49"), ("report", "--compare", "2026-W48", "2026-W49")):
        found = run(*words, json=True).json
        assert {
            one for one in _keys(found) - own if f'"{one}"' not in DOCS and f"`{one}`" not in DOCS
        } == set()


def test_the_terminal_shows_every_part(run: Callable[..., Any], ledger: Ledger) -> None:
    rich(ledger, 200)
    said = run("report", "2026-W49").out
    for part in (
        "What became of all deliveries",
        "half within",
        "gmail.com",
        "Bounces by reason",
        "Custom object detection in the browser",
        "Opens are no readers",
        "Test of subjects",
        "List growth",
        "█",
    ):
        assert part in said
    assert [one for one in ("@", "reader1", "Reader 1") if one in said] == []
    assert "2026-W49" in run("report", "--compare").out


def test_a_narrow_terminal_gets_shares_and_nothing_is_cut(
    run: Callable[..., Any], ledger: Ledger
) -> None:
    rich(ledger, 200)
    wide, narrow = (run("report", "--compare", columns=one).out for one in (200, 80))
    assert " of " in wide
    assert " of " not in narrow
    assert "2026-W49" in narrow
    assert "…" not in narrow


@pytest.mark.parametrize("state", ["sending", "paused", "cancelled", "sent"])
def test_an_issue_is_reported_whatever_its_state(
    run: Callable[..., Any], ledger: Ledger, newsletter: Path, state: str
) -> None:
    issue = ledger.issue("2026-W01", state=state, title="[bold]A[/] \x1b[31m<title>")
    people = ledger.people(["a@x.example", "b@x.example"])
    ledger.deliver(issue, people[:1])
    ledger.deliver(issue, people[1:], state="planned", reason="")
    told = run("report", "2026-W01")
    assert told.code == 0
    assert "[bold]A[/] [31m<title>" in told.out
    assert "\x1b" not in told.out
    page = newsletter / "report.html"
    assert run("report", "2026-W01", "--html", str(page)).out.strip() == f"Written: {page}"
    assert "A[/] [31m&lt;title&gt;" in page.read_text(encoding="utf-8")
    found = run("report", "2026-W01", json=True).json
    assert (found["state"], found["outcomes"]["remaining"]) == (state, 1)


def test_what_cannot_be_reported_is_said_with_a_next_step(
    run: Callable[..., Any], write_issue: Callable[..., Path], newsletter: Path, ledger: Ledger
) -> None:
    write_issue()
    never = run("report", "2026-W01")
    assert (never.code, "has not been planned" in never.err) == (65, True)
    assert "newsletter-bot send 2026-W01" in never.err
    assert run("report", "2031-W09").code == 65
    assert run("report").code == 2
    assert "Nothing was sent yet" in run("report", "--compare").out
    assert run("report", "--compare", json=True).json["issues"] == []
    ledger.issue("2026-W01", BEGUN + DAY)
    assert run("report", "2026-W01", "2026-W01").code == 2
    nowhere = run("report", "2026-W01", "--html", str(newsletter / "no" / "such.html"))
    assert nowhere.code == 69
    assert re.search("not written: .*such.html", nowhere.err)
