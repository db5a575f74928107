"""A reader's whole way, in a real browser: sign-up, confirmation, preferences, leaving."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from sqlalchemy import select

from newsletter_bot.bot import Bot
from newsletter_bot.storage.tables import challenges, limits, signups
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.consent import SignupRequest
from newsletter_bot.subscribers.model import NewSubscriber
from newsletter_bot.subscribers.tokens import Link
from newsletter_bot.web.public import make_public
from newsletter_bot.web.serving.service import PublicServer
from tests.servers.page_server import Page as Shown
from tests.servers.page_server import page_server

pytestmark = pytest.mark.browser

PATIENCE = 20_000  # milliseconds; nothing here is measured by it
AXE = Path(__file__).parents[2] / ".tools/node_modules/axe-core/axe.min.js"
MORE = """
[[lists]]
id = "jobs"
name = "Jobs"
description = "Once a month: open positions"

[signup]
fill_time = "1s"
languages = ["en", "ja"]
privacy_url = "https://news.example.com/privacy"
"""
REPORTS = """
  window.reports = [];
  document.addEventListener("securitypolicyviolation", (event) =>
    window.reports.push(`${event.violatedDirective} ${event.blockedURI}`));
"""


class World:
    """A newsletter on a port of this machine, whose links lead there."""

    def __init__(self, folder: Path, more: str = MORE) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        path = folder / "newsletter.toml"
        text = path.read_text(encoding="utf-8").replace("https://news.example.com", self.address)
        path.write_text(f"{text}{more}\n[web]\nport = {port}\n", encoding="utf-8")
        self.bot = Bot.open(folder)
        person = NewSubscriber(parse_address("ada@example.com"), "Ada", "en")
        self.bot.subscribers.add([person], "weekly", {"source": "test"})
        self.server = PublicServer(make_public(self.bot, ring=self._ring), self.bot.settings.web)
        self.server.start()

    def _ring(self, duty: str) -> None:
        if duty == "people":
            self.bot.people.settle()

    def close(self) -> None:
        self.server.stop()
        self.bot.close()

    def link(self, path: str) -> str:
        return f"{self.address}/{path}"

    def token(self, link: Link, number: int = 1) -> str:
        return self.bot.signer.link_token(link, number)

    def rows(self, table: Any) -> list[dict[str, Any]]:
        with self.bot.engine.connect() as connection:
            return [dict(row) for row in connection.execute(select(table)).mappings()]

    def confirm_link(self) -> str:
        """The link in the mail that the last request brought."""
        return self.link(f"c/{self.token(Link.CONFIRM, self.rows(signups)[-1]['id'])}")

    def states(self, address: str) -> dict[str, str]:
        person = self.bot.subscribers.find(address)
        return {one.list: str(one.state) for one in person.subscriptions} if person else {}


@pytest.fixture
def world(newsletter: Path) -> Iterator[World]:
    made = World(newsletter)
    yield made
    made.close()


@contextmanager
def visit(browser: Browser, **options: Any) -> Iterator[Page]:
    """Open a page that notes whatever its policy refused, and fails for it."""
    context: BrowserContext = browser.new_context(**options)
    context.set_default_timeout(PATIENCE)
    said: list[str] = []
    if options.get("java_script_enabled", True):
        context.add_init_script(REPORTS)
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(f"Refused: {error}"))
    yield page
    assert [one for one in said if "Content Security Policy" in one or "Refused" in one] == []
    assert context.cookies() == []
    context.close()


def tab_to(page: Page, selector: str) -> None:
    """Go there as somebody without a mouse does."""
    for _ in range(30):
        if page.locator(f"{selector}:focus").count():
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the keyboard does not reach {selector}")


def sign_up(page: Page, world: World, address: str) -> None:
    """Fill in the form with the keyboard alone."""
    page.goto(world.link("subscribe"))
    tab_to(page, "#address")
    page.keyboard.type(address)
    tab_to(page, "#name")
    page.keyboard.type("Bo <b>")
    tab_to(page, "#list-jobs")
    page.keyboard.press("Space")
    page.wait_for_timeout(1200)  # a person needs a second at least


def press(page: Page, selector: str) -> None:
    tab_to(page, selector)
    page.keyboard.press("Enter")


def whole_way(page: Page, world: World) -> None:
    """From the link in the mail to the farewell."""
    page.goto(world.confirm_link())
    assert world.states("bo@example.com") == {"weekly": "pending", "jobs": "pending"}
    press(page, "main button")
    expect(page.locator("h1")).to_have_text("You are subscribed")
    assert world.states("bo@example.com") == {"weekly": "active", "jobs": "active"}
    page.get_by_role("link", name="Your preferences").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#name")).to_have_value("Bo <b>")
    tab_to(page, "#list-jobs")
    page.keyboard.press("Space")
    tab_to(page, "#every")
    page.keyboard.press("ArrowDown")
    press(page, "button[value=save]")
    expect(page.locator("[role=status]")).to_have_text("Your preferences are saved.")
    expect(page.locator("#monthly")).to_be_checked()
    assert world.states("bo@example.com") == {"weekly": "active", "jobs": "unsubscribed"}
    page.get_by_role("link", name="Unsubscribe from everything").press("Enter")
    press(page, "main button")
    expect(page.locator("h1")).to_have_text("You are unsubscribed")
    assert world.states("bo@example.com")["weekly"] == "unsubscribed"


def test_the_whole_way_with_scripts_and_a_proof_of_work(browser: Browser, world: World) -> None:
    with visit(browser, locale="en-GB") as page:
        sign_up(page, world, "bo@example.com")
        expect(page.locator("altcha-widget")).to_contain_text("Checked")
        assert page.evaluate("window.reports") == []
        press(page, "button[type=submit]")
        expect(page.locator("h1")).to_have_text("Check your mail")
        assert len(world.rows(challenges)) == 1
        assert "signup-without-proof" not in {row["name"] for row in world.rows(limits)}
        whole_way(page, world)


def test_the_whole_way_without_scripts(browser: Browser, world: World) -> None:
    with visit(browser, locale="en-GB", java_script_enabled=False) as page:
        sign_up(page, world, "bo@example.com")
        assert page.locator("altcha-widget").count() == 0
        press(page, "button[type=submit]")
        expect(page.locator("h1")).to_have_text("Check your mail")
        assert world.rows(challenges) == []
        assert "signup-without-proof" in {row["name"] for row in world.rows(limits)}
        page.reload()  # sends nothing again
        assert len(world.rows(signups)) == 1
        whole_way(page, world)


def test_where_no_challenge_is_to_be_had_the_form_goes_without(
    browser: Browser, world: World
) -> None:
    with visit(browser, locale="en-GB") as page:
        page.route("**/subscribe/challenge", lambda route: route.fulfill(status=503))
        sign_up(page, world, "bo@example.com")
        expect(page.locator("altcha-widget")).to_have_count(0)
        press(page, "button[type=submit]")
        expect(page.locator("h1")).to_have_text("Check your mail")
    assert len(world.rows(signups)) == 1


def test_a_mistake_has_the_focus_and_keeps_what_was_typed(browser: Browser, world: World) -> None:
    with visit(browser, locale="ja-JP", java_script_enabled=False) as page:
        sign_up(page, world, "bo@example")
        press(page, "button[type=submit]")
        expect(page.locator("[role=alert]")).to_contain_text("まだ送信されていません")
        expect(page.locator("#address")).to_be_focused()
        expect(page.locator("#address")).to_have_value("bo@example")
        expect(page.locator("#list-jobs")).to_be_checked()
        assert "name@example.com" in page.locator("#wrong-address").inner_text()


def test_the_form_works_in_a_frame_of_a_site_that_may_show_it_and_of_no_other(
    browser: Browser, newsletter: Path
) -> None:
    with page_server() as friend, page_server() as stranger:
        world = World(newsletter, f'{MORE}embed = ["{friend.url}"]\n')
        frame = f'<iframe src="{world.link("subscribe/embed")}" height="900"></iframe>'
        for site in (friend, stranger):
            site.pages["/"] = Shown(frame.encode(), headers={"Content-Type": "text/html"})
        page = browser.new_page(locale="en-GB")
        page.set_default_timeout(PATIENCE)
        inside = page.frame_locator("iframe")
        page.goto(stranger.url)
        expect(inside.locator("#address")).to_have_count(0)
        page.goto(friend.url)
        inside.locator("#address").fill("bo@example.com")
        expect(inside.locator("altcha-widget")).to_contain_text("Checked", timeout=PATIENCE)
        page.wait_for_timeout(1200)
        inside.locator("button[type=submit]").click()
        expect(page.locator("h1")).to_have_text("Check your mail", timeout=PATIENCE)
        assert page.url == world.link("subscribe/sent")
        assert len(world.rows(challenges)) == 1
        page.close()
        world.close()


# ── every page, as others see it ─────────────────────────────────────────────────────────────


def pages(world: World) -> list[str]:
    number = world.bot.people.ask(SignupRequest("bo@example.com", ("weekly", "jobs"), proved=True))
    world.bot.people.settle()
    change = world.bot.people.ask_address_change(1, f"{'very-long-' * 6}@example.com")
    person = f"p/{world.token(Link.PREFERENCES)}"
    return [
        "subscribe",
        "subscribe/sent",
        f"c/{world.token(Link.CONFIRM, number)}",
        person,
        f"{person}/address",
        f"{person}/leave",
        f"{person}/erase",
        f"a/old/{world.token(Link.AGREE_OLD, change)}",
        f"u/{world.bot.signer.unsubscribe_token(1, 'weekly')}",
        "c/00",
        "nowhere",
    ]


@pytest.mark.parametrize("language", ["en-GB", "de-DE", "fr-FR", "ja-JP", "zh-CN"])
def test_no_page_scrolls_sideways_on_the_smallest_screen(
    browser: Browser, world: World, language: str
) -> None:
    with visit(browser, locale=language, viewport={"width": 320, "height": 640}) as page:
        for path in pages(world):
            page.goto(world.link(path))
            assert page.evaluate("document.documentElement.scrollWidth") <= 320, path
            assert page.evaluate("document.documentElement.lang") == language[:2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_stumbles_on_a_page(browser: Browser, world: World, scheme: Any) -> None:
    assert AXE.is_file(), "axe-core is missing: run `make tools`"
    with visit(browser, locale="en-GB", color_scheme=scheme) as page:
        for path in pages(world):
            page.goto(world.link(path))
            if path == "subscribe":
                page.focus("#address")
                expect(page.locator("altcha-widget")).to_contain_text("Checked")
            look(page, path)
        page.goto(world.link("subscribe"))
        page.evaluate("document.querySelector('form').noValidate = true")
        page.fill("#address", "nonsense")
        page.click("button[type=submit]")
        expect(page.locator("#wrong-address")).to_be_visible()
        look(page, "a form with mistakes")


def look(page: Page, what: str) -> None:
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")
    told = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]]
    assert told == [], what
