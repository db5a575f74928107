from __future__ import annotations

import base64
import hashlib
import re
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import lxml.html
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from PIL import Image as Picture

from newsletter_bot.bot import Bot
from newsletter_bot.errors import ConfigurationError
from newsletter_bot.issues.model import Card, Issue, Item, Section, Status
from newsletter_bot.rendering.public import legible, public
from newsletter_bot.rendering.web_page import Neighbour, Pages, render_web, web_article
from newsletter_bot.settings import Settings, load

Read = Callable[[str], Issue]
HEAD = "## Papers\n\n### [One](https://example.org/)\n\n"


@pytest.fixture
def settings(newsletter: Path) -> Settings:
    """The configuration of the newsletter's folder."""
    return load(newsletter)


@pytest.fixture
def read(newsletter: Path, write_issue: Callable[..., Path]) -> Read:
    """Write an issue file and read it."""
    return lambda text: Bot.open(newsletter).read(write_issue(text))


def _page(html: str) -> lxml.html.HtmlElement:
    return lxml.html.document_fromstring(html)


def test_a_page_says_what_and_where_it_is(read: Read, settings: Settings) -> None:
    page = _page(render_web(read(""), settings, published=date(2026, 1, 4)))
    url = "https://news.example.com/archive/2026-W01/"
    assert page.xpath("//link[@rel='canonical']/@href") == [url]
    meta = {one.get("property") or one.get("name"): one.get("content") for one in page.iter("meta")}
    preheader = "Why very deep networks can be trained after all, and what came of it"
    assert meta["description"] == meta["og:description"] == preheader
    assert (meta["og:title"], meta["og:url"]) == ("Week 1, 2026", url)
    assert meta["twitter:card"] == "summary"
    assert meta["article:published_time"] == "2026-01-04"
    assert page.xpath("//time/@datetime") == ["2026-01-04"]
    assert page.xpath("string(//time)") == "4 January 2026"
    feeds = page.xpath("//link[@rel='alternate']/@href")
    assert feeds == [f"https://news.example.com/feed.{kind}" for kind in ("atom", "rss", "json")]


def test_a_page_is_one_article_under_one_headline(read: Read, settings: Settings) -> None:
    page = _page(render_web(read(HEAD + "<h1>Loud</h1>"), settings, published=None))
    assert [one.text_content() for one in page.iter("h1")] == ["2026-W01"]
    assert len(list(page.iter("article"))) == 1
    assert page.xpath("//article//h2[.='Loud']")
    assert page.xpath("//time") == []


def test_items_can_be_linked_to_and_picks_lead_to_them(read: Read, settings: Settings) -> None:
    page = _page(render_web(read(""), settings, published=None))
    (pick,) = page.xpath("//nav[@class='picks']//a/@href")
    (item,) = page.xpath("//section[@id=$id]", id=pick.removeprefix("#"))
    assert item.findtext("h3/a") == "Very deep networks can be trained"
    assert item.xpath("string(.//*[@class='caption'])").split() == (
        "1512.03385 Deep Residual Learning for Image Recognition".split()
    )
    assert item.xpath("string(p[@class='one-liner'])") == "Identity shortcuts let 152 layers train."


def test_links_open_without_a_way_back_and_count_nobody(read: Read, settings: Settings) -> None:
    tracking = settings.tracking.model_copy(update={"utm": {"source": "newsletter"}})
    html = render_web(
        read(HEAD + "[more](https://example.org/more)\n\n[card](https://example.org/card)"),
        settings.model_copy(update={"tracking": tracking}),
        published=None,
    )
    links = _page(html).xpath("//article//a[starts-with(@href, 'https:')]")
    assert [link.get("rel") for link in links] == ["noopener"] * 3
    assert "utm_" not in html


def test_a_picture_has_its_size_and_loads_late(
    read: Read, settings: Settings, newsletter: Path
) -> None:
    Picture.new("RGB", (40, 20)).save(newsletter / "issues/a b.png")
    issue = read(HEAD + '![An "alt"](<a b.png>)\n\n*[2102.06171] Caption*\n')
    # The parser writes the blank as %20; a file of that name is what is looked for.
    image = issue.images[0]
    seen = replace(image, path=newsletter / "issues/a b.png", width=40, height=20)
    item = replace(issue.items[0], image=seen)
    section = replace(issue.sections[0], items=(item,))
    html = render_web(replace(issue, sections=(section,)), settings, published=None)
    (img,) = _page(html).xpath("//figure/img")
    assert dict(img.attrib) == {
        "src": "a%20b.png",
        "alt": 'An "alt"',
        "width": "40",
        "height": "20",
        "loading": "lazy",
    }
    assert "<figcaption>" in html
    assert 'content="https://news.example.com/archive/2026-W01/a%20b.png"' in html


def test_a_picture_that_is_missing_is_a_labelled_place(read: Read, settings: Settings) -> None:
    issue = read(HEAD + "![Curves & \\<dots>](img/no.png)\n\nText ![](img/not.png)\n")
    page = _page(render_web(issue, settings, published=None))
    assert [one.text_content() for one in page.xpath("//*[@class='missing']")] == [
        "Picture missing: Curves & <dots>",
        "Picture missing: img/not.png",
    ]
    assert page.xpath("//img") == []


def test_a_picture_that_somebody_else_hosts_keeps_its_address(
    read: Read, settings: Settings
) -> None:
    page = _page(
        render_web(read(HEAD + "![A](https://example.org/a.png)"), settings, published=None)
    )
    assert page.xpath("//img/@src") == ["https://example.org/a.png"]


def test_a_page_allows_no_script_and_no_style_but_its_own(read: Read, settings: Settings) -> None:
    html = render_web(read(HEAD + "<script>alert(1)</script> text"), settings, published=None)
    page = _page(html)
    (policy,) = page.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert page.xpath("//script | //@style | //@onclick | //@onerror") == []


@pytest.mark.parametrize(
    ("language", "direction", "word"),
    [("ar", "rtl", "Editor’s picks"), ("zh-Hans", "ltr", "编辑精选"), ("de", "ltr", "Redaktion")],
)
def test_a_page_is_in_the_issues_language(
    read: Read, settings: Settings, language: str, direction: str, word: str
) -> None:
    html = render_web(replace(read(""), language=language), settings, published=date(2026, 3, 1))
    root = _page(html)
    assert (root.get("lang"), root.get("dir")) == (language, direction)
    assert word in html


def test_a_page_leads_to_the_issues_before_and_after(read: Read, settings: Settings) -> None:
    newer = Neighbour("2026-W02", "<b>Next</b>")
    page = _page(render_web(read(""), settings, published=None, newer=newer))
    (link,) = page.xpath("//nav[@class='neighbours']/a")
    assert link.get("href") == "../2026-W02/index.html"
    assert link.findtext("bdi") == "<b>Next</b>"


def test_a_stranger_sees_fallbacks_and_no_only_block(read: Read) -> None:
    found = public(
        read(
            HEAD + "Hello {{ first_name | you }}{{ name }}, <em>{{ plan | a <b> & c }}</em>.\n\n"
            "::: only plan!=supporter\nhidden\n:::\n\nAfter.\n"
        )
    )
    (prose,) = found.items[0].body
    assert not isinstance(prose, Card)
    assert "Hello you, <em>a &lt;b&gt; &amp; c</em>." in prose.html
    assert "After." in prose.html
    assert "hidden" not in repr(found)
    assert not re.search("zq9|9qz", repr(found))


def test_a_fallback_cannot_become_a_script(read: Read, settings: Settings) -> None:
    html = render_web(
        read(
            "## Papers\n\n### [One]({{ plan | javascript:alert(1) }})\n\n"
            "[Two]({{ plan | javascript:alert(2) }}) {{ name | <script>alert(3)</script> }}\n"
        ),
        settings,
        published=None,
    )
    page = _page(html)
    assert not any("script" in str(address) for address in page.xpath("//@href"))
    assert page.xpath("//script") == []
    assert "&lt;script&gt;alert(3)" in html


def test_the_page_is_made_without_a_network(
    read: Read, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> None:
        raise AssertionError("the page asked for the network")

    issue = read(HEAD + "![A](https://example.org/a.png)\n\n[card](https://example.org/)\n")
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert "https://example.org/a.png" in render_web(issue, settings, published=None)


def test_a_template_with_a_mistake_is_named_with_its_line(
    read: Read, settings: Settings, newsletter: Path
) -> None:
    own = newsletter / "templates/web"
    own.mkdir(parents=True)
    (own / "article.html.j2").write_text("fine\n{% if %}")
    with pytest.raises(ConfigurationError, match=r"article\.html\.j2:2"):
        web_article(Pages(settings), read(""))


def _hostile(text: str) -> Issue:
    card = Card("https://example.org/", 1, title=text, description=text)
    item = Item(text, 1, "item-1", url="https://example.org/", body=(card,), one_liner=text)
    section = Section(text, 1, "section-1", items=(item,))
    return Issue(
        identity="2026-W01",
        path=Path("issues/2026-W01.md"),
        title=text,
        subjects=(text,),
        preheader=text,
        lists=("weekly",),
        status=Status.READY,
        language="en",
        source="",
        sections=(section,),
    )


@given(st.text(st.characters(exclude_categories=()), min_size=1, max_size=60))
@examples(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_text_comes_out_as_text(settings: Settings, text: str) -> None:
    html = render_web(_hostile(text), settings, published=None)
    html.encode()
    page = _page(html)
    shown = "".join(legible(text).split())
    for place in ("//h1", "//h2", "//h3/a", "//*[@class='one-liner']", "//*[@class='card-title']"):
        (element,) = page.xpath(f"//article{place}") if shown else (None,)
        assert element is None or "".join(element.text_content().split()) == shown
    if shown:
        (described,) = page.xpath("//meta[@name='description']/@content")
        assert "".join(described.split()) == shown
