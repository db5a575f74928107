from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

SUPPORTERS = """\
title = "Supporters"
description = "Whoever pays."
all = [{field = "plan", is = "supporter"}, {any = [{tag = "beta"}, {list = "weekly"}]}]
"""


@pytest.fixture
def people(run: Run, newsletter: Path) -> None:
    path = newsletter / "people.csv"
    path.write_text("email,plan\nada@example.com,supporter\nbo@example.com,free\n")
    run("subscribers", "import", str(path))


@pytest.fixture
def supporters(newsletter: Path) -> Path:
    path = newsletter / "subscribers" / "segments" / "supporters.toml"
    path.parent.mkdir(parents=True)
    path.write_text(SUPPORTERS)
    return path


def test_without_any_the_list_says_how_to_write_one(run: Run) -> None:
    assert "subscribers/segments/supporters.toml" in run("segments", "list").out
    assert run("segments", "list", json=True).json == {"segments": []}


def test_segments_are_listed_with_how_many_match(run: Run, people: None, supporters: Path) -> None:
    expected = {"name": "supporters", "title": "Supporters", "description": "Whoever pays."}
    listed = run("segments", "list", json=True)
    assert listed.json == {"segments": [{**expected, "matching": 1, "trouble": ""}]}
    assert listed.code == 0
    supporters.with_name("broken.toml").write_text("all = [{tga = 'x'}]")
    listed = run("segments", "list")
    assert "Did you mean 'tag'" in listed.out
    assert "Supporters" in listed.out
    assert listed.code == 65


def test_a_segment_can_be_exported(run: Run, people: None, supporters: Path) -> None:
    out = supporters.with_name("supporters.csv")
    assert run("subscribers", "export", "--segment", "supporters", "--out", str(out)).code == 0
    written = out.read_text()
    assert "ada@example.com" in written
    assert "bo@example.com" not in written
    assert run("subscribers", "export", "--segment", "suporters").code == 65


def test_a_segment_is_shown_in_words_and_as_a_query(run: Run, supporters: Path) -> None:
    shown = run("segments", "show", "supporters").out
    assert "plan is “supporter”" in shown
    assert "    tagged “beta”" in shown
    found = run("segments", "show", "supporters", json=True).json
    assert found["query"] == "plan=supporter&any.tag=beta&any.list=weekly"
    assert found["rules"]["all"][1] == {"any": [{"tag": "beta"}, {"list": "weekly"}]}
    missing = run("segments", "show", "suporters")
    assert missing.code == 65
    assert "Did you mean 'supporters'" in missing.err


def test_explain_counts_and_shows_which_rule_cuts(run: Run, people: None, supporters: Path) -> None:
    found = run("segments", "explain", "supporters", json=True).json
    assert found == {
        "name": "supporters",
        "query": "plan=supporter&any.tag=beta&any.list=weekly",
        "people": 2,
        "matching": 1,
        "mailable": 1,
        "rules": [
            {"rule": "plan is “supporter”", "matching": 1},
            {"rule": "tagged “beta”", "matching": 0},
            {"rule": "active on weekly", "matching": 2},
        ],
    }
    said = run("segments", "explain", "supporters").out
    assert "1 of 2 people match; 1 of them are on a list" in said
    assert "    active on weekly" in said


def test_explain_tells_why_somebody_does_not_match(
    run: Run, people: None, supporters: Path
) -> None:
    said = run("segments", "explain", "supporters", "bo@example.com").out
    assert "bo@example.com does not match: 1 of 2 hold." in said
    assert "✗ plan is “supporter”: plan is “free”" in said
    assert "✓ any of these: 1 of 2 hold" in said
    found = run("segments", "explain", "supporters", "ada@example.com", json=True).json
    assert (found["address"], found["matching"]) == ("ada@example.com", True)
    assert found["rules"][0] == {
        "rule": "plan is “supporter”",
        "met": True,
        "why": "plan is “supporter”",
    }
    assert [one["met"] for one in found["rules"][1]["parts"]] == [False, True]


def test_a_query_does_instead_of_a_name(run: Run, people: None) -> None:
    found = run("segments", "explain", "--query", "not.plan=free", json=True).json
    assert (found["name"], found["matching"]) == ("", 1)
    said = run("segments", "explain", "--query", "plan=free", "bo@example.com").out
    assert "bo@example.com matches: 1 of 1 hold." in said


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "Name a segment"),
        (["a", "b", "c"], 2, "Name a segment"),
        (["--query", "tag=a", "b@example.com", "c"], 2, "Name a segment"),
        (["--query", "plam=x"], 65, "Did you mean 'plan'"),
        (["--query", "tag=a", "nobody@example.com"], 65, "is known"),
        (["--query", "tag=a", "nobody"], 65, "no address"),
        (["../../secret"], 65, "There is no segment"),
    ],
)
def test_what_cannot_be_explained_is_told(run: Run, words: list[str], code: int, said: str) -> None:
    done = run("segments", "explain", *words)
    assert done.code == code
    assert said in done.err


def test_an_issue_for_a_segment_goes_to_its_people(
    run: Run, people: None, supporters: Path, write_issue: Callable[..., Path]
) -> None:
    path = write_issue()
    path.write_text(path.read_text().replace("status:", "segment: supporters\nstatus:"))
    dry = run("send", "2026-W01", "--dry-run")
    assert "Would send 1 to weekly, of those in the segment supporters" in dry.out
    dry = run("send", "2026-W01", "--dry-run", json=True).json
    assert (dry["count"], dry["segment"], dry["frequency"]) == (1, "supporters", "every")
    sent = run("send", "2026-W01", "--yes", json=True)
    assert (sent.code, sent.json["planned"], sent.json["accepted"]) == (0, 1, 1)


def test_an_issue_for_a_segment_that_does_not_exist_is_not_sent(
    run: Run, people: None, write_issue: Callable[..., Path]
) -> None:
    path = write_issue()
    path.write_text(path.read_text().replace("status:", "segment: supporters\nstatus:"))
    (problem,) = run("check", "2026-W01", json=True).json["problems"]
    assert (problem["rule"], problem["line"]) == ("segment", 6)
    sent = run("send", "2026-W01", "--yes")
    assert sent.code == 1
    assert "There is no segment 'supporters'" in sent.err
    assert run("render", "2026-W01", "--out", str(path.parent / "out")).code == 0
