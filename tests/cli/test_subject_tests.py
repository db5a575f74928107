"""A test of subjects as an operator sees it: checked, sent, waited for, decided."""

from __future__ import annotations

import mailbox
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
Write = Callable[..., Path]

TABLES = """\
[tracking]
clicks = "individual"

[subject_test]
share = 0.5
wait = "1s"
least = {least}

[transport]
"""


@pytest.fixture
def two_subjects(run: Run, newsletter: Path, write_issue: Write) -> Callable[..., Path]:
    """Write an issue with subjects, for 40 readers: `two_subjects("[A, B]", least=5)`."""

    def written(subjects: str = "[One, Two]", least: int = 5) -> Path:
        toml = newsletter / "newsletter.toml"
        toml.write_text(toml.read_text().replace("[transport]\n", TABLES.format(least=least)))
        people = newsletter / "people.csv"
        people.write_text("email\n" + "".join(f"r{one}@example.com\n" for one in range(40)))
        assert run("subscribers", "import", str(people)).code == 0
        path = write_issue()
        lines = path.read_text().splitlines()
        line = next(one for one in lines if one.startswith("subject:"))
        path.write_text(path.read_text().replace(line, f"subjects: {subjects}"))
        return path

    return written


def test_a_test_is_announced_waited_for_and_decided(
    run: Run, newsletter: Path, two_subjects: Callable[..., Path]
) -> None:
    two_subjects()
    assert run("check", "2026-W01", json=True).json == {"ok": True, "problems": []}
    plan = run("send", "2026-W01", "--dry-run", json=True).json
    assert (len(plan["sample"]), plan["no_test"]) == (2, "")
    first = run("send", "2026-W01", "--yes")
    assert first.code == 75
    assert "wait for the test of the subjects until" in first.err
    assert "newsletter-bot run" in first.err
    status = run("status", "2026-W01", json=True).json
    waiting = status["subject_test"]["waiting"]
    assert waiting == status["remaining"] == 40 - sum(plan["sample"])
    assert [one["sent"] for one in status["subject_test"]["variants"]] == plan["sample"]
    assert f"{waiting} wait for it until" in run("status", "2026-W01").out
    time.sleep(1.1)
    assert run("send", "2026-W01", "--yes").code == 0
    said = run("status", "2026-W01").out
    assert "No winner: nobody clicked." in said
    got = Counter(one["Subject"] for one in mailbox.Maildir(newsletter / "mail"))
    assert got == {"One": 40 - plan["sample"][1], "Two": plan["sample"][1]}


def test_a_run_that_stays_waits_for_the_decision(
    run: Run, newsletter: Path, two_subjects: Callable[..., Path]
) -> None:
    two_subjects()
    assert run("send", "2026-W01", "--yes", "--wait").code == 0
    status = run("status", "2026-W01", json=True).json
    assert (status["accepted"], status["balanced"]) == (40, True)
    test = status["subject_test"]
    assert test["decided_at"] >= test["wait_until"]
    assert sum(one["sent"] for one in test["variants"]) < 40
    assert len(mailbox.Maildir(newsletter / "mail")) == 40


def test_what_cannot_be_tested_is_said_before_it_is_sent(
    run: Run, newsletter: Path, two_subjects: Callable[..., Path]
) -> None:
    two_subjects(least=100)
    assert "a subject has fewer than 100 readers" in run("check", "2026-W01").out
    assert "no test of the subjects" in run("send", "2026-W01", "--dry-run").out
    toml = newsletter / "newsletter.toml"
    toml.write_text(toml.read_text().replace('clicks = "individual"', 'clicks = "aggregate"'))
    (problem,) = run("check", "2026-W01", json=True).json["problems"]
    assert (problem["rule"], problem["severity"]) == ("subject-test", "warning")
    assert "clicks are not counted by reader" in problem["message"]
    assert run("send", "2026-W01", "--yes").code == 0
    got = Counter(one["Subject"] for one in mailbox.Maildir(newsletter / "mail"))
    assert min(got["One"], got["Two"]) >= 10


@pytest.mark.parametrize(
    ("subjects", "words"),
    [("[A, B, C, D, E]", "4 at most"), ("[A, B, A]", "two of them are the same")],
)
def test_subjects_that_are_too_many_or_the_same_are_errors(
    run: Run, two_subjects: Callable[..., Path], subjects: str, words: str
) -> None:
    two_subjects(subjects)
    result = run("check", "2026-W01")
    assert result.code == 65
    assert words in result.out + result.err


def test_a_wait_beyond_the_deadline_is_a_mistake_in_the_configuration(
    run: Run, newsletter: Path, two_subjects: Callable[..., Path]
) -> None:
    two_subjects()
    toml = newsletter / "newsletter.toml"
    toml.write_text(toml.read_text().replace('wait = "1s"', 'wait = "3d"'))
    result = run("status", "2026-W01")
    assert result.code == 78
    assert "wait is longer than transport.deadline, 48h" in result.err
