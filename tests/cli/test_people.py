from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from newsletter_bot.bot import Bot
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import letters
from newsletter_bot.subscribers.people import By
from newsletter_bot.subscribers.tokens import Link

Run = Callable[..., Any]


@pytest.fixture
def lists(newsletter: Path) -> None:
    path = newsletter / "newsletter.toml"
    more = '\n[[lists]]\nid = "papers"\nname = "Papers"\n'
    path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")


def kinds(folder: Path) -> list[str]:
    bot = Bot.open(folder)
    with reading(bot.engine) as connection:
        found = list(connection.execute(select(letters.c.kind).order_by(letters.c.id)).scalars())
    bot.close()
    return found


def confirm(folder: Path, signup: int) -> None:
    bot = Bot.open(folder)
    assert bot.people.confirm(signup)
    bot.close()


def test_somebody_is_asked_by_mail_and_added_once_they_confirm(run: Run, newsletter: Path) -> None:
    asked = run("subscribers", "add", "ada@example.com", "--name", "Ada", "--confirm", json=True)
    assert asked.json == {"address": "ada@example.com", "list": "weekly", "outcome": "asked"}
    shown = run("subscribers", "show", "ada@example.com", json=True).json
    assert shown["subscriptions"][0]["state"] == "pending"
    confirm(newsletter, 1)
    shown = run("subscribers", "show", "ada@example.com", json=True).json
    assert (shown["name"], shown["subscriptions"][0]["state"]) == ("Ada", "active")
    assert kinds(newsletter) == ["confirm", "welcome"]


def test_who_left_is_brought_back_by_asking_them_alone(run: Run, newsletter: Path) -> None:
    run("subscribers", "add", "ada@example.com")
    run("subscribers", "unsubscribe", "ada@example.com")
    assert "ask them with --confirm" in run("subscribers", "add", "ada@example.com").out
    assert "asked to confirm" in run("subscribers", "add", "ada@example.com", "--confirm").out
    confirm(newsletter, 1)
    shown = run("subscribers", "show", "ada@example.com", json=True).json
    assert shown["subscriptions"][0]["state"] == "active"


def test_everything_held_is_exported_as_json(run: Run) -> None:
    run("subscribers", "add", "ada@example.com", "--name", "Ada")
    for as_json in (False, True):
        done = run("subscribers", "show", "ADA@example.com", "--export", json=as_json)
        assert done.code == 0
        assert done.json["subscriber"]["name"] == "Ada"
        assert done.json["changes"][0]["by"] == "operator"
    assert run("subscribers", "show", "nobody@example.com", "--export").code == 65


def test_forgetting_asks_first_and_leaves_nothing(run: Run, newsletter: Path) -> None:
    run("subscribers", "add", "ada@example.com", "--name", "Lovelace")
    refused = run("subscribers", "forget", "ada@example.com")
    assert (refused.code, "Add --yes" in refused.err) == (2, True)
    done = run("subscribers", "forget", "ada@example.com", "--yes", json=True)
    assert done.json == {"address": "ada@example.com", "forgotten": True}
    again = run("subscribers", "forget", "ada@example.com", "--yes")
    assert "nothing was held" in again.out
    for path in newsletter.glob("newsletter.db*"):
        assert b"Lovelace" not in path.read_bytes(), path
    shown = run("subscribers", "show", "ada@example.com", json=True).json
    assert shown == {"address": "ada@example.com", "known": False, "suppressed": "erased"}
    assert "suppressed" in run("subscribers", "add", "ada@example.com").out
    lifted = run("subscribers", "unsuppress", "ada@example.com", json=True)
    assert lifted.json == {"address": "ada@example.com", "unsuppressed": True}
    assert "was not suppressed" in run("subscribers", "unsuppress", "ada@example.com").out
    assert "added" in run("subscribers", "add", "ada@example.com").out


def test_what_somebody_chose_is_changed_for_them(run: Run, lists: None) -> None:
    run("subscribers", "add", "ada@example.com", "--list", "weekly", "--name", "Ada")
    words = ("--frequency", "monthly", "--language", "ja", "--pause-until", "2099-01-01")
    refused = run("subscribers", "prefer", "ada@example.com", *words)
    assert (refused.code, "two years" in refused.err) == (65, True)
    done = run(
        "subscribers", "prefer", "ada@example.com", *words[:4], "--list", "papers", json=True
    )
    assert done.json == {
        "address": "ada@example.com",
        "name": "Ada",
        "language": "ja",
        "frequency": "monthly",
        "paused_until": None,
        "lists": ["papers"],
    }
    shown = run("subscribers", "show", "ada@example.com", json=True).json
    assert {one["list"]: one["state"] for one in shown["subscriptions"]} == {
        "papers": "active",
        "weekly": "unsubscribed",
    }


def test_a_pause_begins_and_ends(run: Run) -> None:
    day = f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}"
    run("subscribers", "add", "ada@example.com")
    paused = run("subscribers", "prefer", "ada@example.com", "--pause-until", day)
    assert f"paused until {day}" in paused.out
    assert f"until {day} 00:00" in run("subscribers", "show", "ada@example.com").out
    kept = run("subscribers", "prefer", "ada@example.com", "--name", "Ada", json=True)
    assert kept.json["paused_until"]
    ended = run("subscribers", "prefer", "ada@example.com", "--resume", json=True)
    assert ended.json["paused_until"] is None


def test_an_address_moves_once_both_mailboxes_agree(run: Run, newsletter: Path) -> None:
    run("subscribers", "add", "ada@example.com")
    done = run("subscribers", "move", "ada@example.com", "new@example.org", json=True)
    assert done.json == {"address": "ada@example.com", "new": "new@example.org", "asked": True}
    assert kinds(newsletter) == ["agree-old", "agree-new"]
    assert run("subscribers", "move", "ada@example.com", "new@example.org").code == 75
    bot = Bot.open(newsletter)
    for side in (Link.AGREE_OLD, Link.AGREE_NEW):
        bot.people.agree(1, side)
    bot.close()
    assert run("subscribers", "show", "new@example.org", json=True).json["known"]


def test_tags_are_added_removed_and_shown(run: Run) -> None:
    run("subscribers", "add", "ada@example.com")
    more = ("--add", "Reviewer", "--add", "beta")
    assert run("subscribers", "tag", "ada@example.com", *more, json=True).json == {
        "address": "ada@example.com",
        "tags": ["beta", "reviewer"],
    }
    assert "reviewer" in run("subscribers", "tag", "ada@example.com", "--remove", "beta").out
    assert "no tags" in run("subscribers", "tag", "ada@example.com", "--remove", "reviewer").out


def test_a_purge_tells_what_is_gone(run: Run) -> None:
    run("subscribers", "add", "ada@example.com", "--confirm")
    counts = run("subscribers", "purge", json=True).json
    assert set(counts) == {
        "signups",
        "subscriptions",
        "limits",
        "challenges",
        "letters",
        "address_changes",
        "idempotency",
    }
    assert "0 address changes" in run("subscribers", "purge").out


# ── by mail ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def leaving(run: Run, newsletter: Path) -> Path:
    """A mail that asks to end a subscription."""
    run("subscribers", "add", "ada@example.com")
    bot = Bot.open(newsletter)
    token = bot.signer.unsubscribe_token(1, "weekly")
    bot.close()
    path = newsletter / "leave.eml"
    path.write_text(f"To: unsub+{token}@news.example.com\nSubject: unsubscribe\n\n")
    return path


def test_a_mail_ends_a_subscription_once(run: Run, newsletter: Path, leaving: Path) -> None:
    done = run("subscribers", "unsubscribe", "--mail", str(leaving), json=True)
    assert (done.code, done.json) == (0, {"address": None, "unsubscribed": 1})
    again = run("subscribers", "unsubscribe", "--mail", str(leaving))
    assert (again.code, again.out) == (0, "0 subscriptions ended\n")
    bot = Bot.open(newsletter)
    held = bot.people.dossier(1)
    bot.close()
    assert held is not None
    assert [one["by"] for one in held["changes"]] == ["operator", By.MAILTO]  # type: ignore[attr-defined]


def test_a_mail_comes_through_a_pipe(newsletter: Path, leaving: Path) -> None:
    command = [sys.executable, "-m", "newsletter_bot", "-C", str(newsletter), "--json"]
    command += ["subscribers", "unsubscribe", "--mail", "-"]
    with leaving.open("rb") as mail:
        done = subprocess.run(command, stdin=mail, capture_output=True, check=False)
    assert (done.returncode, json.loads(done.stdout)["unsubscribed"]) == (0, 1), done.stderr
    refused = subprocess.run(command, input=b"\xff\x00", capture_output=True, check=False)
    assert refused.returncode == 65


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("unsubscribe",), 2, "an address, or --mail FILE"),
        (("unsubscribe", "a@example.com", "--mail", "x"), 2, "says by itself"),
        (("unsubscribe", "--mail", "{folder}/none"), 65, "cannot be read"),
        (("unsubscribe", "--mail", "{folder}/newsletter.toml"), 65, "no unsubscription of ours"),
        (("unsuppress", "nobody"), 65, "That is no address"),
        (("forget", "nobody", "--yes"), 65, "That is no address"),
        (("move", "nobody@example.com", "a@example.com"), 65, "Nobody has that address"),
        (("prefer", "nobody@example.com"), 65, "Nobody has that address"),
        (("tag", "nobody@example.com"), 65, "Nobody has that address"),
        (("move", "ada@example.com", "nobody"), 65, "That is no address"),
        (("tag", "ada@example.com", "--add", "a b"), 65, "one word"),
        (("tag", "ada@example.com", "--add", "a", "--remove", "a"), 65, "added and removed"),
        (("prefer", "ada@example.com", "--language", "x y"), 65, "no tag"),
        (("prefer", "ada@example.com", "--pause-until", "soon"), 2, "no date"),
        (("prefer", "ada@example.com", "--pause-until", "2020-01-01"), 2, "begun already"),
        (("prefer", "ada@example.com", "--pause-until", "2099-01-01", "--resume"), 2, "one of"),
        (("prefer", "ada@example.com", "--list", "none"), 2, "Known lists: weekly"),
        (("add", "a@example.com", "--confirm", "--field", "plan=a"), 2, "--confirm and --field"),
        (("add", "a@p\u0430ypal.com", "--confirm"), 65, "different scripts"),
        (("add", "a@example.com", "--name", "x" * 201), 65, "more than 200 characters"),
        (("suppress", "a@example.com", "--reason", "x" * 501), 65, "more than 500 characters"),
    ],
)
def test_what_cannot_be_done_is_said(
    run: Run, newsletter: Path, words: tuple[str, ...], code: int, sentence: str
) -> None:
    run("subscribers", "add", "ada@example.com")
    result = run("subscribers", *[word.format(folder=newsletter) for word in words])
    assert (result.code, sentence in result.err) == (code, True), result.err


@pytest.mark.parametrize("name", ["[bold red]x[/]", "{{ 7*7 }}", "<script>", "'; DROP TABLE x; --"])
def test_a_hostile_name_is_shown_as_it_is(run: Run, name: str) -> None:
    run("subscribers", "add", "ada@example.com", "--name", name)
    assert name in run("subscribers", "show", "ada@example.com").out
    assert run("subscribers", "show", "ada@example.com", json=True).json["name"] == name
