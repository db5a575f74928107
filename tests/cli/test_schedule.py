from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from newsletter_bot.cli import main

Cli = Callable[..., subprocess.CompletedProcess[str]]
ZONE = ZoneInfo("Asia/Tokyo")


@pytest.fixture
def cli(newsletter: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    toml = newsletter / "newsletter.toml"
    toml.write_text(toml.read_text() + '\n[[slots]]\nid = "weekly"\nwhen = "sun 08:00"\n')

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        with pytest.raises(SystemExit) as ended:
            main(["-C", str(newsletter), *words])
        said = capsys.readouterr()
        return subprocess.CompletedProcess(words, int(ended.value.code or 0), said.out, said.err)

    return run


def next_sunday() -> datetime:
    now = datetime.now(ZONE)
    day = now + timedelta(days=(6 - now.weekday()) % 7)
    sunday = day.replace(hour=8, minute=0, second=0, microsecond=0)
    return sunday if sunday > now else sunday + timedelta(days=7)


def test_an_issue_is_proved_approved_and_stands_in_the_calendar(
    cli: Cli, write_issue: Callable[..., Path]
) -> None:
    sunday = next_sunday()
    week = f"{sunday:%G-W%V}"
    write_issue(name=week)
    early = cli("approve", week)
    assert early.returncode == 2
    assert "No proof of" in early.stderr
    assert cli("proof", week, "--to", "editor@example.com").returncode == 0
    done = cli("approve", week)
    assert done.returncode == 0, done.stderr
    assert "It goes out in" in done.stdout
    told = json.loads(cli("--json", "calendar", "--weeks", "1").stdout)
    assert told["occurrences"] == [
        {
            "slot": "weekly",
            "occurrence": f"{sunday:%Y-%m-%d}",
            "local": sunday.isoformat(),
            "utc": (sunday.astimezone(ZoneInfo("UTC"))).isoformat().replace("+00:00", "Z"),
            "issue": week,
            "state": "open",
            "reason": "",
        }
    ]


def test_an_issue_is_scheduled_by_slot_and_by_time_and_taken_back(
    cli: Cli, write_issue: Callable[..., Path]
) -> None:
    write_issue(name="special")
    assert "goes out in" in cli("schedule", "special").stdout
    assert cli("unschedule", "special").returncode == 0
    assert cli("unschedule", "special").returncode == 2
    there = cli("--json", "schedule", "special", "--at", "2031-03-30 10:00")
    assert json.loads(there.stdout) == {
        "issue": "special",
        "slot": "once",
        "occurrence": "2031-03-30 10:00",
    }
    write_issue(name="other")
    taken = cli("schedule", "other", "--at", "2031-03-30 10:00")
    assert taken.returncode == 2
    assert "Another issue goes out" in taken.stderr


@pytest.mark.parametrize("time", ["never", "2020-01-01 10:00", "2026-13-01 10:00"])
def test_a_time_that_cannot_be_is_explained(
    cli: Cli, write_issue: Callable[..., Path], time: str
) -> None:
    write_issue(name="special")
    refused = cli("schedule", "special", "--at", time)
    assert refused.returncode == 2
    assert "next:" in refused.stderr


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('timezone = "Mars/Olympus"', "is not a time zone"),
        ('when = "sun 25:00"', "when"),
        ('when = "sunday 08:00"', "when"),
        ('late = "soon"', "is not a duration"),
        ('[[slots]]\nid = "weekly"\nwhen = "wed 08:00"', "two of them have the same id"),
        ('[[slots]]\nid = "two"\nwhen = "sun 08:00"', "at the same time"),
    ],
)
def test_a_slot_that_cannot_be_is_a_mistake_of_the_configuration(
    cli: Cli, newsletter: Path, toml: str, said: str
) -> None:
    path = newsletter / "newsletter.toml"
    text = path.read_text()
    key = toml.partition(" =")[0]
    if toml.startswith("[["):
        text += toml
    elif f"\n{key} =" in text:
        old = next(line for line in text.splitlines() if line.startswith(f"{key} ="))
        text = text.replace(old, toml)
    else:
        text += toml
    path.write_text(text)
    refused = cli("calendar")
    assert refused.returncode == 78
    assert said in refused.stderr


def test_cancelling_before_its_time_takes_the_approval_back(
    cli: Cli, write_issue: Callable[..., Path]
) -> None:
    week = f"{next_sunday():%G-W%V}"
    write_issue(name=week)
    assert cli("approve", week, "--without-proof").returncode == 0
    cancelled = cli("cancel", week)
    assert "Nothing is lost" in cancelled.stdout
    told = json.loads(cli("--json", "calendar", "--weeks", "1").stdout)
    assert told["occurrences"][0]["reason"] == f"{week} is not approved"
    assert cli("cancel", week).returncode == 65


def test_a_copy_is_told_by_its_status_until_it_is_adopted(
    cli: Cli, newsletter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEWSLETTER_BOT_SERVICE__STATE_FOLDER", str(tmp_path / "one"))
    assert cli("instance", "adopt").returncode == 0
    assert cli("instance", "status").returncode == 0
    monkeypatch.setenv("NEWSLETTER_BOT_SERVICE__STATE_FOLDER", str(tmp_path / "two"))
    copy = cli("--json", "instance", "status")
    assert copy.returncode == 1
    assert json.loads(copy.stdout)["quarantine"] is True
    assert cli("instance", "adopt").returncode == 0
    assert cli("instance", "status").returncode == 0
