"""The page of a report: safe to share, valid, as wide as the screen, and the same to all eyes."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

import lxml.html
import pytest
from playwright.sync_api import Browser, sync_playwright
from sqlalchemy import Engine, select

from newsletter_bot.reports.desk import Reports
from newsletter_bot.reports.page import Page
from newsletter_bot.storage import tables
from newsletter_bot.storage.engine import open_engine
from tests.reports.ledger import BEGUN, DAY, Ledger, rich

HOSTILE = "</title><script>alert(1)</script>\"'&<img src=x onerror=y>\x1b[31m\u202e\x00 {{ 7 * 7 }}"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Pages of a rich newsletter, of an issue that nobody has got yet, and of a hostile one."""
    folder = tmp_path_factory.mktemp("reports")
    page = Page("Weekly & <News>", folder)

    def opened(name: str) -> tuple[Ledger, Reports]:
        engine = open_engine(f"sqlite:///{name}.db", folder)
        return Ledger(engine), Reports(engine, UTC, lambda: float(BEGUN + 80 * DAY))

    ledger, reports = opened("rich")
    rich(ledger, 400)
    found = {
        "rich": page.report(reports.report("2026-W49")),
        "rich-compared": page.comparison(reports.compare()),
    }
    ledger, reports = opened("empty")
    found["nothing-compared"] = page.comparison(reports.compare())
    issue = ledger.issue("2026-W01", state="sending")
    ledger.deliver(issue, ledger.people(["a@x.example"]), state="planned", reason="")
    ledger.issue("2026-W02", state="paused", reason="550 <a@x.example> spam")
    found["empty"] = page.report(reports.report("2026-W01"))
    found["paused"] = page.report(reports.report("2026-W02"))
    found["empty-compared"] = page.comparison(reports.compare())
    ledger, reports = opened("hostile")
    hostile(ledger)
    found["hostile"] = page.report(reports.report("2026-W01"))
    found["hostile-compared"] = page.comparison(reports.compare())
    return found


def hostile(ledger: Ledger) -> int:
    """Write an issue of which every text that others may write is an attack."""
    people = ledger.people(
        [f"jane.doe{one}@{'<b>' if one < 6 else 'x'}.example" for one in range(60)]
    )
    test = {
        "subjects": [HOSTILE, "b"],
        "decided_at": 1,
        "wait_until": 1,
        "winner": 0,
        "why": HOSTILE,
    }
    issue = ledger.issue("2026-W01", title=HOSTILE, subject_test=test)
    got = ledger.deliver(issue, people[:40], variant=0)
    ledger.deliver(issue, people[40:], state="refused", reason=f"550 5.1.1 {HOSTILE}")
    ledger.events("bounced", issue, got[:9], reason=HOSTILE, **{"class": "<b>"})
    row = {"issue_id": issue, "number": 1, "url": f"javascript:{HOSTILE}", "item": HOSTILE}
    ledger.row(tables.links, **row, title=HOSTILE)
    ledger.events("clicked", issue, got[:9], link=1, actor="human", agent=HOSTILE)
    ledger.changes(people[:2], "unsubscribed", "<i>", BEGUN + DAY)
    return issue


def test_no_form_of_a_report_tells_of_a_person(engine: Engine, tmp_path: Path) -> None:
    ledger = Ledger(engine)
    names = ["Zoltan", "Xanthippe", "Quirin", "Wilhelmina"]
    people = ledger.people(
        [f"{one}.secret{place}@gmail.com" for place in range(6) for one in names], "Zoltan"
    )
    people += ledger.people(["x@zoltan-family.example"])
    issue = ledger.issue("2026-W01", state="paused", reason="the last with: 550 <zoltan@x.example>")
    token = "4e7f00aa11.22cc"
    for place, one in enumerate(people[:12]):
        reason = f"550 5.1.1 <{names[place % 4]}@gmail.com> user {names[place % 4]} unknown {token}"
        ledger.deliver(issue, [one], state="refused", reason=reason)
    ledger.deliver(
        issue, people[12:13], state="skipped", reason="suppressed: Quirin asked by phone"
    )
    got = ledger.deliver(issue, people[13:], reason="250 Ok Xanthippe")
    ledger.events("bounced", issue, got[:3], reason=f"mailbox of Wilhelmina full {token}")
    ledger.events("clicked", issue, got, actor="human", prefix="203.0.113.0/24", agent="Zoltan/1.0")
    reports = Reports(engine, UTC)
    report, comparison = reports.report("2026-W01"), reports.compare()
    page = Page("News", tmp_path)
    written = [json.dumps(report.to_json()), json.dumps(comparison.to_json())]
    written += [page.report(report), page.comparison(comparison)]
    private = [*names, "secret", token, "zoltan-family", "phone", "203.0.113", "x.example"]
    for text in written:
        assert [one for one in private if one.lower() in text.lower()] == []
        assert not re.search(r"[\w.]@[\w.]", text)
    with engine.connect() as connection:
        assert len(connection.execute(select(tables.subscribers.c.address)).all()) == 25


@pytest.mark.parametrize("name", ["hostile", "hostile-compared", "rich"])
def test_what_others_wrote_is_text_and_nothing_else(pages: Mapping[str, str], name: str) -> None:
    text = pages[name]
    assert "<script" not in text
    assert "<img" not in text
    assert "<b>." not in text
    assert "<i>" not in text
    assert not set(text) & {"\x00", "\x1b", "\u202e"}
    if name == "hostile":
        assert "{{ 7 * 7 }}" in text
        assert "&lt;script&gt;" in text


def test_a_page_loads_nothing_and_says_so(pages: Mapping[str, str]) -> None:
    for text in pages.values():
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
        assert policy
        assert policy[1].startswith("default-src &#39;none&#39;;")
        style = text.partition("<style>")[2].partition("</style>")[0]
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert digest.replace("+", "&#43;") in policy[1].replace("+", "&#43;")
        names = {name for one in lxml.html.document_fromstring(text).iter() for name in one.attrib}
        assert [one for one in names if re.match("src|href|style|on|action", str(one))] == []
        assert not re.search(r"url\(|@import", style)
        for drawing in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
            assert re.search(r"<title id=.+?</title><desc id=.+?</desc>", drawing, re.DOTALL)


def test_pages_are_valid_html(
    pages: Mapping[str, str], tmp_path: Path, complaints: Callable[[Path], Sequence[str]]
) -> None:
    for name, text in pages.items():
        (tmp_path / f"{name}.html").write_text(text, encoding="utf-8")
    assert complaints(tmp_path) == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path is not None, "Chromium is missing: run `make tools`"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.browser
@pytest.mark.parametrize("width", [600, 375, 320])
def test_no_page_is_wider_than_the_screen_and_no_words_lie_on_others(
    pages: Mapping[str, str], tmp_path: Path, browser: Browser, width: int
) -> None:
    said: list[str] = []
    for name, text in pages.items():
        (tmp_path / f"{name}.html").write_text(text, encoding="utf-8")
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.on("console", lambda message: said.append(message.text))
        page.goto((tmp_path / f"{name}.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == width, name
        assert page.evaluate(_OVERLAPPING) == [], name
        page.close()
    assert said == []  # nothing was blocked by the page's own policy


_OVERLAPPING = """() => {
  const found = [];
  for (const drawing of document.querySelectorAll("svg")) {
    const room = drawing.getBoundingClientRect();
    const boxes = [...drawing.querySelectorAll("text")]
      .filter((one) => getComputedStyle(one).display !== "none")
      .map((one) => [one.textContent, one.getBoundingClientRect()]);
    for (const [index, [words, box]] of boxes.entries()) {
      if (box.left < room.left - 1 || box.right > room.right + 1) found.push("outside: " + words);
      for (const [other, next] of boxes.slice(index + 1))
        if (box.left < next.right && next.left < box.right && box.top + 3 < next.bottom - 3
            && next.top + 3 < box.bottom - 3) found.push(words + " / " + other);
    }
  }
  return found;
}"""


def test_colours_stand_out_from_the_paper_and_for_those_who_see_few(page_colours: Any) -> None:
    for paper, colours in page_colours:
        for name, colour in colours.items():
            assert _contrast(paper, colour) >= 3, name  # WCAG 2.2, 1.4.11


@pytest.fixture
def page_colours() -> list[tuple[str, dict[str, str]]]:
    """The paper and the colours of plots, light and dark."""
    sheet = (Path(__file__).parents[2] / "templates/reports/report.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", sheet, re.DOTALL)
    found = [dict(re.findall(r"--(\w+): (#\w+)", one)) for one in blocks]
    assert len(found) == 2
    return [
        (one.pop("paper"), {k: v for k, v in one.items() if re.match(r"c\d|limit", k)})
        for one in found
    ]


def _contrast(one: str, other: str) -> float:
    lights = sorted((_light(one), _light(other)))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def _light(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
