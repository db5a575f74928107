from __future__ import annotations

from html import escape
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter_bot.errors import ConfigurationError
from newsletter_bot.issues.model import Condition, OnlyBlock, Slot
from newsletter_bot.rendering.cut import Cutter
from newsletter_bot.rendering.model import Escape, Hole, Only, Static, escaped

NAME = "zq9s0xabcd9qz"
BEGIN, END = "zq9b0xabcd9qz", "zq9e0xabcd9qz"
SLOT = Slot("name", "you", NAME, 3)
BLOCK = OnlyBlock((Condition("plan", ("supporter",)),), BEGIN, END, 7)
CUTTER = Cutter((SLOT,), (BLOCK,))


def escape_in(html: str) -> Escape:
    (hole,) = [piece for piece in CUTTER.html(html) if isinstance(piece, Hole)]
    return hole.escape


@pytest.mark.parametrize(
    ("html", "escape"),
    [
        (f"<p>Hi {NAME}</p>", Escape.HTML),
        (f"<title>{NAME}</title>", Escape.HTML),
        (f'<img alt="for {NAME}">', Escape.HTML),
        (f"<img alt='a \"b\" {NAME}'>", Escape.HTML),
        (f'<a title="a > b" href="{NAME}">x</a>', Escape.LINK),
        (f'<a href="https://e.com/?n={NAME}">x</a>', Escape.URL),
        (f'<a href="mailto:{NAME}">x</a>', Escape.URL),
        (f"<a href='https://e.com/?q=%22&n={NAME}'>x</a>", Escape.URL),
        (f'<td background="{NAME}">', Escape.LINK),
        (f'<p>Write href="{NAME}" in your page</p>', Escape.HTML),
        (f'<p>1 < 2, src="{NAME}</p>', Escape.HTML),
    ],
)
def test_the_place_of_a_hole_decides_its_escape(html: str, escape: Escape) -> None:
    assert escape_in(html) is escape


@pytest.mark.parametrize(
    "html",
    [
        f"<style>.a {{ color: {NAME} }}</style>",
        f"<script>say('{NAME}')</script>",
        f"<!-- {NAME} -->",
        f'<!--[if mso]><v:image src="{NAME}"/><![endif]-->',
        f'<p style="color:{NAME}">x</p>',
        f'<p onclick="{NAME}">x</p>',
    ],
)
def test_a_hole_where_nothing_can_be_escaped_is_an_error(html: str) -> None:
    with pytest.raises(ConfigurationError, match="'name' stands in a comment, script or style"):
        CUTTER.html(html)


def test_an_only_block_holds_its_text_and_its_holes() -> None:
    (before, only, after) = CUTTER.html(f"<p>a</p>{BEGIN}<p>{NAME}</p>{END}<p>b</p>")
    assert before == Static("<p>a</p>")
    assert only == Only(
        BLOCK.conditions, (Static("<p>"), Hole("name", "you", Escape.HTML), Static("</p>"))
    )
    assert after == Static("<p>b</p>")


@pytest.mark.parametrize("text", [f"a{BEGIN}b", f"a{END}b", f"{END}a{BEGIN}", f"{BEGIN}{BEGIN}"])
def test_an_only_block_without_both_its_edges_is_an_error(text: str) -> None:
    with pytest.raises(ConfigurationError, match="line 7"):
        CUTTER.plain(text)


def test_a_text_shown_twice_has_its_holes_twice() -> None:
    once = f"{BEGIN}{NAME}{END}"
    assert CUTTER.plain(once + once) == CUTTER.plain(once) * 2


def test_what_mjml_dropped_is_noticed() -> None:
    CUTTER.check_all_survived(NAME + BEGIN + END, NAME + NAME + BEGIN + END)
    with pytest.raises(ConfigurationError, match="'name' where it does not come out"):
        CUTTER.check_all_survived(f"{NAME} {NAME}", NAME)
    with pytest.raises(ConfigurationError, match="line 7"):
        CUTTER.check_all_survived(BEGIN + END, BEGIN)


@given(st.text(), st.text())
def test_cutting_changes_no_character(before: str, after: str) -> None:
    pieces = CUTTER.plain(before + NAME + after)
    written = "".join(one.text if isinstance(one, Static) else NAME for one in pieces)
    assert written == before + NAME + after


@given(st.text(st.sampled_from("az09AZ/:._~-?&<\"' %é\n"), max_size=20))
def test_the_short_way_of_a_plain_link_changes_nothing(rest: str) -> None:
    shown = "".join(one if one.isprintable() else " " for one in rest)
    long_way = escape(quote(f"https://{shown}", safe="/:?#[]@!$&()*+,;=%~"))
    assert escaped(f"https://{rest}", Escape.LINK) == long_way
