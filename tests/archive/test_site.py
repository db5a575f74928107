from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import lxml.html
import pytest
from PIL import Image as Picture

from newsletter_bot.archive.folder import MANIFEST
from newsletter_bot.archive.site import SiteReport
from newsletter_bot.errors import DataError
from newsletter_bot.issues.model import Issue

HOSTILE = "</script><script>alert(1)</script> ]]> \"double\" 'single' & <b> شبكة 汉字 🙂"
EVERY_KIND = """\
---
issue: 2026-W02
title: "Week 2, 2026"
preheader: "For {{ first_name | you }}, whoever that is"
---
Dear {{ first_name | reader }}, [mine](https://example.com/?who={{ email | a b }}).

## Papers

### [Title for {{ first_name | all }}](https://example.org/{{ plan | any one }})

Text.

::: only plan=supporter
Secret of supporters.
:::

::: only plan!=supporter
Secret of the others, {{ name | nobody }}.
:::

> One line for {{ first_name | everyone }}.
"""


def _texts(site: Path) -> dict[str, str]:
    return {
        str(path.relative_to(site)): path.read_text(encoding="utf-8")
        for path in sorted(site.rglob("*"))
        if path.is_file() and path.suffix not in {".png", ".gif"}
    }


def _picture(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    Picture.new("RGB", (40, 20), "navy").save(path, format="PNG")


def test_a_site_has_a_front_page_issues_feeds_and_what_crawlers_ask_for(
    issue: Callable[..., Issue], build: Callable[..., SiteReport], newsletter: Path
) -> None:
    report = build(issue(), issue(name="2026-W02"))
    assert (report.pages, report.removed) == (2, ())
    assert set(report.written) == {
        "404.html",
        "archive/2026-W01/index.html",
        "archive/2026-W02/index.html",
        "feed.atom",
        "feed.json",
        "feed.rss",
        "index.html",
        "robots.txt",
        "sitemap.xml",
    }
    assert "Sitemap: https://news.example.com/sitemap.xml" in (
        newsletter / "site/robots.txt"
    ).read_text(encoding="utf-8")


def test_the_front_page_lists_all_issues_newest_first(
    issue: Callable[..., Issue], build: Callable[..., SiteReport], newsletter: Path
) -> None:
    build(*(issue(name=f"2026-W{week:02}") for week in range(1, 25)))
    index = lxml.html.parse(newsletter / "site/index.html")
    links = index.xpath("//ol[@class='issues']/li/a/@href")
    assert links[0] == "archive/2026-W24/index.html"
    assert len(links) == 24
    assert index.xpath("//ol/@reversed")
    feed = json.loads((newsletter / "site/feed.json").read_text(encoding="utf-8"))
    assert len(feed["items"]) == 20


def test_an_issue_leads_to_its_neighbours(
    issue: Callable[..., Issue], build: Callable[..., SiteReport], newsletter: Path
) -> None:
    build(*(issue(name=f"2026-W0{week}") for week in (1, 2, 3)))
    page = lxml.html.parse(newsletter / "site/archive/2026-W02/index.html")
    assert page.xpath("//nav/a[@rel='prev']/@href") == ["../2026-W01/index.html"]
    assert page.xpath("//nav/a[@rel='next']/@href") == ["../2026-W03/index.html"]


def test_links_within_the_site_lead_somewhere(
    issue: Callable[..., Issue], build: Callable[..., SiteReport], newsletter: Path
) -> None:
    build(issue(), issue(name="2026-W02"))
    site = newsletter / "site"
    for page in site.rglob("*.html"):
        document = lxml.html.parse(page)
        for address in document.xpath("//a/@href"):
            if address.startswith("#"):
                assert document.xpath("//*[@id=$id]", id=address[1:]), (page, address)
            elif not address.startswith("https://"):
                assert (page.parent / address).is_file(), (page, address)


def test_building_again_changes_nothing_and_elsewhere_gives_the_same_bytes(
    issue: Callable[..., Issue], build: Callable[..., SiteReport], newsletter: Path, tmp_path: Path
) -> None:
    issues = [issue(), issue(EVERY_KIND, "2026-W02")]
    build(*issues)
    again = build(*issues)
    assert (again.written, again.removed) == ((), ())
    build(*issues, out=tmp_path / "other")
    assert _texts(newsletter / "site") == _texts(tmp_path / "other")


def test_an_issue_that_is_withdrawn_leaves_no_trace(
    issue: Callable[..., Issue], build: Callable[..., SiteReport], newsletter: Path
) -> None:
    build(issue(), issue(name="2026-W02"))
    report = build(issue())
    assert report.removed == ("archive/2026-W02/index.html",)
    assert not any("2026-W02" in text for text in _texts(newsletter / "site").values())


def test_nothing_personal_and_no_marker_is_in_any_file(
    issue: Callable[..., Issue], build: Callable[..., SiteReport], newsletter: Path
) -> None:
    found = issue(EVERY_KIND, "2026-W02")
    markers = [slot.marker for slot in found.slots]
    markers += [marker for block in found.only_blocks for marker in (block.begin, block.end)]
    assert len(markers) == 7 + 4
    build(found)
    texts = _texts(newsletter / "site")
    for name, text in texts.items():
        assert not any(marker in text for marker in markers), name
        assert not re.search(r"zq9|9qz|\{\{|Secret|first_name", text), name
    page = texts["archive/2026-W02/index.html"]
    assert "Dear reader" in page
    assert "For you, whoever that is" in page
    assert "Title for all" in page
    assert "One line for everyone." in page
    assert 'href="https://example.org/any%20one"' in page
    assert 'href="https://example.com/?who=a%20b"' in page


def test_a_hostile_title_is_text_wherever_it_comes_out(
    issue: Callable[..., Issue], build: Callable[..., SiteReport], newsletter: Path
) -> None:
    found = issue()
    build(replace(found, title=HOSTILE, preheader=HOSTILE), issue(name="2026-W02"))
    site = newsletter / "site"
    for name in ("index.html", "archive/2026-W01/index.html", "archive/2026-W02/index.html"):
        page = lxml.html.parse(site / name)
        assert page.xpath("//script") == []
        assert page.xpath("//b") == []
        assert any(HOSTILE in element.text_content() for element in page.iter("h1", "a")), name
    page = lxml.html.parse(site / "archive/2026-W01/index.html")
    assert page.xpath("//meta[@property='og:title']/@content") == [HOSTILE]
    assert page.xpath("//meta[@name='description']/@content") == [HOSTILE]


def test_pictures_are_copied_beside_the_page_that_shows_them(
    issue: Callable[..., Issue], build: Callable[..., SiteReport], newsletter: Path
) -> None:
    _picture(newsletter / "issues/img/shown.png")
    _picture(newsletter / "issues/img/in-text.png")
    _picture(newsletter / "issues/img/secret.png")
    _picture(newsletter / "issues/img/unused.png")
    found = issue(
        "## Papers\n\n### [One](https://example.org/)\n\n![A](img/shown.png)\n\n"
        "Text ![B](img/in-text.png)\n\n"
        "::: only plan=supporter\n![C](img/secret.png)\n:::\n"
    )
    build(found)
    folder = newsletter / "site/archive/2026-W01"
    assert {path.name for path in (folder / "img").iterdir()} == {"shown.png", "in-text.png"}
    page = lxml.html.parse(folder / "index.html")
    assert page.xpath("//img/@src") == ["img/shown.png", "img/in-text.png"]
    assert set(page.xpath("//img/@width")) == {"40"}
    feed = json.loads((newsletter / "site/feed.json").read_text(encoding="utf-8"))
    assert feed["items"][0]["image"].endswith("/archive/2026-W01/img/shown.png")


@pytest.mark.parametrize("name", ["index.html", "x.svg", ".hidden.png"])
def test_only_pictures_that_no_browser_runs_are_published(
    issue: Callable[..., Issue], build: Callable[..., SiteReport], newsletter: Path, name: str
) -> None:
    _picture(newsletter / "issues" / name)
    build(issue(f"## S\n\n### [One](https://example.org/)\n\n![Label]({name})\n"))
    folder = newsletter / "site/archive/2026-W01"
    page = lxml.html.parse(folder / "index.html")
    assert [path.name for path in folder.iterdir()] == ["index.html"]
    assert page.xpath("string(//*[@class='missing'])") == "Picture missing: Label"


@pytest.mark.parametrize("identity", ["../up", "a/b", "", ".", "..", ".git", "a\nb", "a" * 65])
def test_an_identity_that_could_leave_the_folder_is_refused(
    issue: Callable[..., Issue], build: Callable[..., SiteReport], newsletter: Path, identity: str
) -> None:
    with pytest.raises(DataError, match="cannot be a page's address"):
        build(replace(issue(), identity=identity))
    assert not (newsletter / "site").exists()


def test_two_files_with_one_identity_are_refused(
    issue: Callable[..., Issue], build: Callable[..., SiteReport]
) -> None:
    twin = replace(issue(name="twin"), identity="2026-w01")
    with pytest.raises(DataError, match="are both issue"):
        build(issue(), twin)


def test_an_empty_site_says_so(build: Callable[..., SiteReport], newsletter: Path) -> None:
    assert build().pages == 0
    index = (newsletter / "site/index.html").read_text(encoding="utf-8")
    assert "No issue has been published yet." in index


def test_a_newsletters_own_templates_win(
    issue: Callable[..., Issue], build: Callable[..., SiteReport], newsletter: Path
) -> None:
    own = newsletter / "templates/web"
    own.mkdir(parents=True)
    (own / "404.html.j2").write_text("Gone fishing, {{ newsletter.name }}")
    (own / "style.css").write_text("body { color: teal }")
    build(issue())
    texts = _texts(newsletter / "site")
    assert texts["404.html"] == "Gone fishing, Weekly ML News"
    assert "<style>body { color: teal }</style>" in texts["index.html"]


def test_the_list_of_files_names_what_was_written(
    issue: Callable[..., Issue], build: Callable[..., SiteReport], newsletter: Path
) -> None:
    report = build(issue())
    listed = json.loads((newsletter / "site" / MANIFEST).read_text(encoding="utf-8"))
    assert listed == {"files": sorted(report.written)}
