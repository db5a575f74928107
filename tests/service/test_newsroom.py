from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from newsletter_bot.bot import Bot
from newsletter_bot.errors import DataError, IssueFileError, UsageError
from newsletter_bot.schedule.choice import objection
from newsletter_bot.schedule.slots import Planned
from newsletter_bot.schedule.sweep import Newsroom as Contract
from newsletter_bot.service.newsroom import Newsroom
from tests.schedule.paper import PaperNewsroom

Write = Callable[..., Path]


@pytest.fixture
def bot(newsletter: Path) -> Iterator[Bot]:
    opened = Bot.open(newsletter)
    yield opened
    opened.close()


@pytest.fixture
def newsroom(bot: Bot) -> Newsroom:
    return Newsroom(bot)


def approved(bot: Bot, newsroom: Newsroom, path: Path) -> None:
    newsroom.approve(bot.read(path), proof=False)


# ── what every newsroom does, the one on paper too ───────────────────────────────────────────


@pytest.fixture(params=["paper", "real"])
def either(request: pytest.FixtureRequest, bot: Bot, write_issue: Write) -> Contract:
    """A newsroom with one issue that is ready and approved, and a draft."""
    if request.param == "paper":
        paper = PaperNewsroom()
        paper.add("2026-W01")
        paper.add("2026-W02", ready=False)
        return paper
    real = Newsroom(bot)
    approved(bot, real, write_issue(name="2026-W01"))
    draft = write_issue(name="2026-W02")
    draft.write_text(draft.read_text().replace("status: ready", "status: draft"))
    return real


def test_an_approved_issue_is_a_candidate_until_it_is_planned(either: Contract) -> None:
    found = {one.identity: objection(one, approval=True) for one in either.candidates()}
    assert found == {"2026-W01": "", "2026-W02": "2026-W02 is a draft"}
    assert not either.is_planned("2026-W01")
    for _ in range(2):
        either.plan("2026-W01", approval=True)
    assert either.is_planned("2026-W01")
    assert [one.identity for one in either.candidates()] == ["2026-W02"]


@pytest.mark.parametrize("issue", ["2026-W02", "2026-W09"])
def test_what_is_no_ready_issue_is_not_planned(either: Contract, issue: str) -> None:
    with pytest.raises(DataError):
        either.plan(issue, approval=True)
    assert not either.is_planned(issue)


# ── approval ─────────────────────────────────────────────────────────────────────────────────


def test_an_approval_asks_for_a_proof_of_exactly_this(
    bot: Bot, newsroom: Newsroom, write_issue: Write
) -> None:
    path = write_issue()
    with pytest.raises(UsageError, match="No proof"):
        newsroom.approve(bot.read(path))
    bot.proof(bot.read(path), "editor@example.com")
    newsroom.approve(bot.read(path))
    path.write_text(path.read_text().replace("two things", "three things"))
    with pytest.raises(UsageError, match="No proof"):
        newsroom.approve(bot.read(path))


def test_a_draft_and_an_issue_with_errors_cannot_be_approved(
    bot: Bot, newsroom: Newsroom, write_issue: Write
) -> None:
    path = write_issue()
    good = path.read_text()
    path.write_text(good.replace("status: ready", "status: draft"))
    with pytest.raises(UsageError, match="is a draft"):
        newsroom.approve(bot.read(path), proof=False)
    bot.settings = bot.settings.model_copy(
        update={"newsletter": bot.settings.newsletter.model_copy(update={"postal_address": ""})}
    )
    path.write_text(good)
    with pytest.raises(IssueFileError, match="no-postal-address"):
        newsroom.approve(bot.read(path), proof=False)


def test_an_edit_after_approval_is_refused_with_what_was_edited(
    bot: Bot, newsroom: Newsroom, write_issue: Write
) -> None:
    path = write_issue()
    approved(bot, newsroom, path)
    path.write_text(path.read_text().replace("two things", "three things"))
    (found,) = newsroom.candidates()
    assert objection(found, approval=True) == "2026-W01 was edited after it was approved"
    with pytest.raises(DataError) as error:
        newsroom.plan("2026-W01", approval=True)
    assert "-Hello {{ first_name | there }}, two things" in error.value.message
    assert "+Hello {{ first_name | there }}, three things" in error.value.message
    assert not newsroom.is_planned("2026-W01")
    newsroom.plan("2026-W01", approval=False)


def test_another_theme_after_approval_is_told_from_an_edit(
    bot: Bot, newsroom: Newsroom, write_issue: Write
) -> None:
    path = write_issue()
    approved(bot, newsroom, path)
    bot.settings = bot.settings.model_copy(
        update={"newsletter": bot.settings.newsletter.model_copy(update={"name": "Renamed"})}
    )
    with pytest.raises(DataError, match="its theme, pictures or settings have changed"):
        newsroom.plan("2026-W01", approval=True)


def test_calling_off_takes_binding_and_approval_back(
    bot: Bot, newsroom: Newsroom, write_issue: Write
) -> None:
    approved(bot, newsroom, write_issue())
    assert newsroom.occurrences.bind(Planned("weekly", "2026-01-04", 2_000_000_000), "2026-W01")
    assert newsroom.call_off("2026-W01")
    assert not newsroom.call_off("2026-W01")
    (found,) = newsroom.candidates()
    assert objection(found, approval=True) == "2026-W01 is not approved"


def test_a_file_that_is_broken_gone_or_in_latin_1_stops_nobody(
    newsroom: Newsroom, write_issue: Write
) -> None:
    write_issue()
    write_issue("---\nissue: 2026-W02\nstatus: ready\nnonsense: [\n---\n", "2026-W02")
    (path := write_issue(name="2026-W03")).write_bytes("Fünf".encode("latin-1"))
    path.with_name("2026-W04.md").symlink_to("nowhere.md")
    found = {one.identity: one.trouble for one in newsroom.candidates()}
    assert found["2026-W01"] == ""
    assert found["2026-W02"] == "has errors: check it"


def test_planning_publishes_the_page_before_anything_is_sent(
    bot: Bot, newsroom: Newsroom, write_issue: Write, newsletter: Path
) -> None:
    approved(bot, newsroom, write_issue())
    newsroom.plan("2026-W01", approval=True)
    assert list((newsletter / "site").rglob("2026-W01*"))
    assert bot.mailroom.issue("2026-W01") is not None
