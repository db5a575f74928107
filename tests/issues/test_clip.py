from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from newsletter_bot.bot import Bot
from newsletter_bot.cli import app
from newsletter_bot.errors import DataError, NewsletterError, TryAgainError
from newsletter_bot.issues.clip import add_item, clip
from newsletter_bot.issues.collect.links import Found
from tests.servers.page_server import Page, PageServer, page_server

HOSTILE = "# A {{ secret }} [title](javascript:x) <script>alert(1)</script> ::: only `x`"
PAGE = f"""<html><head><title>plain title</title>
<meta property="og:title" content="{HOSTILE.replace("<", "&lt;")}">
<meta name="description" content="What it says,
on two lines."></head><body>x</body></html>""".encode()


@pytest.fixture
def server() -> Iterator[PageServer]:
    with page_server() as made:
        made.pages["/page"] = Page(PAGE)
        yield made


@pytest.fixture
def bot(newsletter: Path) -> Iterator[Bot]:
    toml = newsletter / "newsletter.toml"
    toml.write_text(toml.read_text() + "\n[collect]\nallow_private = true\n")
    opened = Bot.open(newsletter)
    yield opened
    opened.close()


@pytest.fixture
def draft(write_issue: Callable[..., Path]) -> Path:
    path = write_issue()
    path.write_text(path.read_text().replace("status: ready", "status: draft"))
    return path


def run(bot: Bot, *words: str) -> Result:
    return CliRunner().invoke(app, ["-C", str(bot.settings.folder), "--json", *words])


def test_a_page_becomes_the_last_item_and_nothing_else_is_touched(
    bot: Bot, draft: Path, server: PageServer
) -> None:
    before = bot.read(draft)
    old = draft.read_text()
    done = run(bot, "clip", f"{server.url}/page")
    assert done.exit_code == 0, done.output
    after = bot.read(draft)
    assert json.loads(done.stdout)["line"] == after.items[-1].line
    assert len(after.items) == len(before.items) + 1
    assert after.items[-1].title == HOSTILE
    assert after.items[-1].url == f"{server.url}/page"
    assert "What it says, on two lines." in draft.read_text()
    # `{{ secret }}` is printed as written, of which the editor is warned.
    assert {one.rule for one in after.problems} == {"not-a-slot"}
    assert [one.name for one in after.slots] == [one.name for one in before.slots]
    assert draft.read_text().startswith(old.rstrip("\n"))


def test_a_card_keeps_what_the_page_said_beside_the_issue(
    bot: Bot, draft: Path, server: PageServer
) -> None:
    assert run(bot, "clip", f"{server.url}/page", "--card").exit_code == 0
    cards = json.loads(draft.with_suffix(".cards.json").read_text())
    assert cards[f"{server.url}/page"]["description"] == "What it says, on two lines."
    assert {one.rule for one in bot.read(draft).problems} == {"not-a-slot"}


def test_a_promoted_link_is_ticked_and_becomes_an_item(
    bot: Bot, draft: Path, server: PageServer
) -> None:
    bot.inbox.add([Found(f"{server.url}/page", "A page", "feed")], "2026-11-23")
    (listed,) = json.loads(run(bot, "inbox", "list").stdout)["links"]
    assert run(bot, "inbox", "promote", str(listed["line"])).exit_code == 0
    assert json.loads(run(bot, "inbox", "list").stdout) == {"links": []}
    assert bot.read(draft).items[-1].url == f"{server.url}/page"
    with pytest.raises(DataError, match="no link on line 99"):
        app.main(["-C", str(bot.settings.folder), "inbox", "promote", "99"])


def test_an_issue_that_is_ready_is_left_alone(
    bot: Bot, write_issue: Callable[..., Path], server: PageServer
) -> None:
    issue = bot.read(write_issue())
    old = issue.path.read_text()
    with pytest.raises(DataError, match="is ready"):
        add_item(issue, clip(f"{server.url}/page", allow_private=True))
    with pytest.raises(DataError, match="There is no draft"):
        app.main(["-C", str(bot.settings.folder), "clip", f"{server.url}/page"])
    assert issue.path.read_text() == old


@pytest.mark.parametrize(
    ("page", "error"),
    [
        (Page(status=404), TryAgainError),
        (Page(b"x" * 1_000_000, endless=True), TryAgainError),
    ],
)
def test_a_page_that_cannot_be_had_changes_nothing(
    bot: Bot, draft: Path, server: PageServer, page: Page, error: type[NewsletterError]
) -> None:
    server.pages["/page"] = page
    old = draft.read_text()
    with pytest.raises(error):
        app.main(["-C", str(bot.settings.folder), "clip", f"{server.url}/page"])
    assert draft.read_text() == old


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"<html", b"%PDF-1.7 \x00\x01"])
def test_a_page_that_is_no_html_has_its_address_for_a_title(
    server: PageServer, content: bytes
) -> None:
    server.pages["/page"] = Page(content)
    assert clip(f"{server.url}/page", allow_private=True).title == f"{server.url}/page"


def test_what_is_no_address_is_told() -> None:
    with pytest.raises(DataError, match="is no web address"):
        clip("javascript:alert(1)")
