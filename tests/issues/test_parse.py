from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Picture

from newsletter_bot.errors import IssueFileError, Severity
from newsletter_bot.issues.model import Card, Issue, Prose, Status
from newsletter_bot.issues.parse import Known, parse_issue

Parse = Callable[..., Issue]

DESIGN_EXAMPLE = """\
---
issue: 2021-W08
title: "Week 8, 2021"
subject: "Normaliser-free nets, and nine more"     # subjects: [a, b] for an A/B test
preheader: "Batch norm may not be needed after all"
lists: [weekly]
status: draft                                       # draft | ready
tags: [machine-learning]                            # first three go to Medium
---
Hello {{ first_name | there }}, the papers I liked this week.

## Papers

### [Networks that beat EfficientNet without batch norm](https://arxiv.org/abs/2102.06171) {pick}

![Accuracy against training latency](img/nfnets.png)

*[2102.06171] High-Performance Large-Scale Image Recognition Without Normalization*

Adaptive gradient clipping takes over what normalisation did …

> NFNets match EfficientNet-B7 and train up to 8.7 times faster, without batch norm.

## Articles

### [Custom object detection in the browser](https://blog.example.org/detection.html)

[card](https://blog.example.org/detection.html)

::: only plan=supporter
Thank you for paying for this.
:::
"""


def prose(issue: Issue) -> str:
    return "".join(part.html for part in issue.items[0].body if isinstance(part, Prose))


def problems(parse: Parse, text: str, *, bare: bool = False) -> list[tuple[int, str, Severity]]:
    with pytest.raises(IssueFileError) as caught:
        parse(text, bare=bare)
    return [(one.line, one.rule, one.severity) for one in caught.value.problems]


def test_the_format_is_read_as_it_is_designed(parse: Parse, tmp_path: Path) -> None:
    (tmp_path / "x.cards.json").write_text(
        json.dumps({"https://blog.example.org/detection.html": {"title": "T", "description": "D"}})
    )
    issue = parse(DESIGN_EXAMPLE)
    assert (issue.identity, issue.title, issue.status) == ("2021-W08", "Week 8, 2021", Status.DRAFT)
    assert issue.subject == "Normaliser-free nets, and nine more"
    assert [section.title for section in issue.sections] == ["Papers", "Articles"]
    first, second = issue.items
    assert (first.title, first.url) == (
        "Networks that beat EfficientNet without batch norm",
        "https://arxiv.org/abs/2102.06171",
    )
    assert first.pick
    assert first.image is not None
    assert first.image.alt == "Accuracy against training latency"
    assert first.caption is not None
    assert first.caption.source_id == "2102.06171"
    assert first.caption.title.startswith("High-Performance")
    assert first.one_liner is not None
    assert first.one_liner.startswith("NFNets match")
    assert (first.line, first.image.line, first.caption.line) == (14, 16, 18)
    assert second.body[0] == Card("https://blog.example.org/detection.html", 28, "T", "D")
    assert issue.only_blocks[0].conditions[0].values == ("supporter",)
    assert issue.slots[0].name == "first_name"
    assert issue.slots[0].fallback == "there"


@pytest.mark.parametrize(("top", "below"), [("#", "##"), ("##", "###"), ("##", "####")])
def test_any_two_levels_of_headings_will_do(parse: Parse, top: str, below: str) -> None:
    issue = parse(f"---\nissue: x\n---\n{top} S\n\n{below} [I](https://e.com/i)\n\ntext\n")
    assert [(one.title, len(one.items)) for one in issue.sections] == [("S", 1)]


def test_a_lone_first_heading_is_the_title(parse: Parse) -> None:
    issue = parse("# My week\n\n## S\n\n### [I](https://e.com/i)\n\ntext\n")
    assert issue.title == "My week"
    assert issue.identity == "x"


def test_linked_headings_of_one_level_are_items(parse: Parse) -> None:
    issue = parse("## [A](https://e.com/a)\n\na\n\n## [B](https://e.com/b)\n\nb\n")
    assert [one.title for one in issue.items] == ["A", "B"]


def test_sections_without_items_open_and_close_the_issue(parse: Parse) -> None:
    issue = parse("## Hello\n\nhi\n\n## S\n\n### [I](https://e.com)\n\nx\n\n## About\n\nme\n")
    assert [one.title for one in issue.sections] == ["S"]
    assert [one.title for one in issue.closing] == ["About"]
    assert isinstance(issue.intro[0], Prose)
    assert issue.intro[0].html == "<h2>Hello</h2>"


def test_bold_headings_and_unlinked_headings_are_items(parse: Parse) -> None:
    issue = parse("## S\n\n### [**Bold** one](https://e.com)\n\n### **All bold**\n\n### Plain.\n")
    assert [one.title for one in issue.items] == ["Bold one", "All bold", "Plain."]
    assert [one.title_html for one in issue.items] == [
        "<strong>Bold</strong> one",
        "All bold",
        "Plain.",
    ]
    assert issue.items[1].url is None


def test_a_caption_glued_to_its_summary_is_taken_apart(parse: Parse) -> None:
    issue = parse("*【2101.1】The title* They made it.\nMore.", bare=True)
    assert issue.items[0].caption is not None
    assert issue.items[0].caption.source_id == "2101.1"
    assert prose(issue) == "<p>They made it.\nMore.</p>"


def test_emphasis_works_beside_cjk_letters_and_punctuation(parse: Parse) -> None:
    assert "<strong>重要：</strong>这是" in prose(parse("**重要：**这是", bare=True))
    assert "<strong>「重要」</strong>です" in prose(parse("**「重要」**です", bare=True))


def test_text_from_right_to_left_is_kept(parse: Parse) -> None:
    assert "مرحبا بالعالم" in prose(parse("مرحبا بالعالم", bare=True))


def test_tables_lists_code_and_quotes_are_kept(parse: Parse) -> None:
    html = prose(
        parse(
            "| a | b |\n|---|--:|\n| 1 | 2 |\n\n- x\n- y\n\n```python\nz = '{{ name }}'\n```\n\n"
            "> first\n>\n> second\n\n1. one\n",
            bare=True,
        )
    )
    assert '<td align="right">2</td>' in html
    assert "<ul>" in html
    assert "z = '{{ name }}'" in html
    assert "<blockquote>" in html
    assert "<ol>" in html


def test_footnotes_are_gathered_at_the_end(parse: Parse) -> None:
    issue = parse("Text[^1].\n\n[^1]: The note.", bare=True)
    assert issue.footnotes is not None
    assert 'id="fn1"' in issue.footnotes.html
    assert "The note." in issue.footnotes.html
    assert 'href="#fn1"' in prose(issue)


def test_void_elements_are_closed_and_attributes_escaped(parse: Parse) -> None:
    html = prose(parse('a<br>b <img src="https://e.com/x.png" alt="a > b">', bare=True))
    assert "<br />" in html
    assert 'alt="a &gt; b" />' in html


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("<script>alert(1)</script>", "<script>"),
        ('<b onclick="x()">b</b>', "onclick="),
        ("[x](javascript:alert(1))", "javascript"),
        ("[x](data:text/html,x)", "data:"),
        ("![x](data:image/png;base64,AAAA)", "data:"),
        ('<iframe src="https://e.com"></iframe>', "<iframe>"),
        ('<a href="JaVaScRiPt:x">x</a>', "javascript"),
        ('<img src=x onerror="alert(1)">', "onerror="),
        ("<style>p{}</style>", "<style>"),
    ],
)
def test_html_that_is_not_allowed_is_removed_and_reported(
    parse: Parse, text: str, rule: str
) -> None:
    issue = parse(text, bare=True)
    found = [one for one in issue.problems if one.rule == "removed-html"]
    assert any(rule in one.message for one in found)
    assert found[0].line == 8
    html = prose(issue).lower()
    for word in ("<script", "javascript:", "data:", "<iframe", "onclick", "onerror", "<style"):
        assert word not in html


def test_template_syntax_is_text(parse: Parse) -> None:
    issue = parse("a {{ 7*7 }} {% for x in y %} {{ a.b }} {# c #}", bare=True)
    assert "{{ 7*7 }} {% for x in y %} {{ a.b }} {# c #}" in prose(issue)
    assert [one.rule for one in issue.problems].count("not-a-slot") == 2


def test_a_slot_may_stand_in_a_link(parse: Parse) -> None:
    issue = parse("[x](https://e.com/?who={{ email }}&n={{ name | you }})", bare=True)
    assert [one.name for one in issue.slots] == ["email", "name"]
    assert f"who={issue.slots[0].marker}" in prose(issue)


def test_slots_in_code_stay_as_they_were_written(parse: Parse) -> None:
    issue = parse("`{{ first_name }}` and {{ first_name }}", bare=True)
    assert "<code>{{ first_name }}</code>" in prose(issue)
    assert len(issue.slots) == 1


def test_every_error_is_told_at_once_with_its_line(parse: Parse) -> None:
    text = (
        '---\nissue: "../x"\ntitel: T\nstatus: maybe\nlists: [nobody]\ndate: yesterday\n---\n'
        "Hello {{ nobody }}\n"
    )
    found = problems(parse, text)
    assert [(line, rule) for line, rule, _ in found] == [
        (2, "front-matter"),
        (2, "no-items"),
        (3, "unknown-key"),
        (4, "front-matter"),
        (5, "front-matter"),
        (6, "front-matter"),
        (8, "unknown-slot"),
    ]


@pytest.mark.parametrize(
    "front", ["title: Week 8: GANs", "a: [b", "- list", "&a b: *a", "x: {y: z}"]
)
def test_yaml_that_cannot_be_used_is_an_error_with_a_line(parse: Parse, front: str) -> None:
    found = problems(parse, f"---\nissue: x\n{front}\n---\n## S\n\n### [I](https://e.com)\n")
    assert found[0][1] in ("front-matter", "unknown-key")
    assert found[0][0] <= 4


def test_front_matter_that_is_never_closed_is_an_error(parse: Parse) -> None:
    assert (1, "front-matter") in [one[:2] for one in problems(parse, "---\nissue: x\n")]


def test_yaml_values_are_texts_whatever_they_look_like(parse: Parse) -> None:
    issue = parse("---\nissue: 1.10\ntitle: no\nsubject: 2021-01-01\n---\n## [I](https://e.com)\n")
    assert (issue.identity, issue.title, issue.subject) == ("1.10", "no", "2021-01-01")


def test_a_comment_that_cuts_a_title_is_noted(parse: Parse) -> None:
    issue = parse("---\nissue: x\ntitle: News #8 is out\n---\n## [I](https://e.com)\n")
    issue = parse(
        "---\nissue: x\ntitle: News #8\nsubject: Nine # ten\n---\n## [I](https://e.com)\n"
    )
    assert [(one.line, one.rule) for one in issue.problems] == [
        (3, "cut-comment"),
        (4, "cut-comment"),
    ]


def test_toml_front_matter_is_read_too(parse: Parse) -> None:
    issue = parse('+++\nissue = "x"\nsubjects = ["a", "b"]\n+++\n## [I](https://e.com)\n')
    assert issue.subjects == ("a", "b")
    assert (3, "unknown-key") in [
        one[:2] for one in problems(parse, '+++\nissue = "x"\nsubjekt = "b"\n+++\n')
    ]


@pytest.mark.parametrize("value", [r"a\r\nBcc: eve@example.com", r"a\nb", r"a\x00b", r"a\u2028b"])
@pytest.mark.parametrize("key", ["subject", "title", "preheader", "issue"])
def test_a_line_break_in_a_value_is_refused(parse: Parse, key: str, value: str) -> None:
    found = problems(parse, f'---\n{key}: "{value}"\n---\n## [I](https://e.com)\n')
    assert (2, "front-matter") in [one[:2] for one in found]


@pytest.mark.parametrize(
    "block",
    [
        "::: only\nx\n:::",
        "::: only plan\nx\n:::",
        "::: only plan=a\nx\n",
        "::: only plan=a\n### [I](https://e.com)\n:::",
        ":::: only plan=a\n::: only plan=b\nx\n:::\n::::",
    ],
)
def test_an_only_block_must_be_whole(parse: Parse, block: str) -> None:
    assert "only-block" in [one[1] for one in problems(parse, block, bare=True)]


def test_an_only_block_for_an_unknown_field_is_noted(parse: Parse) -> None:
    issue = parse("::: only plan=supporter language!=ja,zh\nx\n:::", bare=True)
    assert [one.rule for one in issue.problems] == ["unknown-field"]
    assert [one.negated for one in issue.only_blocks[0].conditions] == [False, True]


def test_a_picture_tells_its_size(parse: Parse, tmp_path: Path) -> None:
    Picture.new("RGB", (40, 30)).save(tmp_path / "a.png")
    image = parse("![alt](a.png)", bare=True).items[0].image
    assert image is not None
    assert (image.width, image.height, image.path) == (40, 30, tmp_path / "a.png")


def test_a_picture_outside_the_folder_is_refused(parse: Parse) -> None:
    found = problems(parse, "![x](../../etc/passwd)", bare=True)
    assert [one[1] for one in found] == ["image-outside"]


@pytest.mark.parametrize("text", ["{", "[1]", '{"https://e.com": 1}', '{"u": {"title": 1}}'])
def test_a_broken_cards_file_is_named(parse: Parse, tmp_path: Path, text: str) -> None:
    (tmp_path / "x.cards.json").write_text(text)
    assert "cards-file" in [one[1] for one in problems(parse, "text", bare=True)]


def _refused_quickly(read: Callable[[Path], Issue], path: Path) -> list[str]:
    begun = time.monotonic()
    with pytest.raises(IssueFileError) as caught:
        read(path)
    assert time.monotonic() - begun < 2, "the limit of the promise is 2 s"
    return [one.rule for one in caught.value.problems]


def test_files_that_are_no_issues_are_refused_quickly(
    read: Callable[[Path], Issue], tmp_path: Path
) -> None:
    path = tmp_path / "x.md"
    path.write_bytes(b"# big\n" * 3_500_000)
    assert _refused_quickly(read, path) == ["too-large"]
    path.write_bytes(bytes(range(256)) * 100)
    assert _refused_quickly(read, path) == ["not-text"]
    path.write_bytes("## S\n\nä".encode("latin-1"))
    assert _refused_quickly(read, path) == ["not-text"]
    path.write_text(">" * 50_000 + " deep\n")
    assert _refused_quickly(read, path) == ["deep-nesting"]
    path.write_text("".join("  " * n + "- x\n" for n in range(400)))
    assert "deep-nesting" in _refused_quickly(read, path)


def test_html_nested_too_deeply_is_refused_with_its_line(parse: Parse) -> None:
    text = "text\n\n" + "<b>" * 80 + "x" + "</b>" * 80
    assert problems(parse, text, bare=True)[0][:2] == (10, "deep-nesting")
    assert prose(parse("<b>" * 20 + "x" + "</b>" * 20, bare=True)).count("<b>") == 20


def test_a_byte_order_mark_and_windows_line_ends_are_no_trouble(
    read: Callable[[Path], Issue], tmp_path: Path
) -> None:
    path = tmp_path / "x.md"
    path.write_bytes(b"\xef\xbb\xbf---\r\nissue: x\r\n---\r\n## [I](https://e.com)\r\n\r\ntext\r\n")
    assert read(path).items[0].line == 4


_syntax = "--- +++ # ## [a](b) ![a](b) {{ x }} ::: only a=b > - ` ``` * ** <b> < & [^1] [^1]: | 漢"
_words = st.sampled_from([*_syntax.split(), "\n", "\n\n", " ", "\u3000"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_words | st.text(max_size=5), max_size=40).map("".join))
def test_no_text_ends_in_anything_but_an_issue_or_its_problems(tmp_path: Path, text: str) -> None:
    try:
        known = Known(frozenset({"x"}), frozenset({"weekly"}), "en")
        parse_issue(text, tmp_path / "x.md", known)
    except IssueFileError as error:
        said = error.problems
        assert said
