from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from newsletter_bot.cli import app
from newsletter_bot.errors import DataError, IssueFileError

DATED = """\
---
issue: 2020-W01
title: Old
date: 2020-01-05
---
## Papers

### [One](https://example.org/)

Text.
"""


@pytest.fixture
def run(newsletter: Path) -> Callable[..., Result]:
    """Run a command in the newsletter's folder."""

    def call(*words: str) -> Result:
        arguments = ["-C", str(newsletter), *words]
        return CliRunner().invoke(app, arguments, catch_exceptions=True)

    return call


def test_without_anything_to_publish_the_next_step_is_shown(run: Callable[..., Result]) -> None:
    done = run("archive", "build")
    assert done.exit_code == 0
    assert "Nothing is published yet" in done.output
    assert "archive build ISSUE" in done.output


def test_issues_dated_in_the_past_are_published_and_drafts_are_not(
    run: Callable[..., Result], write_issue: Callable[..., Path], newsletter: Path
) -> None:
    write_issue(DATED, "old")
    write_issue(DATED.replace("2020", "2999"), "future")
    write_issue()
    done = run("archive", "build")
    assert "1 issue in" in done.output
    assert [path.name for path in (newsletter / "site/archive").iterdir()] == ["2020-W01"]


def test_named_issues_are_published_too(
    run: Callable[..., Result], write_issue: Callable[..., Path], newsletter: Path
) -> None:
    write_issue(DATED, "old")
    path = write_issue()
    done = run("archive", "build", "2026-W01", str(path))
    assert "2 issues in" in done.output
    assert "+ archive/2026-W01/index.html" in done.output


def test_all_publishes_every_issue_without_errors_elsewhere_if_asked(
    run: Callable[..., Result], write_issue: Callable[..., Path], tmp_path: Path
) -> None:
    write_issue()
    write_issue(name="2026-W02")
    write_issue("---\nbad: [\n---\n", "broken")
    done = run("archive", "build", "--all", "--out", str(tmp_path / "web"))
    assert done.exit_code == 0
    assert "2 issues in" in done.output
    assert (tmp_path / "web/archive/2026-W02/index.html").is_file()


def test_a_broken_issue_is_an_error_when_it_is_named(
    run: Callable[..., Result], write_issue: Callable[..., Path], newsletter: Path
) -> None:
    write_issue("---\nbad: [\n---\n", "broken")
    done = run("archive", "build", "broken")
    assert isinstance(done.exception, IssueFileError)
    assert not (newsletter / "site").exists()


def test_a_foreign_file_in_the_way_is_an_error_with_a_next_step(
    run: Callable[..., Result], newsletter: Path
) -> None:
    (newsletter / "site").mkdir()
    (newsletter / "site/index.html").write_text("mine")
    done = run("archive", "build")
    assert isinstance(done.exception, DataError)
    assert "--out" in done.exception.next_step


def test_json_is_one_document_with_counts(
    run: Callable[..., Result], write_issue: Callable[..., Path], newsletter: Path
) -> None:
    write_issue()
    folder = str(newsletter / "site")
    first = json.loads(run("--json", "archive", "build", "2026-W01").stdout)
    assert first == {"pages": 1, "written": 8, "removed": 0, "folder": folder}
    withdrawn = json.loads(run("--json", "archive", "build").stdout)
    assert (withdrawn["pages"], withdrawn["removed"]) == (0, 1)


def test_building_again_says_that_nothing_changed(
    run: Callable[..., Result], write_issue: Callable[..., Path]
) -> None:
    write_issue(DATED, "old")
    run("archive", "build")
    assert "Nothing changed." in run("archive", "build").output
