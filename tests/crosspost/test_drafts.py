"""What an issue says in one line, through templates, with the right link at the right price."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from newsletter_bot.crosspost.markdown import markdown_of
from newsletter_bot.crosspost.words import first_sentence
from newsletter_bot.errors import ConfigurationError
from newsletter_bot.storage.engine import open_engine
from tests.crosspost.conftest import ISSUE, PAGE, Newsroom

ITEMS = """\
---
issue: 2026-W01
title: "Week 1 {{ first_name | for you }}"
subject: "Something"
preheader: "What came of it"
tags: [ml]
status: ready
---

## Papers

### Without a link

Only supporters see more, e.g. this. And this is the second sentence.

::: only plan=supporter
A secret for supporters.
:::

### [Nets & “\\<trees>”](https://arxiv.org/abs/1512.03385?x=1)

> 152 layers train with identity shortcuts & nothing else.
"""

SECOND = "What a network sees, drawn in ways that can be combined."
THIRD = "152 layers train with identity shortcuts & nothing else."


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """One kind of database is enough here: the ledger's own tests use both."""
    opened = open_engine("sqlite:///test.db", tmp_path)
    yield opened
    opened.dispose()


def texts(newsroom: Newsroom) -> list[str]:
    return [draft.text for draft in newsroom.drafts()]


def test_the_issue_is_its_title_and_an_item_its_one_liner(newsroom: Newsroom) -> None:
    newsroom.channel("slack")
    assert texts(newsroom) == [f"Week 1, 2026\n{PAGE}"]
    newsroom.channel("slack", posts="items")
    assert texts(newsroom) == [
        "Identity shortcuts let 152 layers train.\nhttps://arxiv.org/abs/1512.03385",
        f"{SECOND}\nhttps://distill.pub/2018/building-blocks/",
    ]


def test_nobodys_fields_and_no_hidden_text_are_posted(
    newsroom: Newsroom, write_issue: Callable[..., Path]
) -> None:
    write_issue(ITEMS)
    newsroom.channel("mastodon", posts="thread", most=500)
    assert texts(newsroom) == [
        f"Week 1 for you\n{PAGE}",
        f"Only supporters see more, e.g. this.\n{PAGE}#without-a-link",
        f"{THIRD}\nhttps://arxiv.org/abs/1512.03385?x=1",
    ]
    newsroom.tables = {"medium": {}}
    assert "secret" not in texts(newsroom)[0]


@pytest.mark.parametrize(
    ("link", "linked"),
    [("none", [False] * 3), ("first", [True, False, False]), ("all", [True] * 3)],
)
def test_links_cost_what_x_asks_for_them(newsroom: Newsroom, link: str, linked: list[bool]) -> None:
    newsroom.channel("x", posts="thread", link=link)
    drafts = newsroom.drafts()
    assert [bool(draft.url) for draft in drafts] == linked
    assert [draft.url in draft.text for draft in drafts] == [True] * 3
    assert [draft.cost_usd for draft in drafts] == [0.2 if one else 0.015 for one in linked]


def test_the_first_of_several_items_carries_the_link(newsroom: Newsroom) -> None:
    newsroom.channel("x", posts="items", link="first")
    assert [bool(draft.url) for draft in newsroom.drafts()] == [True, False]


def test_links_to_other_sites_get_the_channels_own_parameters(newsroom: Newsroom) -> None:
    newsroom.channel("slack", posts="items", utm={"source": "slack"})
    wanted = f"utm_campaign={ISSUE}&utm_source=slack"
    assert newsroom.drafts()[0].url == f"https://arxiv.org/abs/1512.03385?{wanted}"


def test_blueskys_link_is_in_the_card_or_in_the_text(newsroom: Newsroom) -> None:
    newsroom.channel("bluesky")
    [draft] = newsroom.drafts()
    assert (draft.text, draft.url) == ("Week 1, 2026", PAGE)
    newsroom.channel("bluesky", card=False)
    assert texts(newsroom) == [f"Week 1, 2026\n{PAGE}"]


def test_a_dry_run_needs_no_secret_and_asks_nobody_but_mastodon(newsroom: Newsroom) -> None:
    newsroom.tables = {
        "x": {},
        "medium": {},
        "bluesky": {"handle": "a.example"},
        "linkedin": {"author": "urn:li:person:1"},
        "telegram": {"chat": "@news"},
        "discord": {},
        "slack": {},
    }
    assert [draft.channel for draft in newsroom.drafts()] == list(newsroom.tables)
    assert newsroom.server.asked == []
    assert newsroom.rows == []


def test_a_text_that_cannot_be_shortened_fails_with_a_sentence_and_others_go_out(
    newsroom: Newsroom,
) -> None:
    newsroom.channel("slack")
    newsroom.channel("mastodon", most=20)
    assert [bool(draft.problem) for draft in newsroom.drafts()] == [False, True]
    done = newsroom.post()
    assert done.posted == 1
    assert newsroom.rows[1].state == "failed"
    assert "no room is left for it" in newsroom.rows[1].reason
    newsroom.channel("mastodon", most=100)
    newsroom.desk.retry(newsroom.issue, PAGE)
    assert newsroom.desk.post(ISSUE).posted == 1


def test_a_newsletters_own_template_wins(newsroom: Newsroom) -> None:
    template(newsroom, "post", "{{ newsletter }}: {{ summary }} {{ link }}\n\n\n\n#{{ tags|join }}")
    template(newsroom, "slack", "{% if whole %}{{ issue }}: {{ preheader }} {{ page }}{% endif %}")
    newsroom.channel("slack")
    newsroom.channel("telegram")
    assert texts(newsroom) == [
        f"2026-W01: Why very deep networks can be trained after all, and what came of it {PAGE}",
        f"Weekly ML News: Week 1, 2026 {PAGE}\n\n#",
    ]


@pytest.mark.parametrize(
    "mistake",
    ["{{ summary", "{{ nothing }}", "{{ 1 / 0 }}", "{% include '../../secret.key' %}", "{% x %}"],
)
def test_a_faulty_template_is_a_sentence(newsroom: Newsroom, mistake: str) -> None:
    template(newsroom, "post", mistake)
    newsroom.channel("slack")
    with pytest.raises(ConfigurationError) as caught:
        newsroom.drafts()
    assert "templates/social" in caught.value.next_step + caught.value.message


@pytest.mark.parametrize(
    "escape", ["{{ ''.__class__.__mro__ }}", "{{ self._TemplateReference__context }}"]
)
def test_a_template_sees_texts_and_nothing_else(newsroom: Newsroom, escape: str) -> None:
    template(newsroom, "post", escape)
    newsroom.channel("slack")
    try:
        shown = texts(newsroom)[0]
    except ConfigurationError:
        return
    assert "object" not in shown


def template(newsroom: Newsroom, name: str, text: str) -> None:
    folder = newsroom.folder / "templates" / "social"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.txt.j2").write_text(text, encoding="utf-8")


# ── words ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("One. Two.", "One."),
        ("It scored 3.57 % on v1.0 of it. Then more.", "It scored 3.57 % on v1.0 of it."),
        ("By K. He et al. in 2015, e.g. nets. Next.", "By K. He et al. in 2015, e.g. nets."),
        ("“Really?” she asked. Yes.", "“Really?” she asked."),
        ("深い網を訓練する。次の文。", "深い網を訓練する。"),
        ("No end", "No end"),
        ("", ""),
    ],
)
def test_the_first_sentence(text: str, first: str) -> None:
    expected = "“Really?”" if text.startswith("“") else first
    assert first_sentence(text) == expected


# ── the story ────────────────────────────────────────────────────────────────────────────────


def test_a_story_has_one_title_absolute_addresses_and_its_origin(
    newsroom: Newsroom, write_issue: Callable[..., Path]
) -> None:
    picture = newsroom.folder / "issues" / "img"
    picture.mkdir()
    (picture / "a b.png").write_bytes(PNG)
    text = ITEMS.replace("Only supporters", "![A net](img/a%20b.png)\n\nOnly *supporters*[^1]")
    write_issue(text + "\n```\n  keep\n\n\n  this\n```\n\n[^1]: A note.\n")
    newsroom.tables = {"medium": {}}
    [html] = texts(newsroom)
    assert html.count("<h1>") == 1
    assert 'src="https://news.example.com/archive/2026-W01/img/a%20b.png"' in html
    assert 'href="#' not in html
    assert "  keep\n\n\n  this" in html
    assert "Nets &amp; “&lt;trees&gt;”" in html
    assert f'First published in <a href="{PAGE}">Weekly ML News</a>' in html
    for left in ("<nav", "<section", "class=", "loading="):
        assert left not in html


PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        ("<h2>A <em>b</em></h2>", "## A *b*"),
        ('<p>See <a href="https://a.io/x(y)">it</a> * _now_</p>', None),
        ("<ul><li>one</li><li><p>two</p><p>three</p></li></ul>", "- one\n- two\n\n  three"),
        ("<ol><li>one</li><li>two</li></ol>", "1. one\n2. two"),
        ("<blockquote><p>a</p><p>b</p></blockquote>", "> a\n>\n> b"),
        ("<pre><code>a\n\n  b\n</code></pre>", "```\na\n\n  b\n```"),
        ("<p># not a heading</p><p>1. no list</p>", "\\# not a heading\n\n\\1. no list"),
        ('<figure><img src="a.png" alt="A [b]"></figure>', r"![A \[b\]](a.png)"),
        ("<p><code>a`b</code> and <code>c</code></p>", "`` a`b `` and `c`"),
        ("<p>a<br>b</p><hr>", "a\\\nb\n\n---"),
    ],
)
def test_markdown_of_an_article(html: str, markdown: str | None) -> None:
    expected = markdown or r"See [it](<https://a.io/x(y)>) \* \_now\_"
    assert markdown_of(html) == f"{expected}\n"


def test_markdown_reads_back_as_the_same_text(newsroom: Newsroom) -> None:
    from lxml import html as parser
    from markdown_it import MarkdownIt

    newsroom.tables = {"medium": {}}
    [story] = texts(newsroom)
    again = MarkdownIt("commonmark").render(markdown_of(story))
    assert words_of(parser, again) == words_of(parser, story)


def words_of(parser: Any, html: str) -> list[str]:
    found: list[str] = parser.fragment_fromstring(html, create_parent="div").text_content().split()
    return found
