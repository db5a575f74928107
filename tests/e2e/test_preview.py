"""The preview, run as an editor runs it and looked at with a real browser."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, Frame, Page, expect

pytestmark = pytest.mark.browser

PATIENCE = 20_000  # milliseconds; nothing here is measured by it
SECTIONS = ("light desktop", "light phone", "dark desktop", "dark phone")


def frame(page: Page, name: str) -> Frame:
    element = page.wait_for_selector(f"figure.{name.replace(' ', '.')} iframe", state="attached")
    assert element is not None
    found = element.content_frame()
    assert found is not None
    found.wait_for_selector("h1", state="attached", timeout=PATIENCE)
    return found


def wait_until_grown(page: Page) -> None:
    # By its style: neither a page with this policy nor a frame without scripts can be polled.
    grown = re.compile(r"height: \d{4,}px")
    expect(page.locator(".light.desktop iframe")).to_have_attribute(
        "style", grown, timeout=PATIENCE
    )


def choose(page: Page, scheme: str) -> None:
    page.get_by_role("radio", name=scheme).check(force=True)


@pytest.fixture
def opened(page: Page, preview: str) -> Page:
    page.set_default_timeout(PATIENCE)
    page.goto(preview)
    headline = page.frame_locator("figure.light.desktop iframe").locator("h1")
    expect(headline).to_have_text("Week 47, 2026", timeout=PATIENCE)
    return page


@pytest.fixture
def issue(sample: Path) -> Path:
    return sample / "issues" / "2026-W47.md"


def test_all_items_their_pictures_and_the_inbox_line_are_shown(opened: Page) -> None:
    mail = opened.frame_locator("figure.light.desktop iframe")
    expect(mail.locator("h3.headline")).to_have_count(14)
    loaded = frame(opened, "light desktop").evaluate(
        "() => Promise.all([...document.images].map(one => one.decode().then(() => one.width)))"
    )
    assert len(loaded) == 8
    assert all(loaded)
    expect(opened.locator("#inbox")).to_contain_text("Eight papers worth a second reading")
    expect(opened.locator("#size")).to_contain_text("KB of 102")


@pytest.mark.parametrize("name", SECTIONS)
def test_each_frame_has_its_width_and_its_colours(opened: Page, name: str) -> None:
    choose(opened, name.split(maxsplit=1)[0].title())
    mail = frame(opened, name)
    width = 375 if "phone" in name else 660
    assert mail.evaluate("window.innerWidth") == width
    assert mail.evaluate("document.documentElement.scrollWidth") <= width
    ground: str = mail.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in ground.removeprefix("rgb(").rstrip(")").split(","))
    assert (brightness < 150) == ("dark" in name), ground


def test_the_mail_fits_a_window_as_wide_as_itself(page: Page, preview: str) -> None:
    page.set_viewport_size({"width": 600, "height": 800})
    page.goto(f"{preview}issue/mail-light")
    assert page.evaluate(
        "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )


def test_a_frame_is_as_high_as_its_content(opened: Page) -> None:
    wait_until_grown(opened)
    mail = frame(opened, "light desktop")
    assert mail.evaluate("window.innerHeight >= document.documentElement.offsetHeight")


def test_text_web_page_and_checks_are_one_key_away(opened: Page) -> None:
    opened.get_by_role("link", name="Plain text").press("Enter")
    expect(opened.locator("#text")).to_contain_text("Layers that learn what to add")
    opened.get_by_role("link", name="Web page").press("Enter")
    web = opened.frame_locator("figure.light.web iframe")
    expect(web.locator("h1")).to_have_text("Week 47, 2026")
    expect(web.locator("body")).to_have_css("background-color", "rgb(242, 243, 245)")
    opened.get_by_role("link", name="Checks").press("Enter")
    expect(opened.locator("#clean")).to_have_text("Nothing to mend.")


def test_a_save_is_shown_without_losing_the_place(opened: Page, issue: Path) -> None:
    wait_until_grown(opened)
    opened.evaluate("window.scrollTo(0, 900)")
    text = issue.read_text(encoding="utf-8")
    issue.write_text(text.replace("Layers that learn what to add", "A new headline"), "utf-8")
    begun = time.monotonic()
    headline = opened.frame_locator("figure.light.desktop iframe").locator("h3").first
    expect(headline).to_have_text("A new headline", timeout=PATIENCE)
    took = time.monotonic() - begun
    print(f"shown {took:.2f} s after the save")  # noqa: T201 - the figure is worth seeing
    # A second is the promise; a loaded machine gets five before this calls it broken.
    assert took < 5
    assert opened.evaluate("window.scrollY") == 900


def test_errors_are_shown_with_their_line_until_mended(opened: Page, issue: Path) -> None:
    good = issue.read_text(encoding="utf-8")
    issue.write_text(good.replace("lists: [weekly]", "lists: [weekly"), "utf-8")
    trouble = opened.locator("#trouble")
    expect(trouble).to_contain_text("issues/2026-W47.md:", timeout=PATIENCE)
    expect(trouble).to_contain_text("Not valid YAML")
    expect(trouble).to_contain_text("the last good rendering")
    issue.write_text(good.replace("status: ready", "status: maybe"), "utf-8")
    expect(trouble).to_contain_text("issues/2026-W47.md:7", timeout=PATIENCE)
    expect(opened.frame_locator("figure.light.desktop iframe").locator("h1")).to_be_visible()
    issue.write_text(good, "utf-8")
    expect(trouble).to_be_hidden(timeout=PATIENCE)


def test_nothing_in_an_issue_runs_or_becomes_markup(opened: Page, issue: Path) -> None:
    ran: list[str] = []

    def note(dialog: Dialog) -> None:
        ran.append(dialog.message)
        dialog.dismiss()

    opened.on("dialog", note)
    text = issue.read_text(encoding="utf-8")
    evil = "<script>top.ran = 1; alert(1)</script><img src=x onerror='top.ran = 1; alert(2)'>"
    hostile = text.replace("## Papers", f"{evil}\n\n## Papers")
    hostile = hostile.replace('subject: "', "subject: '<img src=x onerror=alert(3)>' #\"")
    issue.write_text(hostile, "utf-8")
    expect(opened.locator("#list")).to_contain_text("removed-html", timeout=PATIENCE)
    expect(opened.locator("#inbox .subject")).to_have_text("<img src=x onerror=alert(3)>")
    assert opened.evaluate("window.ran") is None
    assert ran == []


def test_even_a_theme_with_a_script_runs_nothing(opened: Page, sample: Path) -> None:
    theme = sample / "templates" / "web"
    theme.mkdir(parents=True)
    (theme / "issue.html.j2").write_text(
        "<head></head><body><h1>Mine</h1><script>top.ran = 1</script></body>", "utf-8"
    )
    web = opened.frame_locator("figure.light.web iframe")
    expect(web.locator("h1")).to_have_text("Mine", timeout=PATIENCE)
    assert opened.evaluate("window.ran") is None


def test_ctrl_c_stops_it_at_once_though_a_page_is_open(page: Page, sample: Path) -> None:
    command = [sys.executable, "-m", "newsletter_bot", "-C", str(sample), "preview", "2026-W47"]
    with subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        page.goto(process.stdout.readline().split()[-1])
        expect(page.locator("#live")).to_have_text("Live", timeout=PATIENCE)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "The preview has stopped." in said
    expect(page.locator("#live")).to_contain_text("Start it again")
