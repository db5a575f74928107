from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from newsletter_bot.cli import app

Run = Callable[..., Any]


@pytest.fixture
def people(newsletter: Path) -> Path:
    path = newsletter / "people.csv"
    path.write_text(
        "email,name,plan\nada@example.com,=Ada,supporter\nbad,No,\nbo@example.com,Bo,\n",
        encoding="utf-8",
    )
    return path


def test_refused_rows_can_be_mended_and_imported(run: Run, people: Path, newsletter: Path) -> None:
    refused = newsletter / "refused.csv"
    report = run("subscribers", "import", str(people), "--rejected", str(refused), json=True)
    assert (report.code, report.json["added"], report.json["rejections"]) == (0, 2, 1)
    text = refused.read_text(encoding="utf-8")
    assert text.splitlines()[0] == "line,reason,email,name,plan"
    refused.write_text(text.replace("bad,No", "no@example.com,No"), encoding="utf-8")
    again = run("subscribers", "import", str(refused), json=True)
    assert (again.json["added"], again.json["rejected"]) == (1, [])


def test_people_are_told_about_every_kind_of_row(run: Run, people: Path) -> None:
    result = run("subscribers", "import", str(people))
    assert "3 rows: 2 added, 0 updated" in result.out
    assert "line 3: An email address must have an @-sign" in result.out
    assert "1 rows refused" in result.out


def test_a_file_whose_every_row_is_refused_ends_with_65(run: Run, newsletter: Path) -> None:
    path = newsletter / "latin.csv"
    path.write_bytes(b"email,name\na@example.com,M\xfcller\nb@example.com,Ren\xe9\n")
    result = run("subscribers", "import", str(path), json=True)
    assert result.code == 65
    assert result.json["rejected"][0]["line"] == 2
    assert "No row of" in result.err


def test_the_file_of_refused_rows_cannot_be_the_file_itself(run: Run, people: Path) -> None:
    before = people.read_bytes()
    assert run("subscribers", "import", str(people), "--rejected", str(people)).code == 2
    assert people.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("import", "{people}", "--map", "Nmae=name"), 2, "no column 'Nmae'"),
        (("import", "{people}", "--map", "name=nmae"), 2, "There is no field 'nmae'"),
        (("import", "{people}", "--map", "name"), 2, "write NAME=VALUE"),
        (("import", "{people}", "--rejected", "{folder}/none/x.csv"), 2, "cannot be written"),
        (("import", "{people}", "--list", "monthly"), 2, "Known lists: weekly"),
        (("import", "{folder}"), 65, "cannot be read"),
        (("export", "--out", "{folder}/none/x.csv"), 2, "cannot be written"),
        (("add", "a@example.com", "--field", "plan"), 2, "write NAME=VALUE"),
        (("add", "a@example.com", "--name", "a\x9bb"), 65, "control character"),
        (("unsubscribe", "nobody"), 65, "That is no address"),
        (("show", "nobody"), 65, "That is no address"),
        (("suppress", "nobody", "--reason", "x"), 65, "That is no address"),
        (("suppress", "a@example.com", "--reason", " "), 2, "one line of text"),
    ],
)
def test_what_cannot_be_done_is_said(
    run: Run, people: Path, newsletter: Path, words: tuple[str, ...], code: int, sentence: str
) -> None:
    filled = [word.format(people=people, folder=newsletter) for word in words]
    result = run("subscribers", *filled)
    assert result.code == code
    assert sentence in result.err


def test_a_value_may_hold_an_equals_sign_and_a_name_a_joiner(run: Run) -> None:
    name = "می\u200cخواهم"
    run("subscribers", "add", "ada@example.com", "--name", name, "--field", "plan=a=b")
    shown = run("subscribers", "show", "ada@example.com", json=True).json
    assert (shown["name"], shown["fields"]) == (name, {"plan": "a=b"})


@pytest.mark.parametrize("out", [(), ("--out", "-")])
def test_an_export_to_standard_output_is_csv_and_nothing_else(
    run: Run, people: Path, newsletter: Path, out: tuple[str, ...]
) -> None:
    run("subscribers", "import", str(people))
    run("subscribers", "suppress", "bo@example.com", "--reason", "asked")
    done = CliRunner().invoke(app, ["-C", str(newsletter), "subscribers", "export", *out])
    assert done.exit_code == 0
    assert done.stdout_bytes.count(b"\r\n") == 3
    rows = list(csv.DictReader(io.StringIO(done.stdout_bytes.decode())))
    assert [(row["email"], row["name"], row["state"], row["plan"]) for row in rows] == [
        ("ada@example.com", "'=Ada", "active", "supporter"),
        ("bo@example.com", "Bo", "suppressed", ""),
    ]


def test_an_export_of_the_active_is_who_gets_mail(run: Run, people: Path, newsletter: Path) -> None:
    run("subscribers", "import", str(people))
    run("subscribers", "suppress", "bo@example.com", "--reason", "asked")
    out = newsletter / "active.csv"
    done = run("subscribers", "export", "--state", "active", "--out", str(out), json=True)
    assert done.json == {"exported": 1, "path": str(out)}


def test_adding_somebody_who_left_or_is_suppressed_says_so(run: Run) -> None:
    run("subscribers", "add", "ada@example.com")
    run("subscribers", "unsubscribe", "ada@example.com")
    assert "not added, they unsubscribed" in run("subscribers", "add", "ada@example.com").out
    run("subscribers", "suppress", "bo@example.com", "--reason", "asked")
    assert "not added, the address is suppressed" in run("subscribers", "add", "bo@example.com").out


def test_stats_name_the_domains_most_people_are_at(run: Run, people: Path) -> None:
    run("subscribers", "import", str(people))
    assert "Most are at example.com 2" in run("subscribers", "stats").out
    assert run("subscribers", "stats", json=True).json["domains"] == {"example.com": 2}
