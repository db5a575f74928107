from __future__ import annotations

import time
from pathlib import Path

import pytest
from playwright.sync_api import Frame, Page, expect

pytestmark = pytest.mark.browser

PATIENCE = 20_000  # milliseconds; nothing here is measured by it


def frame(page: Page, name: str) -> Frame:
    expect(page.locator(f"#{name}")).to_be_visible(timeout=PATIENCE)
    found = page.query_selector(f"#{name}")
    assert found is not None
    inner = found.content_frame()
    assert inner is not None
    inner.wait_for_load_state()
    return inner


@pytest.fixture
def opened(page: Page, preview: str) -> Page:
    page.goto(preview)
    expect(page.frame_locator("#desktop-light").locator("h1")).to_have_text(
        "Week 47, 2026", timeout=PATIENCE
    )
    return page


def test_all_items_their_pictures_and_the_inbox_line_are_shown(opened: Page) -> None:
    mail = opened.frame_locator("#desktop-light")
    expect(mail.locator("h3.headline")).to_have_count(14)
    expect(mail.locator("img.picture")).to_have_count(8)
    loaded = frame(opened, "desktop-light").evaluate(
        "() => Promise.all("
        "[...document.images].map(one => one.decode().then(() => one.naturalWidth)))"
    )
    assert loaded == [1104] * 8
    expect(opened.locator(".line")).to_contain_text("Eight papers worth a second reading")
    expect(opened.locator(".checks summary")).to_contain_text("No problems")


@pytest.mark.parametrize(("view", "width"), [("desktop", 698), ("phone", 375)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_its_frame_in_any_view(
    opened: Page, view: str, width: int, scheme: str
) -> None:
    opened.click(f"button[data-view={view}]")
    opened.click(f"button[data-scheme={scheme}]")
    inner = frame(opened, f"{view}-{scheme}")
    inner.wait_for_selector("h1")
    assert inner.evaluate("window.innerWidth") == width
    assert inner.evaluate("document.documentElement.scrollWidth") <= width
    colour = inner.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor")
    assert colour == ("rgb(27, 31, 36)" if scheme == "dark" else "rgb(255, 255, 255)")


def test_plain_text_and_web_page_are_shown(opened: Page) -> None:
    opened.click("button[data-view=text]")
    expect(opened.frame_locator("#text").locator("body")).to_contain_text("1. Papers")
    opened.click("button[data-view=web]")
    web = opened.frame_locator("#web")
    expect(web.locator("h1")).to_have_text("Week 47, 2026")
    expect(web.locator("body")).to_contain_text("Hello there")


def test_a_save_is_seen_within_a_second_and_errors_come_with_their_line(
    opened: Page, sample: Path
) -> None:
    path = sample / "issues" / "2026-W47.md"
    good = path.read_text(encoding="utf-8")
    path.write_text(good.replace("Layers that learn what to add", "A new headline"), "utf-8")
    begun = time.monotonic()
    expect(opened.frame_locator("#desktop-light").locator("h3").first).to_have_text(
        "A new headline", timeout=PATIENCE
    )
    # A second is the promise; a loaded machine gets five before this calls it broken.
    assert time.monotonic() - begun < 5
    path.write_text(good.replace("status: ready", "status: maybe"), "utf-8")
    expect(opened.locator(".errors")).to_contain_text("line 7", timeout=PATIENCE)
    expect(opened.locator(".errors")).to_contain_text("'maybe' is neither draft nor ready")
    expect(opened.frame_locator("#desktop-light").locator("h1")).to_be_visible()
    path.write_text(good, "utf-8")
    expect(opened.locator(".errors")).to_have_count(0, timeout=PATIENCE)
    (sample / "newsletter.toml").write_text("[newsletter", "utf-8")
    expect(opened.locator(".fault")).to_contain_text("not valid TOML", timeout=PATIENCE)


def test_a_script_in_the_issue_never_runs(opened: Page, sample: Path) -> None:
    path = sample / "issues" / "2026-W47.md"
    text = path.read_text(encoding="utf-8")
    evil = "<script>top.hacked = 1</script><img src=x onerror='top.hacked = 1'>\n\n## Papers"
    path.write_text(text.replace("## Papers", evil), "utf-8")
    expect(opened.locator(".checks")).to_contain_text("removed-html", timeout=PATIENCE)
    expect(opened.frame_locator("#desktop-light").locator("h1")).to_be_visible()
    assert opened.evaluate("window.hacked") is None
