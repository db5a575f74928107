"""An archive that somebody hostile has written, in a real browser: it can show and link, no more.

Issues are cleaned when they are read, and pages bring a policy of their own; here all of that has
failed, and what is left are the headers that the server sends.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from starlette.types import ASGIApp, Receive, Scope, Send

from newsletter_bot.bot import Bot
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.model import NewSubscriber, SubscriptionState
from newsletter_bot.web.public import make_public
from newsletter_bot.web.serving.service import PublicServer

PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_ACT = "fetch('/ran-{0}'); new Image().src = '/ran-{0}'; top.location = '/ran-{0}'"


def hostile(token: str) -> str:
    """A page that tries what a page can try, and holds what an honest one holds."""
    ran = [f"<script>{_ACT.format('script')}</script>", "<script src=/evil.js></script>"]
    ran += [
        "<script type=module>import('/evil.js')</script>",
        "<link rel=preload as=script href=/x>",
    ]
    ran += [f'<img src=x onerror="{_ACT.format("error")}">', f'<svg onload="{_ACT.format("svg")}">']
    ran += ["<iframe src=/subscribe></iframe>", "<object data=/subscribe></object>"]
    ran += ["<embed src=/subscribe>", "<iframe srcdoc='<script>fetch(\"/ran-srcdoc\")</script>'>"]
    refresh = '<meta http-equiv="refresh" content="0;url=/ran-refresh">'
    forms = (
        f'<form method=post action="/u/{token}"><button id=post>Leave</button></form>'
        "<form method=post action=/api/v1/subscribers><button id=api>API</button></form>"
        "<form method=get action=/ran-form><button id=get>Ask</button></form>"
        "<form method=dialog><button id=dialog autofocus>Close</button></form>"
    )
    links = (
        "<a id=script-link href=\"javascript:fetch('/ran-link')\">run</a>"
        "<a id=ping href=/page2.html ping=/ran-ping>ping</a>"
        "<a id=link href=/subscribe>Subscribe</a><a id=out target=_blank href=/subscribe>New</a>"
    )
    return (
        f"<!doctype html><html lang=en><head>{refresh}<base href=https://evil.example/>"
        f"<title>Honest</title></head><body><h1>Hello</h1>{forms}{links}<img id=own src=/pic.png>"
        f"{''.join(ran)}</body></html>"
    )


@dataclass
class Heard:
    """An app that remembers what it was asked."""

    app: ASGIApp
    asked: list[str] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Remember, and answer."""
        self.asked.append(f"{scope['method']} {scope['path']}")
        await self.app(scope, receive, send)


@dataclass
class Archive:
    """The public web over a site that was made by hand."""

    bot: Bot
    address: str
    heard: Heard

    @property
    def state(self) -> SubscriptionState:
        """Whether the reader still is one."""
        person = self.bot.subscribers.find("ada@example.com")
        assert person is not None
        return person.subscriptions[0].state

    @property
    def misdeeds(self) -> list[str]:
        """What was asked that only something hostile asks."""
        return [one for one in self.heard.asked if "ran-" in one or one.startswith("POST")]


@pytest.fixture
def archive(newsletter: Path) -> Iterator[Archive]:
    bot = Bot.open(newsletter)
    bot.subscribers.add([NewSubscriber(parse_address("ada@example.com"))], "weekly", {})
    site = newsletter / "site"
    site.mkdir()
    page = hostile(bot.signer.unsubscribe_token(1, "weekly"))
    (site / "index.html").write_text(page.replace("<base href=https://evil.example/>", ""))
    (site / "base.html").write_text(page)
    (site / "page2.html").write_text("<h1>Second</h1>")
    (site / "evil.js").write_text("fetch('/ran-file')")
    (site / "evil.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">'
        f"<script>{_ACT.format('file')}</script></svg>"
    )
    (site / "pic.png").write_bytes(PICTURE)
    heard = Heard(make_public(bot))
    server = PublicServer(heard, bot.settings.web.model_copy(update={"port": 0}))
    server.start()
    yield Archive(bot, server.address, heard)
    server.stop()
    bot.close()


@pytest.fixture
def shown(page: Page, archive: Archive) -> Page:
    """The hostile page, after all that it could do by itself."""
    page.goto(archive.address, wait_until="load")
    page.wait_for_timeout(700)
    return page


@pytest.mark.browser
def test_nothing_happens_by_itself(shown: Page, archive: Archive) -> None:
    assert shown.url == archive.address
    assert archive.misdeeds == []
    assert not [one for one in archive.heard.asked if "/subscribe" in one or "evil.js" in one]
    assert len([one for one in shown.frames if one.url.startswith("http")]) == 1
    expect(shown.locator("h1")).to_have_text("Hello")


@pytest.mark.browser
@pytest.mark.parametrize("button", ["post", "api", "get", "dialog"])
def test_no_form_is_sent_even_by_a_click(shown: Page, archive: Archive, button: str) -> None:
    shown.locator(f"#{button}").click()
    shown.wait_for_timeout(300)
    assert archive.misdeeds == []
    assert shown.url == archive.address
    assert archive.state is SubscriptionState.ACTIVE


@pytest.mark.browser
def test_a_script_in_a_link_does_not_run_and_a_ping_is_not_sent(
    shown: Page, archive: Archive
) -> None:
    shown.locator("#script-link").click()
    shown.wait_for_timeout(300)
    assert shown.url == archive.address
    shown.locator("#ping").click()
    expect(shown.locator("h1")).to_have_text("Second")
    shown.wait_for_timeout(300)
    assert archive.misdeeds == []


@pytest.mark.browser
def test_pictures_show_and_links_lead(shown: Page, archive: Archive, tmp_path: Path) -> None:
    assert "GET /pic.png" in archive.heard.asked
    box = shown.locator("#own").bounding_box()
    assert box is not None
    assert box["width"] == 1
    shown.screenshot(path=tmp_path / "hostile.png")
    with shown.context.expect_page() as opened:
        shown.locator("#out").click()
    fresh = opened.value
    expect(fresh.locator("form button[type=submit]").first).to_be_visible()
    # What a link opened is out of the sandbox: its scripts and forms are its own.
    assert fresh.evaluate("window.origin") == archive.address.rstrip("/")
    fresh.close()
    shown.locator("#link").click()
    expect(shown).to_have_url(re.compile("/subscribe$"))
    assert shown.evaluate("window.origin") == archive.address.rstrip("/")


@pytest.mark.browser
@pytest.mark.parametrize("path", ["evil.svg", "base.html", "evil.js"])
def test_other_files_are_as_powerless(page: Page, archive: Archive, path: str) -> None:
    page.goto(archive.address + path)
    page.wait_for_timeout(400)
    assert page.url == archive.address + path
    assert archive.misdeeds == []
    if path == "base.html":
        assert page.locator("#link").get_attribute("href") == "/subscribe"
        assert page.evaluate("document.baseURI") == archive.address + path


@pytest.mark.browser
def test_a_page_of_the_archive_has_no_origin_to_act_with(shown: Page) -> None:
    assert shown.evaluate("window.origin") == "null"
    with pytest.raises(Exception, match=r"SecurityError|sandboxed"):
        shown.evaluate("document.cookie")
    with pytest.raises(Exception, match=r"SecurityError|sandboxed"):
        shown.evaluate("localStorage.length")


@pytest.mark.browser
def test_our_pages_are_not_framed_by_others(
    browser: Browser, archive: Archive, tmp_path: Path
) -> None:
    host = tmp_path / "host.html"
    host.write_text(
        f"<iframe src='{archive.address}'></iframe>"
        f"<iframe src='{archive.address}subscribe'></iframe>"
    )
    page = browser.new_page()
    page.goto(host.as_uri())
    page.wait_for_timeout(500)
    framed = [one for one in page.frames if one.parent_frame is not None]
    assert [one.url for one in framed] == ["chrome-error://chromewebdata/"] * 2
    page.close()
