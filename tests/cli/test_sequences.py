from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.service.test_reception import SECOND, WELCOME

Run = Callable[..., Any]


@pytest.fixture
def welcome(newsletter: Path) -> Path:
    path = newsletter / "welcome.md"
    path.write_text(WELCOME, encoding="utf-8")
    return path


def test_without_any_the_list_says_how_to_write_one(run: Run) -> None:
    assert "welcome.md" in run("sequences", "list").out
    assert run("sequences", "list", json=True).json == {"sequences": []}
    sent = run("sequences", "send", json=True)
    assert (sent.code, sent.json) == (0, {"sent": [], "refused": []})


def test_a_newcomer_is_counted_sent_and_listed(run: Run, welcome: Path) -> None:
    assert "Nothing is due." in run("sequences", "send").out
    run("subscribers", "add", "ada@example.com", "--name", "Ada")
    dry = run("send", "welcome", "--dry-run", json=True).json
    assert dry["count"] == 1
    assert dry["subjects"] == [{"to": "ada@example.com", "subject": "Welcome, Ada"}]
    sent = run("sequences", "send", json=True)
    assert sent.code == 0
    (tally,) = sent.json["sent"]
    assert (tally["issue"], tally["accepted"], tally["balanced"]) == ("welcome", 1, True)
    (listed,) = run("sequences", "list", json=True).json["sequences"]
    assert (listed["file"], listed["sequence"], listed["status"]) == (
        "welcome.md",
        "welcome",
        "ready",
    )
    assert (listed["delay"], listed["lists"], listed["trouble"]) == (0, ["weekly"], "")
    assert listed["began"].endswith("+09:00")
    assert listed["tally"]["accepted"] == 1
    assert "at once" in run("sequences", "list").out
    assert run("status", json=True).json == {"issues": []}
    assert run("status", "welcome", json=True).json["accepted"] == 1


def test_send_sends_one_message_alone(run: Run, welcome: Path, newsletter: Path) -> None:
    (newsletter / "sequence").mkdir()
    (newsletter / "sequence/second.md").write_text(SECOND, encoding="utf-8")
    run("sequences", "send")
    run("subscribers", "add", "ada@example.com")
    done = run("send", "second", "--yes", json=True)
    assert (done.code, done.json["accepted"]) == (0, 1)
    assert run("status", "welcome", json=True).json["planned"] == 0


def test_what_was_put_off_is_told_with_exit_code_75(
    run: Run, welcome: Path, newsletter: Path, smtp_server: Any
) -> None:
    server = smtp_server("rcpt@ada@example.com=450 4.2.0 later")
    toml = newsletter / "newsletter.toml"
    table = f'[transport]\nkind = "smtp"\nport = {server.port}\ntls = "none"\n'
    toml.write_text(toml.read_text().partition("[transport]")[0] + table)
    run("sequences", "send")
    run("subscribers", "add", "ada@example.com")
    ended = run("sequences", "send")
    assert ended.code == 75
    assert "1 are still owed" in ended.err
    assert "sequences send" in ended.err
    server.process.kill()
    server.process.wait()
    run("subscribers", "add", "bo@example.com")
    ended = run("sequences", "send")
    assert ended.code == 75
    assert "Connection refused" in ended.err


def test_a_broken_file_is_told_with_exit_code_1(run: Run, welcome: Path) -> None:
    welcome.write_text(WELCOME.replace("status:", "delay: soon\nstatus:"), encoding="utf-8")
    ended = run("sequences", "send")
    assert ended.code == 1
    assert "'soon' is no duration like 30m, 6h or 3d" in ended.out
    listed = run("sequences", "list").out
    assert "broken" in listed
    assert "line 4: delay" in listed


def test_pause_resume_and_cancel_hold_for_a_message_between_two_newcomers(
    run: Run, welcome: Path
) -> None:
    run("sequences", "send")
    assert run("pause", "welcome", json=True).json["state"] == "paused"
    run("subscribers", "add", "ada@example.com")
    assert run("sequences", "send", json=True).json["sent"] == []
    assert "paused" in run("sequences", "list").out
    run("resume", "welcome")
    assert run("sequences", "send", json=True).json["sent"][0]["accepted"] == 1
    assert run("cancel", "welcome", json=True).json["state"] == "cancelled"
    assert "cancelled" in run("sequences", "list").out
    assert run("send", "welcome", "--yes").code == 65


@pytest.mark.parametrize("name", ["welcome", "welcome.md"])
def test_a_message_is_checked_rendered_and_proved_like_an_issue(
    run: Run, welcome: Path, tmp_path: Path, name: str
) -> None:
    assert run("check", name, json=True).json == {"ok": True, "problems": []}
    assert run("render", name, "--out", str(tmp_path / "out")).code == 0
    assert "nice to have you here" in (tmp_path / "out/email.txt").read_text(encoding="utf-8")
    assert run("proof", name, "--to", "editor@example.com", json=True).json["outcome"] == "accepted"


@pytest.mark.parametrize("command", [["approve"], ["schedule"], ["crosspost"]])
def test_a_message_has_no_slot_no_approval_and_no_posts(
    run: Run, welcome: Path, command: list[str]
) -> None:
    ended = run(*command, "welcome")
    assert ended.code == 2
    assert "is a sequence message" in ended.err
