from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import html as lxml_html

from newsletter_bot.bot import Bot
from newsletter_bot.errors import ConfigurationError
from newsletter_bot.rendering import mjml
from newsletter_bot.rendering.model import filled

Write = Callable[..., Path]
OwnTheme = Callable[..., Bot]

MINIMAL = (
    "<mjml><mj-body><mj-section><mj-column><mj-text>{}</mj-text></mj-column></mj-section>"
    "</mj-body></mjml>"
)
SLOT = "{{ mail.slot('email') }}"


def refused(bot: Bot, path: Path) -> str:
    issue = bot.read(path)
    with pytest.raises(ConfigurationError) as caught:
        bot.render(issue)
    assert caught.value.exit_code == 78
    return caught.value.message


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        (MINIMAL.format("{{ nothing }}"), "'nothing' is undefined"),
        (MINIMAL.format("{% if %}"), "issue.mjml.j2:1"),
        (MINIMAL.format("\n\n{{ 1 / 0 }}"), "issue.mjml.j2:3: .*division by zero"),
        (MINIMAL.format("{{ 'a' + 1 }}"), "issue.mjml.j2:1: .*concatenate"),
        (MINIMAL.format("{{ mail.word('nope') }}"), "has no word 'nope'"),
        (MINIMAL.format("{% include 'issue.mjml.j2' %}"), "recursion"),
        (MINIMAL.format("{% for n in range(10 ** 9) %}x{% endfor %}"), "Range too big"),
        (MINIMAL.replace("mj-column", "mj-colum").format("x"), "<mj-colum> is not an element"),
        (MINIMAL.replace("<mj-text>", '<mj-text colour="x">').format("x"), "no attribute colour"),
        (MINIMAL.replace("<mj-text>", "<mj-text color='x'>").format("x"), "in double quotes"),
        (MINIMAL.format("<b><i></b>").replace("</mj-body>", ""), "cannot be read"),
        (MINIMAL.format("<b>" * 70 + "</b>" * 70), "deeper than 64"),
        (MINIMAL.format("<b a='x'>" * 9000 + "</b>" * 9000), "in double quotes"),
    ],
)
def test_a_theme_with_a_mistake_is_explained(
    own_theme: OwnTheme, write_issue: Write, template: str, sentence: str
) -> None:
    assert re.search(sentence, refused(own_theme(template), write_issue()))


@pytest.mark.parametrize(
    "expression",
    [
        "''.__class__.__mro__",
        "issue.path.read_text()",
        "issue['path'].unlink()",
        "mail.settings.secret",
        "mail | attr('settings')",
        "newsletter.parse_file('newsletter.toml')",
        "mail.slots.clear()",
    ],
)
def test_a_theme_sees_neither_the_disk_nor_the_secrets(
    own_theme: OwnTheme, write_issue: Write, expression: str
) -> None:
    bot = own_theme(MINIMAL.format(f"{{{{ {expression} }}}}"))
    assert "unsafe" in refused(bot, write_issue())


def test_a_theme_cannot_leave_its_folder(own_theme: OwnTheme, write_issue: Write) -> None:
    bot = own_theme(MINIMAL.format("{% include '../../../secret.key' %}"))
    assert "secret.key" in refused(bot, write_issue())


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        (MINIMAL.format(f"<!-- {SLOT} -->x"), "in a comment, script or style"),
        (MINIMAL.format(f'<p style="color:{SLOT}">x</p>'), "in a comment, script or style"),
        (
            MINIMAL.format("x").replace(
                "<mj-body>", f"<mj-head><mj-style>.a{{color:{SLOT}}}</mj-style></mj-head><mj-body>"
            ),
            "in a comment, script or style",
        ),
        (
            MINIMAL.format("x").replace(
                "</mj-text>", f'</mj-text><mj-button title="{SLOT}">x</mj-button>'
            ),
            "where it does not come out",
        ),
    ],
)
def test_a_slot_in_a_wrong_place_is_explained(
    own_theme: OwnTheme, write_issue: Write, template: str, sentence: str
) -> None:
    assert sentence in refused(own_theme(template), write_issue())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("[en]\nview =", "strings.toml: Invalid value"),
        ('view = "x"\n', "'view' is no table of words"),
        ("[en]\nview = 1\n", "'en' is no table of words"),
        ('[en]\nview = "x"\n', "has no word 'picks'"),
    ],
)
def test_words_with_a_mistake_are_explained(
    own_theme: OwnTheme, write_issue: Write, words: str, sentence: str
) -> None:
    assert sentence in refused(own_theme(MINIMAL.format("x"), words=words), write_issue())


def test_a_newsletters_own_files_win_one_by_one_and_its_words_word_by_word(
    newsletter: Path, write_issue: Write
) -> None:
    folder = newsletter / "templates" / "themes" / "weekly"
    folder.mkdir(parents=True)
    (folder / "strings.toml").write_text('[en]\npicks = "Ours"\n', encoding="utf-8")
    bot = Bot.open(newsletter)
    html = filled(bot.render(bot.read(write_issue())).html, {})
    assert "Ours" in html
    assert "View in browser" in html


def test_a_theme_without_an_unsubscribe_slot_is_an_error(
    own_theme: OwnTheme, write_issue: Write
) -> None:
    bot = own_theme(MINIMAL.format("{{ issue.title }}"))
    rules = {one.rule for one in bot.check(bot.read(write_issue()))}
    assert "no-unsubscribe" in rules


def test_an_unknown_theme_names_the_known_ones(newsletter: Path, write_issue: Write) -> None:
    toml = newsletter / "newsletter.toml"
    toml.write_text(toml.read_text().replace('language = "en"', 'language = "en"\ntheme = "none"'))
    bot = Bot.open(newsletter)
    issue = bot.read(write_issue())
    with pytest.raises(ConfigurationError) as caught:
        bot.render(issue)
    assert caught.value.next_step == "Known themes: weekly."


def test_zero_paddings_get_their_unit_and_attributes_their_references() -> None:
    assert mjml.prepared('<mj-text padding="0 24px 0">x</mj-text>') == (
        '<mj-text padding="0px 24px 0px">x</mj-text>'
    )
    assert mjml.prepared('<a title="漢\n\\❤">漢</a>') == '<a title="&#28450; &#92;&#10084;">漢</a>'


def test_columns_of_a_table_keep_their_side_and_a_hostile_side_is_no_style(
    newsletter: Path, write_issue: Write
) -> None:
    hostile = '<table><tr><td align="left;color:red">3</td></tr></table>'
    table = f"| a | b |\n|---|--:|\n| 1 | 2 |\n\n{hostile}\n"
    bot = Bot.open(newsletter)
    text = f"---\nissue: x\n---\n## [I](https://e.com)\n\n{table}"
    page = lxml_html.document_fromstring(
        filled(bot.render(bot.read(write_issue(text, "x"))).html, {})
    )
    sides = {
        "".join(map(str, cell.itertext())): re.findall(r"text-align: ?(\w+)", cell.get("style", ""))
        for cell in page.cssselect(".prose td")
    }
    assert sides == {"1": ["left"], "2": ["right"], "3": ["left"]}
    assert "color:red" not in page.cssselect(".prose td")[-1].get("style", "")
