"""Leaving, in a real browser: from the link in a mail to the page that says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser

from newsletter_bot.bot import Bot
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.model import NewSubscriber, SubscriptionState
from newsletter_bot.web.public import make_public
from newsletter_bot.web.serving.service import PublicServer


@pytest.fixture
def bot(newsletter: Path) -> Iterator[Bot]:
    opened = Bot.open(newsletter)
    person = NewSubscriber(parse_address("ada@example.com"), "Ada")
    opened.subscribers.add([person], "weekly", {"source": "test"})
    yield opened
    opened.close()


@pytest.fixture
def link(bot: Bot) -> Iterator[str]:
    table = bot.settings.web.model_copy(update={"port": 0})
    server = PublicServer(make_public(bot), table)
    server.start()
    yield f"{server.address}u/{bot.signer.unsubscribe_token(1, 'weekly')}"
    server.stop()


def state(bot: Bot) -> SubscriptionState:
    person = bot.subscribers.find("ada@example.com")
    assert person is not None
    return person.subscriptions[0].state


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("language", "question", "done"),
    [
        ("en-GB", "Do you want to unsubscribe?", "You are unsubscribed"),
        ("ja-JP", "配信を停止しますか？", "配信を停止しました"),
    ],
)
def test_a_reader_leaves_with_the_keyboard_and_without_scripts(
    browser: Browser,
    bot: Bot,
    link: str,
    tmp_path: Path,
    width: int,
    scheme: Literal["light", "dark"],
    language: str,
    question: str,
    done: str,
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 640},
        color_scheme=scheme,
        locale=language,
        java_script_enabled=False,
    )
    page = context.new_page()
    page.goto(link)
    assert page.locator("h1").inner_text() == question
    page.screenshot(path=tmp_path / "ask.png")
    assert state(bot) is SubscriptionState.ACTIVE
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.locator("button:focus").count():
            break
    page.keyboard.press("Enter")
    page.wait_for_selector('[role="status"]')
    assert page.locator("h1").inner_text() == done
    page.screenshot(path=tmp_path / "left.png")
    assert state(bot) is SubscriptionState.UNSUBSCRIBED
    body = page.locator("body").bounding_box()
    assert body is not None
    assert body["width"] <= width
    context.close()


@pytest.mark.browser
def test_nothing_on_the_page_scrolls_sideways(browser: Browser, link: str) -> None:
    page = browser.new_page(viewport={"width": 320, "height": 640})
    for address in (link, link[:-8]):
        page.goto(address)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 320
    page.close()
