from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from newsletter_bot.cli import app
from tests.feedback.corpus import FOLDER, TOKEN


def test_a_bounce_is_explained_to_scripts(tmp_path: Path) -> None:
    words = ["--json", "bounces", "explain", str(FOLDER / "postfix-unknown.eml")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert told["kind"] == "bounce"
    [one] = told["recipients"]
    assert one["address"] == "mika@reader.example"
    assert one["status"] == "5.1.1"
    assert one["class"] == "hard"
    assert "User unknown" in one["reason"]
    assert told["ties"]["bounce_tokens"] == [TOKEN]


def test_a_bounce_is_explained_to_people() -> None:
    mail = (FOLDER / "qmail.eml").read_bytes()
    done = CliRunner().invoke(app, ["bounces", "explain", "-"], input=mail, env={"COLUMNS": "200"})
    assert done.exit_code == 0
    for words in (
        "bounce",
        "ada@reader.example",
        "hard",
        "unknown",
        "no mailbox here",
        "no more mail",
    ):
        assert words in done.stdout
    assert TOKEN not in done.stdout


def test_no_newsletter_is_needed_and_nothing_is_written(tmp_path: Path) -> None:
    words = ["-C", str(tmp_path), "bounces", "explain", str(FOLDER / "arf.eml")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0
    assert "complaint" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_markup_in_a_mail_stays_text() -> None:
    mail = b"From: [bold]x[/]\nSubject: [link=https://x.example]y[/link]\n\nhello\n"
    done = CliRunner().invoke(app, ["bounces", "explain", "-"], input=mail)
    assert "[bold]x[/]" in done.stdout


def test_a_missing_file_is_a_usage_error() -> None:
    assert CliRunner().invoke(app, ["bounces", "explain", "missing.eml"]).exit_code == 2
