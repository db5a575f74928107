from __future__ import annotations

import re
import socket
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import html as lxml_html
from PIL import Image as Picture

from newsletter_bot.bot import Bot
from newsletter_bot.issues.model import Caption, Image, Issue, Item, Prose, Section, Status
from newsletter_bot.rendering import inline
from newsletter_bot.rendering.model import Escape, Hole, Only, Rendering, escaped, filled
from newsletter_bot.rendering.render import render

Write = Callable[..., Path]


@pytest.fixture
def bot(newsletter: Path) -> Bot:
    return Bot.open(newsletter)


def html_of(rendering: Rendering, **values: str) -> str:
    return filled(rendering.html, {"unsubscribe_url": "https://news.example.com/u/x", **values})


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_more: object) -> None:
        raise AssertionError("rendering opened a socket")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


def test_an_issue_becomes_a_mail_with_everything_in_it(
    bot: Bot, write_issue: Write, no_network: None
) -> None:
    rendering = bot.render(bot.read(write_issue()))
    html = html_of(rendering, first_name="Ada", email="ada@example.com")
    assert html.startswith("<!DOCTYPE html>\n<html")
    for text in (
        "Hello Ada, two things",
        "Very deep networks can be trained",
        "arXiv:1512.03385",
        "Deep Residual Learning for Image Recognition",
        "Identity shortcuts let 152 layers train.",
        "1-2-3 Example, Tokyo",
        'href="https://news.example.com/u/x"',
        'href="https://news.example.com/archive/2026-W01/"',
        "ada@example.com",
    ):
        assert text in html
    assert "Thank you for paying" not in html
    assert "Thank you for paying" in html_of(rendering, plan="supporter")
    assert "zq9" not in html


def test_the_same_issue_gives_the_same_rendering(bot: Bot, write_issue: Write) -> None:
    path = write_issue()
    first, second = bot.render(bot.read(path)), bot.render(bot.read(path))
    assert first.hash == second.hash
    assert Rendering.from_json(first.to_json()) == first


def test_visible_styles_are_inlined_and_media_queries_kept(bot: Bot, write_issue: Write) -> None:
    html = html_of(bot.render(bot.read(write_issue())))
    assert re.search(r'<h1 class="title" style=[^>]*font-size:31px', html)
    assert "@media (prefers-color-scheme: dark)" in html
    assert "@media (max-width: 520px)" in html
    assert "!important" in html
    assert "data-premailer" not in html


def test_the_sample_stays_below_gmails_limit(newsletter: Path) -> None:
    from newsletter_bot.cli.newsletter import scaffold

    scaffold(newsletter, sample=True)
    bot = Bot.open(newsletter)
    issue = bot.read(bot.find("2026-W47"))
    assert len(issue.items) == 14
    assert len(html_of(bot.render(issue)).encode()) < 102_400
    assert bot.check(issue) == ()


def test_no_style_sheet_is_ever_fetched(no_network: None) -> None:
    css = "@import url(http://127.0.0.1:9/x.css); p { color: #123456 }"
    page = f"<html><head><style>{css}</style></head><body><p>x</p></body></html>"
    assert "color:#123456" in inline.inlined(page, css)
    link = '<link rel="stylesheet" href="http://127.0.0.1:9/y.css">'
    assert "<p" in inline.inlined(f"<html><head>{link}</head><body><p>x</p></body></html>", "")


_NASTY = "ab \n\t\\\"'<>&{}%$#\u00a0\u3000\u200d\ufe0f\u0301\u094d\ue000é漢❤👩ק"
nasty = st.text(st.sampled_from(_NASTY), max_size=12)


def _issue(title: str, alt: str, caption: str, url: str) -> Issue:
    image = Image("https://example.com/i.png", alt, 1)
    item = Item(
        title=title,
        line=1,
        anchor="a",
        title_html=escaped(title, Escape.HTML),
        url=url,
        image=image,
        caption=Caption("1.1", caption, 1),
        body=(Prose("<p>text</p>", 1),),
    )
    return Issue(
        identity="x",
        path=Path("x.md"),
        title=title,
        subjects=(title,),
        preheader=caption,
        lists=("weekly",),
        status=Status.READY,
        language="en",
        source="x",
        sections=(Section(title, 1, "s", escaped(title, Escape.HTML), (), (item,)),),
        images=(image,),
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(title=nasty, alt=nasty, caption=nasty)
def test_no_text_is_changed_on_its_way_through_mjml_and_premailer(
    bot: Bot, title: str, alt: str, caption: str
) -> None:
    text = html_of(render(_issue(title, alt, caption, "https://example.com/"), bot.settings))
    page = lxml_html.document_fromstring(text)
    (image,) = page.cssselect("img.picture")
    blanks = str.maketrans("\n\t", "  ")  # white space that HTML folds anyway
    assert image.get("alt") == alt.translate(blanks)
    (headline,) = page.cssselect("h3.headline")
    assert "".join(map(str, headline.itertext())).split() == escaped_once(title).split()
    assert r"\u{" not in text.replace(title, "").replace(alt, "").replace(caption, "")


def escaped_once(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in text)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/?a=1&b=2#c",
        "https://example.com/%E6%BC%A2?q=%22x%22",
        "mailto:a@b.example",
    ],
)
def test_a_link_comes_out_as_it_went_in(bot: Bot, url: str) -> None:
    text = html_of(render(_issue("t", "a", "c", url), bot.settings))
    page = lxml_html.document_fromstring(text)
    assert [one.get("href") for one in page.cssselect("a.headline-link")] == [url]


def test_utm_parameters_are_added_to_other_sites_and_never_doubled(newsletter: Path) -> None:
    toml = newsletter / "newsletter.toml"
    toml.write_text(toml.read_text() + '\n[tracking]\nutm = { source = "nl", medium = "email" }\n')
    bot = Bot.open(newsletter)
    for url, expected in (
        ("https://e.com/?a=1", "https://e.com/?a=1&utm_campaign=x&utm_source=nl&utm_medium=email"),
        (
            "https://e.com/?utm_source=me",
            "https://e.com/?utm_source=me&utm_campaign=x&utm_medium=email",
        ),
        ("https://news.example.com/about", "https://news.example.com/about"),
        ("mailto:a@b.example", "mailto:a@b.example"),
    ):
        page = lxml_html.document_fromstring(
            html_of(render(_issue("t", "", "", url), bot.settings))
        )
        assert [one.get("href") for one in page.cssselect("a.headline-link")] == [expected]


def test_where_a_slot_stands_decides_how_its_value_is_escaped(bot: Bot, write_issue: Write) -> None:
    text = (
        "---\nissue: x\n---\n## S\n\n### [I](https://e.com)\n\nHi {{ name }},"
        " [a](https://e.com/?n={{ name }}), [b]({{ unsubscribe_url }})\n"
    )
    rendering = bot.render(bot.read(write_issue(text, "x")))
    html = html_of(rendering, name='<b>"x" & y\r\nz')
    assert "Hi &lt;b&gt;&quot;x&quot; &amp; y  z," in html
    assert "?n=%3Cb%3E%22x%22%20%26%20y%20%20z" in html
    holes = {one.escape for one in rendering.html if isinstance(one, Hole)}
    assert holes == {Escape.HTML, Escape.URL, Escape.LINK}


def test_a_value_that_is_a_whole_link_leads_to_the_web_or_nowhere() -> None:
    assert escaped("javascript:alert(1)", Escape.LINK) == "#"
    assert escaped("https://e.com/?a=1&b='", Escape.LINK).startswith("https://e.com/?a=1&amp;b=")


def test_template_syntax_in_an_issue_is_never_evaluated(bot: Bot, write_issue: Write) -> None:
    front = "---\nissue: x\ntitle: '{{ 7*7 }}'\n---\n"
    text = f"{front}## S\n\n### [{{% x %}}](https://e.com)\n\n{{{{ 7*7 }}}}\n"
    rendering = bot.render(bot.read(write_issue(text, "x")))
    html = html_of(rendering)
    assert "{{ 7*7 }}" in html
    assert "{% x %}" in html
    assert "49" not in re.sub(r"<[^>]*>|<style.*?</style>", "", html)


def test_the_plain_text_is_written_from_the_issue(bot: Bot, write_issue: Write) -> None:
    rendering = bot.render(bot.read(write_issue()))
    text = filled(rendering.text, {"first_name": "Ada", "unsubscribe_url": "https://u"})
    assert text.startswith("Weekly ML News: Week 1, 2026\n=====")
    assert "★ Very deep networks can be trained\nhttps://arxiv.org/abs/1512.03385\n" in text
    assert "arXiv:1512.03385: Deep Residual Learning" in text
    assert "> Identity shortcuts" in text
    assert "Unsubscribe: https://u" in text
    assert "\n\n\n\n" not in text


def test_prose_is_readable_as_text(bot: Bot, write_issue: Write) -> None:
    body = (
        "One [link](https://e.com/a) and **bold**.\n\n- a\n- b\n  - c\n\n1. x\n2. y\n\n> quote\n>\n"
        "> more\n\n```\ncode  here\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nEnd[^1]\n\n"
        "[^1]: Note.\n"
    )
    text = f"---\nissue: x\n---\n## S\n\n### [I](https://e.com)\n\n{body}"
    plain = filled(bot.render(bot.read(write_issue(text, "x"))).text, {})
    for piece in (
        "One link <https://e.com/a> and bold.",
        "- a\n- b\n  - c",
        "1. x\n2. y",
        "> quote\n>\n> more".replace(">\n", "> \n"),
        "    code  here",
        "a | b\n1 | 2",
        "End[1]",
        "1. Note.",
    ):
        assert piece.replace("> \n", ">\n") in plain.replace("> \n", ">\n")


def test_a_missing_picture_has_a_labelled_place(bot: Bot, write_issue: Write) -> None:
    text = "---\nissue: x\n---\n## [I](https://e.com)\n\n![alt](img/none.png)\n\nA ![b](no.png) c\n"
    html = html_of(bot.render(bot.read(write_issue(text, "x"))))
    assert html.count('<span class="missing"') == 2
    assert "Picture missing: img/none.png" in html
    assert "<img" not in html


@pytest.mark.parametrize(("language", "way"), [("ar", "rtl"), ("he-IL", "rtl"), ("ja", "ltr")])
def test_a_language_decides_direction_and_fonts(
    bot: Bot, write_issue: Write, language: str, way: str
) -> None:
    text = f"---\nissue: x\nlanguage: {language}\n---\n## [I](https://e.com)\n\nx\n"
    html = html_of(bot.render(bot.read(write_issue(text, "x"))))
    assert f'<div dir="{way}"' in html
    assert f'lang="{language}"' in html
    assert ("Hiragino Sans" in html) == (language == "ja")


def test_only_blocks_are_cut_out_whole(bot: Bot, write_issue: Write) -> None:
    rendering = bot.render(bot.read(write_issue()))
    (block,) = [one for one in rendering.html if isinstance(one, Only)]
    assert filled(block.pieces, {}).strip().startswith("<p")
    assert filled(block.pieces, {}).strip().endswith("</p>")


class _Balance(HTMLParser):
    VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_mail_is_well_formed(bot: Bot, write_issue: Write) -> None:
    checker = _Balance()
    checker.feed(html_of(bot.render(bot.read(write_issue()))))
    assert checker.open == []


def test_a_list_may_start_anywhere_and_a_wrong_start_is_one(bot: Bot, write_issue: Write) -> None:
    body = '3. x\n4. y\n\nand\n\n<ol start="-x"><li>z</li></ol>\n'
    text = f"---\nissue: x\n---\n## S\n\n### [I](https://e.com)\n\n{body}"
    plain = filled(bot.render(bot.read(write_issue(text, "x"))).text, {})
    assert "3. x\n4. y" in plain
    assert "1. z" in plain


def test_a_small_picture_is_not_blown_up(bot: Bot, newsletter: Path, write_issue: Write) -> None:
    picture = newsletter / "issues" / "small.png"
    Picture.new("RGB", (120, 80)).save(picture)
    text = "---\nissue: x\n---\n## [I](https://e.com)\n\n![alt](small.png)\n\nx\n"
    html = html_of(bot.render(bot.read(write_issue(text, "x"))))
    (image,) = lxml_html.document_fromstring(html).cssselect("img.picture")
    assert image.get("width") == "120"
    assert not re.search(r"(?<!max-)width:100%", str(image.get("style")))
