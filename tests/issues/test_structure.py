"""What becomes of headings, pictures, cards and quotes, and that nothing is lost on the way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from newsletter_bot.errors import IssueFileError
from newsletter_bot.issues.checks import check_issue
from newsletter_bot.issues.model import Card, Issue, Prose

Parse = Callable[..., Issue]


def body(issue: Issue) -> str:
    return "".join(part.html for part in issue.items[0].body if isinstance(part, Prose))


def test_a_title_may_have_text_below_it(parse: Parse) -> None:
    issue = parse("# My week\n\nHello.\n\n## S\n\n### [A](https://e.com/a)\n\n## T\n\n### B\n")
    assert issue.title == "My week"
    assert [one.title for one in issue.sections] == ["S", "T"]
    assert issue.intro[0] == Prose("<p>Hello.</p>", 3)


def test_a_lone_section_of_linked_items_is_no_title(parse: Parse) -> None:
    issue = parse("# Papers\n\n## [A](https://e.com/a)\n\n### More\n\n## [B](https://e.com/b)\n")
    assert [(one.title, len(one.items)) for one in issue.sections] == [("Papers", 2)]
    assert body(issue) == "<h3>More</h3>"


def test_a_heading_too_deep_for_an_item_before_all_others_is_opening_text(parse: Parse) -> None:
    issue = parse("#### Note\n\nn\n\n## S\n\n### [A](https://e.com/a)\n")
    assert [one.title for one in issue.items] == ["A"]
    assert issue.intro == (Prose("<h4>Note</h4>\n<p>n</p>", 1),)


def test_links_in_headings_of_text_and_sections_are_kept(parse: Parse) -> None:
    issue = parse(
        "## Hi [h](https://e.com/h)\n\n## S [s](https://e.com/s)\n\n### [A](https://e.com/a)\n\n"
        "#### See [d](https://e.com/d)\n"
    )
    assert issue.intro == (Prose('<h2>Hi <a href="https://e.com/h">h</a></h2>', 1),)
    assert issue.sections[0].title_html == 'S <a href="https://e.com/s">s</a>'
    assert 'href="https://e.com/d"' in body(issue)


def test_no_link_stands_in_the_headline_that_is_a_link(parse: Parse) -> None:
    issue = parse('## [A](https://e.com/a)[^1] <a href="https://e.com/r">r</a>\n\n[^1]: Note.\n')
    assert issue.items[0].title_html == "A<sup>[1]</sup> r"


@pytest.mark.parametrize(
    ("heading", "tags"),
    [
        ("[A {pick}](https://e.com)", ()),
        ("**[A](https://e.com) {pick}**", ()),
        ("[A](https://e.com) {Pick}", ()),
        ("[A](https://e.com) { pick, ml }", ("ml",)),
        ("[A](https://e.com) {pick 機械学習}", ("機械学習",)),
    ],
)
def test_a_pick_is_marked_in_any_of_the_usual_ways(
    parse: Parse, heading: str, tags: tuple[str, ...]
) -> None:
    item = parse(f"## S\n\n### {heading}\n").items[0]
    assert (item.title, item.pick, item.tags) == ("A", True, tags)


def test_two_pictures_in_a_paragraph_both_stay(parse: Parse) -> None:
    issue = parse("![a](https://e.com/a.png) ![b](https://e.com/b.png)", bare=True)
    assert issue.items[0].image is None
    assert body(issue).count("<img ") == 2


def test_a_picture_keeps_a_link_that_leads_elsewhere(parse: Parse) -> None:
    elsewhere = parse("[![a](https://e.com/a.png)](https://b.com/)", bare=True)
    assert 'href="https://b.com/"' in body(elsewhere)
    same = parse("[![a](https://e.com/a.png)](https://example.com/i)", bare=True)
    assert same.items[0].image is not None


def test_a_picture_shown_twice_has_two_descriptions(parse: Parse) -> None:
    text = "".join(f"### [{n}](https://e.com/{n})\n\n![{n}](https://e.com/p.png)\n\n" for n in "ab")
    found = [one.image for one in parse(f"## S\n\n{text}").items]
    assert [(one.alt, one.line) for one in found if one] == [("a", 5), ("b", 9)]


def test_cards_one_below_the_other_are_cards(parse: Parse) -> None:
    issue = parse("[card](https://a.com/)\n[card](https://b.com/)", bare=True)
    assert issue.items[0].body == (Card("https://a.com/", 8), Card("https://b.com/", 9))


def test_a_quote_with_a_link_is_no_one_liner(parse: Parse) -> None:
    issue = parse("> Nice. [She](https://a.com/)", bare=True)
    assert issue.items[0].one_liner is None
    assert 'href="https://a.com/"' in body(issue)


def test_a_slot_in_a_heading_does_not_get_into_its_anchor(parse: Parse) -> None:
    assert parse("## S\n\n### [Hi {{ first_name }}](https://e.com)\n").items[0].anchor == "hi"


def test_a_title_with_a_slot_is_the_same_for_all_and_a_subject_is_not(parse: Parse) -> None:
    issue = parse(
        "# Hi {{ first_name | you }}\n\n## S\n\n### [I](https://e.com)\n\n## T\n\n### J\n"
    )
    assert issue.title == "Hi you"
    assert [one.name for one in issue.slots] == ["first_name"]
    assert issue.subject == f"Hi {issue.slots[0].marker}"


def test_a_slot_after_a_backslash_is_printed(parse: Parse) -> None:
    issue = parse(r"\{{ name }}", bare=True)
    assert body(issue) == "<p>{{ name }}</p>"
    assert not issue.slots


def test_braces_that_are_no_slot_are_noted_wherever_they_are(parse: Parse) -> None:
    front = '---\nissue: x\nsubject: "{{ First_name }}"\n---\n'
    issue = parse(f"{front}## [I](https://e.com)\n\n{{{{ name\n| you }}}}\n")
    assert [(one.line, one.rule) for one in issue.problems] == [
        (3, "not-a-slot"),
        (7, "not-a-slot"),
    ]


def errors(parse: Parse, text: str) -> list[tuple[int, str]]:
    with pytest.raises(IssueFileError) as caught:
        parse(text, bare=True)
    return [(one.line, one.rule) for one in caught.value.problems]


def test_an_only_block_that_is_not_closed_is_told_once(parse: Parse) -> None:
    text = "::: only plan=a\nx\n\n### [A](https://e.com/a)\n\n### [B](https://e.com/b)\n"
    assert errors(parse, text) == [(8, "only-block"), (8, "unknown-field")]


def test_an_only_block_may_stand_in_a_quote(parse: Parse) -> None:
    assert len(parse("> ::: only language=a\n> x\n> :::\n\ny", bare=True).only_blocks) == 1


@pytest.mark.parametrize(
    "html",
    ["\n\n::: only language=a\n<div>\n:::\n\n</div>", "<div>\n\n::: only name=a\n</div>\n:::"],
)
def test_an_only_block_does_not_cut_html_in_two(parse: Parse, html: str) -> None:
    assert errors(parse, html) == [(10, "only-block")]


@pytest.mark.parametrize("words", ["language=a,", "language={{ name }}", "language=,a"])
def test_a_condition_without_a_value_is_refused(parse: Parse, words: str) -> None:
    assert (8, "only-block") in errors(parse, f"::: only {words}\nx\n:::")


@pytest.mark.parametrize("opened", ["<!-- later", "<script>", "<style>p", "a <script> b", "<?php"])
def test_html_that_would_swallow_the_rest_is_an_error(parse: Parse, opened: str) -> None:
    text = f"one\n\n{opened}\n\n### [Next](https://e.com)\n"
    assert (10, "unclosed-html") in errors(parse, text)


def test_what_is_commented_out_is_no_trouble(parse: Parse) -> None:
    issue = parse("<!--\n\n### Old\n\n<img src=gone.png>\n-->\n\ntext <!-- <script> -->", bare=True)
    assert [one.rule for one in check_issue(issue)] == ["preheader-length"]
