"""The monthly digest: drafted from what went out, checked and sent like any other issue."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import update

from newsletter_bot.bot import Bot
from newsletter_bot.bot.digest import Month
from newsletter_bot.errors import UsageError
from newsletter_bot.storage.tables import issues, subscribers

Run = Callable[..., Any]
Write = Callable[..., Path]
TOKYO = ZoneInfo("Asia/Tokyo")

NO_PICKS = """\
---
issue: 2026-W02
title: "Week 2: [odd] *marks* & <b>tags</b>"
preheader: "Why very deep networks can be trained after all, and what came of it"
status: ready
---
## Papers

### [Title with `code`, {{ first_name | you }}, and *stars*](https://example.com/1)

Layers learn.

> One line with <b>markup</b>, {{ first_name | friend }} and a # sign.

::: only plan=supporter
A secret for supporters.
:::

### [No line of its own](https://example.com/2)

Text.
"""
LETTER = """\
---
issue: 2026-W03
title: Three
status: ready
---
## A

### [B](https://b.example)
"""


@pytest.fixture
def month(run: Run, newsletter: Path, write_issue: Write) -> Callable[..., None]:
    """Send an issue, as if it had been planned at a local time."""
    run("subscribers", "add", "ada@example.com")
    run("subscribers", "add", "bo@example.com")

    def sent(name: str, when: datetime, text: str = "") -> None:
        write_issue(text, name)
        assert run("send", name, "--yes").code == 0
        bot = Bot.open(newsletter)
        with bot.engine.begin() as connection:
            at = int(when.timestamp())
            row = update(issues).where(issues.c.identity == name)
            connection.execute(row.values(planned_at=at))
            monthly = subscribers.c.address_key == "bo@example.com"
            connection.execute(update(subscribers).where(monthly).values(frequency="monthly"))
        bot.close()

    return sent


def test_a_digest_is_drafted_checked_and_sent(
    run: Run, newsletter: Path, month: Callable[..., None]
) -> None:
    month("2025-W52", datetime(2025, 12, 31, 23, 59, tzinfo=TOKYO))
    month("2026-W01", datetime(2026, 1, 1, 0, 0, tzinfo=TOKYO))
    month("2026-W02", datetime(2026, 1, 31, 23, 59, tzinfo=TOKYO), NO_PICKS)
    month("2026-W03", datetime(2026, 2, 1, 0, 0, tzinfo=TOKYO), LETTER)
    made = run("digest", "--month", "2026-01", json=True)
    assert made.json == {
        "issue": "digest-2026-01",
        "path": str(newsletter / "issues" / "digest-2026-01.md"),
        "issues": ["2026-W01", "2026-W02"],
        "items": 2,
        "notes": [],
    }
    text = Path(made.json["path"]).read_text()
    assert 'title: "January 2026 in brief"' in text
    assert "frequency: monthly\nstatus: draft\n" in text
    assert "secret" not in text.lower()
    assert run("check", "digest-2026-01", json=True).json == {"ok": True, "problems": []}
    bot = Bot.open(newsletter)
    issue = bot.read(bot.find("digest-2026-01"))
    bot.close()
    assert [one.title for one in issue.sections] == [
        "Week 1, 2026",
        "Week 2: [odd] *marks* & <b>tags</b>",
    ]
    first, second = issue.items
    base = "https://news.example.com/archive"
    assert first.url == f"{base}/2026-W01/#very-deep-networks-can-be-trained"
    assert second.title == "Title with code, you, and stars"
    assert "One line with markup, friend and a # sign." in str(second.body[0])
    page = newsletter / "site" / "archive"
    for item in issue.items:
        place, _, anchor = str(item.url).removeprefix(base).partition("#")
        assert f'id="{anchor}"' in (page / place.strip("/") / "index.html").read_text()
    sent = run("send", "digest-2026-01", "--yes", json=True).json
    assert (sent["planned"], sent["accepted"]) == (1, 1)
    again = str(newsletter / "issues" / "again.md")
    assert run("digest", "--month", "2026-01", "--out", again).code == 0  # without itself


def test_a_digest_of_one_issue_has_its_section_too(
    run: Run, newsletter: Path, month: Callable[..., None]
) -> None:
    month("2026-W01", datetime(2026, 1, 1, tzinfo=TOKYO))
    assert "1 items of 1 issues" in run("digest", "--month", "2026-01").out
    bot = Bot.open(newsletter)
    issue = bot.read(bot.find("digest-2026-01"))
    bot.close()
    assert issue.title == "January 2026 in brief"
    assert [one.title for one in issue.sections] == ["Week 1, 2026"]


def test_nothing_is_overwritten(run: Run, newsletter: Path, month: Callable[..., None]) -> None:
    month("2026-W01", datetime(2026, 1, 1, tzinfo=TOKYO))
    run("digest", "--month", "2026-01")
    path = newsletter / "issues" / "digest-2026-01.md"
    path.write_text("mine")
    done = run("digest", "--month", "2026-01")
    assert done.code == 2
    assert "exists already" in done.err
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--month", "2026-01"], 65, "Nothing for weekly went out in 2026-01"),
        ([], 65, f"went out in {Month.before(datetime.now(TOKYO))}"),
        (["--month", "2026-13"], 2, "'2026-13' is no month"),
        (["--month", "January"], 2, "no month"),
        (["--list", "papers"], 2, "There is no list 'papers'"),
    ],
)
def test_without_anything_to_show_it_says_so(
    run: Run, newsletter: Path, words: list[str], code: int, said: str
) -> None:
    done = run("digest", *words)
    assert done.code == code
    assert said in done.err
    assert list((newsletter / "issues").iterdir()) == []


def test_what_was_for_a_segment_alone_is_left_out(
    run: Run, newsletter: Path, month: Callable[..., None]
) -> None:
    path = newsletter / "subscribers" / "segments" / "some.toml"
    path.parent.mkdir(parents=True)
    path.write_text('not = {tag = "staff"}')
    letter = LETTER.replace("title:", "segment: some\ntitle:")
    month("2026-W03", datetime(2026, 1, 8, tzinfo=TOKYO), letter)
    done = run("digest", "--month", "2026-01")
    assert done.code == 65
    assert "2026-W03 was for the segment some alone" in done.err
    month("2026-W01", datetime(2026, 1, 1, tzinfo=TOKYO))
    (newsletter / "issues" / "2026-W01.md").rename(newsletter / "2026-W01.md")
    done = run("digest", "--month", "2026-01")
    assert "2026-W01 has no file that can be read" in done.err


def test_months_follow_each_other_over_the_year() -> None:
    assert Month.before(datetime(2026, 1, 31, tzinfo=TOKYO)) == Month(2025, 12)
    assert str(Month.before(datetime(2026, 10, 1, tzinfo=TOKYO))) == "2026-09"
    with pytest.raises(UsageError):
        Month.read("2026-1")
