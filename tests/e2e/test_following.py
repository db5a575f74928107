"""A mail in a real browser: its picture is loaded, a link is followed, and both are counted."""

from __future__ import annotations

import email
import socket
from collections.abc import Callable, Iterator
from email.policy import default
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Request, Route
from sqlalchemy import select

from newsletter_bot.bot import Bot
from newsletter_bot.delivery.run import Run
from newsletter_bot.storage.tables import events
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.model import NewSubscriber
from newsletter_bot.web.public import make_public
from newsletter_bot.web.serving.service import PublicServer
from tests.servers.page_server import Page, page_server

PAPER = "https://arxiv.org/abs/1512.03385"
AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/131.0.0.0 Safari/537.36"
)


@pytest.fixture
def bot(newsletter: Path, write_issue: Callable[..., Path]) -> Iterator[Bot]:
    """A newsletter that counts each reader, sent to one, its web running where its links lead."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    toml = newsletter / "newsletter.toml"
    text = toml.read_text().replace("https://news.example.com", f"http://127.0.0.1:{port}")
    tracking = '[tracking]\nclicks = "individual"\nopens = "individual"'
    toml.write_text(f"{text}\n[web]\nport = {port}\n{tracking}\n")
    opened = Bot.open(newsletter)
    person = NewSubscriber(parse_address("ada@example.com"), "Ada")
    opened.subscribers.add([person], "weekly", {"source": "test"})
    opened.send(opened.read(write_issue()), Run())
    server = PublicServer(make_public(opened), opened.settings.web)
    server.start()
    yield opened
    server.stop()
    opened.close()


@pytest.mark.browser
def test_a_reader_follows_a_link_of_a_mail(browser: Browser, bot: Bot) -> None:
    (mail,) = (bot.settings.folder / "mail" / "new").iterdir()
    part = email.message_from_bytes(mail.read_bytes(), policy=default).get_body(("html",))
    assert part is not None
    html = part.get_content()
    context = browser.new_context(user_agent=AGENT, locale="en-GB")
    page = context.new_page()
    arrived: list[Request] = []

    def answer(route: Route) -> None:
        arrived.append(route.request)
        route.fulfill(body="<h1>The paper</h1>", content_type="text/html")

    page.route("https://arxiv.org/**", answer)
    with page_server() as webmail:
        webmail.pages["/"] = Page(html.encode(), headers={"Content-Type": "text/html"})
        page.goto(f"{webmail.url}/")
        page.get_by_role("link", name="Very deep networks can be trained").last.click()
        page.wait_for_url(PAPER)
    assert page.locator("h1").inner_text() == "The paper"
    assert "referer" not in arrived[0].all_headers()
    assert context.cookies() == []
    context.close()
    assert bot.visit_counter.flush()
    with bot.engine.connect() as connection:
        query = select(events.c.kind, events.c.why, events.c.subscriber_id).order_by(events.c.id)
        assert connection.execute(query).all() == [
            ("opened", "browser", 1),
            ("clicked", "browser", 1),
        ]
