"""Files of sequence messages, from the folder to newcomers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from email import message_from_bytes
from pathlib import Path

import pytest
from PIL import Image

from newsletter_bot.bot import Bot
from newsletter_bot.delivery.run import Run
from newsletter_bot.errors import DataError, IssueFileError, UsageError
from newsletter_bot.service.newsroom import Newsroom
from newsletter_bot.service.reception import Reception
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.model import NewSubscriber
from tests.conftest import SMALL_ISSUE, SmtpServer

ROOT = Path(__file__).parents[2]
WELCOME = """\
---
subject: "Welcome, {{ first_name | friend }}"
preheader: "What you get from us every week, and how to reach the editor at any time"
status: ready
---
Hello {{ first_name | there }}, nice to have you here.

## What to expect

Ten links, every Sunday.
"""
SECOND = WELCOME.replace("status: ready", "status: ready\ndelay: 0s").replace("Welcome", "Second")


@pytest.fixture
def bot(newsletter: Path) -> Iterator[Bot]:
    opened = Bot.open(newsletter)
    yield opened
    opened.close()


@pytest.fixture
def write(newsletter: Path) -> Callable[..., Path]:
    """Write a sequence message, by default the welcome."""

    def written(text: str = WELCOME, name: str = "welcome.md") -> Path:
        path = newsletter / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return written


def joins(bot: Bot, *names: str) -> None:
    people = [NewSubscriber(parse_address(f"{one}@example.com"), one.title()) for one in names]
    bot.subscribers.add(people, "weekly", {"source": "added by the operator"})


def carries_on(bot: Bot) -> None:
    for identity in bot.mailroom.owed():
        bot.mailroom.carry_on(identity, Run())


def mail(bot: Bot) -> list[tuple[str, str, str]]:
    """Who got what: address, subject, and all of the text."""
    found = []
    for path in (bot.settings.folder / "mail").glob("new/*"):
        one = message_from_bytes(path.read_bytes())
        parts = [part for part in one.walk() if not part.is_multipart()]
        bodies = [part.get_payload(decode=True) for part in parts]
        text = " ".join(body.decode() for body in bodies if isinstance(body, bytes))
        found.append((str(one["To"]).rpartition("<")[2].strip(">"), str(one["Subject"]), text))
    return sorted(found)


def who(bot: Bot, subject: str) -> list[str]:
    return [address for address, about, _ in mail(bot) if about.startswith(subject)]


def test_a_letter_without_items_is_written_to_each_newcomer_by_name(
    bot: Bot, write: Callable[..., Path]
) -> None:
    write()
    reception = Reception(bot)
    assert reception.plan() == []
    joins(bot, "ada")
    assert reception.plan() == ["welcome"]
    assert reception.plan() == []
    carries_on(bot)
    ((address, subject, text),) = mail(bot)
    assert (address, subject) == ("ada@example.com", "Welcome, Ada")
    assert "Hello Ada, nice to have you here." in text
    assert "What to expect" in text
    assert "<h1" in text
    assert ">welcome<" not in text  # a file's name is nothing for readers


def test_a_draft_is_not_sent_until_it_is_ready(bot: Bot, write: Callable[..., Path]) -> None:
    write(WELCOME.replace("ready", "draft"))
    reception = Reception(bot)
    joins(bot, "early")
    assert reception.plan() == []
    with pytest.raises(DataError, match="welcome is a draft"):
        reception.plan_one(bot.read(bot.find("welcome")))
    assert bot.mailroom.issue("welcome") is None
    assert reception.listed()[0].status == "draft"


def test_what_was_planned_before_it_became_a_draft_again_is_sent(
    bot: Bot, write: Callable[..., Path]
) -> None:
    path = write()
    reception = Reception(bot)
    reception.plan()
    joins(bot, "ada")
    reception.plan()
    write(WELCOME.replace("ready", "draft"))
    joins(bot, "bo")
    assert reception.send(bot.read(path), Run(), lambda: None).accepted == 1
    assert who(bot, "Welcome") == ["ada@example.com"]


def test_an_edit_reaches_everybody_who_has_not_got_it_and_its_page(
    bot: Bot, write: Callable[..., Path], newsletter: Path
) -> None:
    write()
    reception = Reception(bot)
    reception.plan()
    joins(bot, "ada")
    reception.plan()
    write(WELCOME.replace("Ten links", "Eleven links"))
    joins(bot, "bo")
    assert reception.plan() == ["welcome"]
    carries_on(bot)
    assert [text.count("Eleven links") for _, _, text in mail(bot)] == [2, 2]  # text and HTML
    page = newsletter / "site/archive/welcome/index.html"
    assert "Eleven links" in page.read_text(encoding="utf-8")


def test_a_file_that_is_deleted_loses_nobody_who_was_planned(
    bot: Bot, write: Callable[..., Path]
) -> None:
    path = write()
    reception = Reception(bot)
    reception.plan()
    joins(bot, "ada")
    reception.plan()
    path.unlink()
    joins(bot, "bo")
    assert reception.plan() == []
    carries_on(bot)
    assert who(bot, "Welcome") == ["ada@example.com"]
    (listed,) = reception.listed()
    assert (listed.file, listed.identity, listed.status) == ("", "welcome", "no file")


def test_a_broken_file_stops_no_other_and_is_told(bot: Bot, write: Callable[..., Path]) -> None:
    told: list[str] = []
    reception = Reception(bot, told.append)
    write()
    broken = write("---\nstatus: ready\n---\nHello\n", "sequence/a.md")
    write(SECOND, "sequence/b.md")
    write(SECOND.replace("Second", "{{ nothing }}"), "sequence/c.md")
    reception.plan()
    joins(bot, "ada")
    told.clear()
    assert reception.plan() == ["welcome", "b"]
    assert reception.refused == ["a.md", "c.md"]
    assert "a.md is not sent to newcomers: line 1: delay: say how long" in told[0]
    assert "nothing" in told[1]
    broken.write_text(SECOND, encoding="utf-8")
    reception.plan()
    assert reception.refused == ["c.md"]
    states = {one.identity: one.status for one in reception.listed()}
    assert states == {"welcome": "ready", "a": "ready", "b": "ready", "c": "broken"}


def test_what_a_check_refuses_is_not_sent(bot: Bot, write: Callable[..., Path]) -> None:
    path = write(WELCOME + "\n![A picture](none.png)\n")
    told: list[str] = []
    reception = Reception(bot, told.append)
    assert reception.plan() == []
    assert "none.png" in told[0]
    with pytest.raises(IssueFileError):
        reception.plan_one(bot.read(path))


def test_one_name_for_two_files_is_refused_with_both_named(
    bot: Bot, write: Callable[..., Path], write_issue: Callable[..., Path]
) -> None:
    told: list[str] = []
    reception = Reception(bot, told.append)
    write()
    write_issue(SMALL_ISSUE.replace("2026-W01", "Welcome"), "x")
    assert reception.plan() == []
    assert "are both called 'welcome'" in told[0]
    assert "are both called" in reception.listed()[0].trouble


def test_an_issue_with_the_name_of_a_message_is_never_planned(
    bot: Bot, write: Callable[..., Path], write_issue: Callable[..., Path]
) -> None:
    write()
    Reception(bot).plan()
    issue = bot.read(write_issue(SMALL_ISSUE.replace("2026-W01", "welcome"), "x"))
    assert not Newsroom(bot).is_planned("welcome")
    with pytest.raises(DataError, match="the name of a sequence message"):
        bot.send(issue, Run())
    with pytest.raises(DataError, match="the name of a sequence message"):
        bot.plan(issue)


def test_a_message_is_neither_approved_nor_sent_as_an_issue(
    bot: Bot, write: Callable[..., Path]
) -> None:
    message = bot.read(write())
    newsroom = Newsroom(bot)
    for refused in (
        lambda: newsroom.approve(message, proof=False),
        lambda: bot.send(message, Run()),
        lambda: bot.plan(message),
        lambda: bot.dry_run(message),
    ):
        with pytest.raises(UsageError, match="is a sequence message"):
            refused()
    assert newsroom.candidates() == []


def test_its_page_is_for_those_alone_who_have_its_address(
    bot: Bot, write: Callable[..., Path], newsletter: Path, write_issue: Callable[..., Path]
) -> None:
    Image.new("RGB", (8, 8)).save(newsletter / "face.png")
    write(WELCOME + "\n![The editor](face.png)\n")
    Reception(bot).plan()
    bot.send(bot.read(write_issue()), Run())
    site = newsletter / "site"
    page = (site / "archive/welcome/index.html").read_text(encoding="utf-8")
    assert '<meta name="robots" content="noindex">' in page
    assert (site / "archive/welcome/face.png").is_file()
    assert 'content="noindex"' not in (site / "archive/2026-W01/index.html").read_text()
    for name in ("index.html", "sitemap.xml", "feed.atom", "feed.rss", "feed.json"):
        text = (site / name).read_text(encoding="utf-8")
        assert "2026-W01" in text, name
        assert "welcome" not in text.lower(), name
    report = bot.build_archive(everything=True)
    assert (report.pages, report.removed) == (1, ())


def test_a_draft_has_no_page_even_when_all_issues_are_published(
    bot: Bot, write: Callable[..., Path], newsletter: Path
) -> None:
    write(WELCOME.replace("ready", "draft"))
    bot.build_archive(everything=True)
    assert not (newsletter / "site/archive/welcome").exists()


def test_newcomers_get_the_latest_issue_only_if_the_newsletter_says_so(
    newsletter: Path, write: Callable[..., Path], write_issue: Callable[..., Path]
) -> None:
    toml = newsletter / "newsletter.toml"
    found: list[list[str]] = []
    for wanted in (False, True):
        toml.write_text(toml.read_text() + ("[service]\nlatest_issue = true\n" if wanted else ""))
        bot = Bot.open(newsletter)
        write()
        Reception(bot).plan()
        bot.send(bot.read(write_issue()), Run())
        joins(bot, f"late{wanted}".lower())
        found.append(Reception(bot).plan())
        carries_on(bot)
        found.append(who(bot, "Residual"))
        bot.close()
    # The setting is for whoever subscribed after the issue, before it was set too.
    late = ["latefalse@example.com", "latetrue@example.com"]
    assert found == [["welcome"], [], ["welcome", "2026-W01"], late]


@pytest.mark.parametrize(
    "step",
    [
        "claim written, not committed",
        "before the body",
        "after the dot",
        "outcome written, not committed",
        "outcome committed",
        "before the end is written",
    ],
)
def test_killed_in_the_middle_it_doubles_and_loses_nobody(
    bot: Bot, write: Callable[..., Path], smtp_server: Callable[..., SmtpServer], step: str
) -> None:
    server = smtp_server()
    toml = bot.settings.folder / "newsletter.toml"
    table = f'[transport]\nkind = "smtp"\nport = {server.port}\ntls = "none"\nconnections = 2\n'
    toml.write_text(toml.read_text().partition("[transport]")[0] + table)
    write()
    Reception(bot).plan()
    joins(bot, *(f"r{number}" for number in range(12)))
    killed = _sends(bot.settings.folder, step)
    assert killed.returncode == -9, killed.stderr
    joins(bot, "last")
    ended = _sends(bot.settings.folder)
    assert ended.returncode == 0, ended.stderr
    tally = bot.mailroom.status("welcome")
    got = server.recipients()
    assert set(got.values()) == {1}
    assert (tally.planned, tally.balanced) == (13, True)
    assert tally.unknown <= 4
    assert tally.accepted <= len(got) <= tally.accepted + tally.unknown
    assert "last@example.com" in got


def _sends(folder: Path, step: str = "never") -> subprocess.CompletedProcess[str]:
    """Run `sequences send` in a process that is killed at the third time of a step."""
    count = 1 if "end" in step else 3
    code = (
        "from tests.crash.saboteur import sabotage\n"
        f"sabotage({step!r}, {count}, {str(folder / 'dots.txt')!r})\n"
        "from newsletter_bot.cli import main\n"
        f"main(['-C', {str(folder)!r}, 'sequences', 'send'])\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=ROOT,
        env={**os.environ},
    )
