"""An approval holds for exactly these readers, too: lists, frequency, a segment's own file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import select, update

from newsletter_bot.bot import Bot
from newsletter_bot.delivery.run import Run
from newsletter_bot.errors import DataError, IssueFileError
from newsletter_bot.schedule.choice import choose, objection
from newsletter_bot.service.newsroom import Newsroom
from newsletter_bot.service.posting import Posting
from newsletter_bot.storage.tables import crossposts, subscribers
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.model import NewSubscriber

Write = Callable[..., Path]
EDITED = "2026-W01 was edited after it was approved"


@pytest.fixture
def bot(newsletter: Path) -> Iterator[Bot]:
    opened = Bot.open(newsletter)
    yield opened
    opened.close()


@pytest.fixture
def segment(newsletter: Path) -> Path:
    path = newsletter / "subscribers" / "segments" / "testers.toml"
    path.parent.mkdir(parents=True)
    path.write_text('title = "Testers"\nall = [{tag = "beta"}]\n')
    return path


@pytest.fixture
def issue(write_issue: Write, segment: Path) -> Path:
    path = write_issue()
    path.write_text(path.read_text().replace("status:", "segment: testers\nstatus:"))
    return path


def approved(bot: Bot, path: Path) -> Newsroom:
    newsroom = Newsroom(bot)
    newsroom.approve(bot.read(path), proof=False)
    assert objections(newsroom) == [""]
    return newsroom


def objections(newsroom: Newsroom) -> list[str]:
    return [objection(one, approval=True) for one in newsroom.candidates()]


def test_an_issue_approved_for_a_segment_is_planned_for_it(bot: Bot, issue: Path) -> None:
    newsroom = approved(bot, issue)
    newsroom.plan("2026-W01", approval=True)
    row = bot.mailroom.issue("2026-W01")
    assert row is not None
    assert row.selection.to_json() == bot.selection(bot.read(issue)).to_json()
    assert row.selection.segment is not None
    assert row.selection.segment.name == "testers"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("segment: testers\n", ""),
        ("segment: testers\n", "segment: testers\nfrequency: monthly\n"),
    ],
)
def test_other_readers_in_the_issues_file_ask_for_another_approval(
    bot: Bot, issue: Path, before: str, after: str
) -> None:
    newsroom = approved(bot, issue)
    issue.write_text(issue.read_text().replace(before, after))
    assert objections(newsroom) == [EDITED]
    with pytest.raises(DataError, match="was edited after it was approved"):
        newsroom.plan("2026-W01", approval=True)
    assert not newsroom.is_planned("2026-W01")


def test_another_list_asks_for_another_approval(bot: Bot, write_issue: Write) -> None:
    lists = bot.settings.lists
    other = lists[0].model_copy(update={"id": "other"})
    bot.settings = bot.settings.model_copy(update={"lists": (*lists, other)})
    path = write_issue()
    newsroom = approved(bot, path)
    path.write_text(path.read_text().replace("status:", "lists: [weekly, other]\nstatus:"))
    with pytest.raises(DataError, match="was edited after it was approved"):
        newsroom.plan("2026-W01", approval=True)


def test_an_edit_of_the_segments_own_file_asks_for_another_approval(
    bot: Bot, issue: Path, segment: Path
) -> None:
    newsroom = approved(bot, issue)
    segment.write_text('title = "Renamed"\nall = [{tag = ["beta"]}]\n')
    assert objections(newsroom) == [""]  # the rules are the same
    segment.write_text('all = [{any = [{tag = "beta"}, {tag = "staff"}]}]\n')
    assert objections(newsroom) == [EDITED]
    with pytest.raises(DataError, match=r"the file is the same, but .* or its segment"):
        newsroom.plan("2026-W01", approval=True)
    newsroom.approve(bot.read(issue), proof=False)
    assert objections(newsroom) == [""]


def test_a_segment_that_is_broken_stops_its_issue_until_it_is_mended(
    bot: Bot, issue: Path, segment: Path
) -> None:
    newsroom = approved(bot, issue)
    good = segment.read_text()
    segment.write_text("all = [{tga = 'beta'}]")
    assert objections(newsroom) == ["2026-W01 has errors: check it"]
    assert objections(Newsroom(bot)) == ["2026-W01 has errors: check it"]
    with pytest.raises(IssueFileError, match="Did you mean 'tag'"):
        newsroom.plan("2026-W01", approval=False)
    late = Newsroom(bot)
    late.candidates()
    segment.write_text(good)
    assert objections(newsroom) == objections(late) == [""]


def test_a_segment_that_does_not_exist_is_told_with_its_line(bot: Bot, issue: Path) -> None:
    issue.write_text(issue.read_text().replace("segment: testers", "segment: tester"))
    found = [one for one in bot.check(bot.read(issue)) if one.rule == "segment"]
    assert [(one.line, one.severity) for one in found] == [(6, "error")]
    assert "There is no segment 'tester'. Did you mean 'testers'?" in found[0].message


def test_a_digest_takes_no_slot_by_itself(bot: Bot, write_issue: Write) -> None:
    path = write_issue(name="digest-2026-01")
    path.write_text(path.read_text().replace("status:", "frequency: monthly\nstatus:"))
    newsroom = Newsroom(bot)
    newsroom.approve(bot.read(path), proof=False)
    (found,) = newsroom.candidates()
    assert objection(found, approval=True) == ""  # an editor may schedule it
    assert choose([found], date(2026, 2, 1), approval=True).reason == "no issue is ready"


def test_what_is_not_for_everybody_has_a_page_that_nothing_names(
    bot: Bot, issue: Path, write_issue: Write, newsletter: Path
) -> None:
    digest = write_issue(name="digest-2026-01")
    digest.write_text(digest.read_text().replace("status:", "frequency: monthly\nstatus:"))
    plain = write_issue(name="2026-W02")
    for path in (issue, digest, plain):
        bot.plan(bot.read(path))
    site = newsletter / "site"
    for name in ("2026-W01", "digest-2026-01"):
        assert "noindex" in (site / "archive" / name / "index.html").read_text()
        for place in ("index.html", "feed.atom", "feed.rss", "feed.json", "sitemap.xml"):
            assert f"/{name}/" not in (site / place).read_text()
    assert "/2026-W02/" in (site / "index.html").read_text()
    assert "noindex" not in (site / "archive" / "2026-W02" / "index.html").read_text()


def test_sending_by_hand_warns_of_readers_changed_since_the_plan(
    bot: Bot, issue: Path, segment: Path
) -> None:
    said: list[str] = []
    bot.send(bot.read(issue), Run(), warn=said.append)
    bot.send(bot.read(issue), Run(), warn=said.append)
    assert said == []
    segment.write_text('all = [{tag = "staff"}]')
    bot.send(bot.read(issue), Run(), warn=said.append)
    segment.unlink()
    bot.send(bot.read(issue), Run(), warn=said.append)
    assert [one.partition(":")[0] for one in said] == ["it was edited since it was planned"] * 2


def test_channels_get_by_themselves_what_is_for_everybody_alone(
    newsletter: Path, issue: Path, write_issue: Write
) -> None:
    toml = newsletter / "newsletter.toml"
    hook = '[channels.webhook]\nurl = "http://127.0.0.1:9/"\nallow_private = true\n'
    toml.write_text(toml.read_text() + hook)
    digest = write_issue(name="digest-2026-01")
    digest.write_text(digest.read_text().replace("status:", "frequency: monthly\nstatus:"))
    plain = write_issue(name="2026-W02")
    with closing(Bot.open(newsletter)) as bot:
        add(bot, "ada@example.com", tags=["beta"])
        add(bot, "bo@example.com", frequency="monthly")
        for path in (issue, digest, plain):
            assert bot.send(bot.read(path), Run()).accepted >= 1
        Posting(bot, lambda *_told: None, time.time, is_live=lambda _page: True).look()
        with bot.engine.connect() as connection:
            posted = set(connection.execute(select(crossposts.c.issue)).scalars())
    assert posted == {"2026-W02"}


def add(bot: Bot, address: str, **values: object) -> None:
    bot.subscribers.add([NewSubscriber(parse_address(address))], "weekly", {"source": "test"})
    who = update(subscribers).where(subscribers.c.address_key == address)
    with bot.engine.begin() as connection:
        connection.execute(who.values(values))
