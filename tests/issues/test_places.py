"""A problem's line is the one on which the editor finds it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from newsletter_bot.errors import IssueFileError
from newsletter_bot.issues.checks import check_issue
from newsletter_bot.issues.model import Issue

Parse = Callable[..., Issue]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("`a\nb` [x](/rel)", 9),
        ("[a\nb](https://e.com/x\n'a\ntitle') [x](/rel)", 11),
        ("text <b\nlang='x'>b</b> [x](/rel)", 9),
        ("![a\nb](https://e.com/a.png) c [x](/rel)", 9),
        ("a  \nb\\\nc [x](/rel)", 10),
        ("a^[note\n[x](/rel)]\n\nb\n\nc", 9),
        ("a[^1]\n\nb\n\n[^1]: note\n\n    [x](/rel)", 14),
        ("| a |\n|---|\n| b |\n| [x](/rel) |", 11),
        ("- a\n- b\n\n  > c\n  > [x](/rel)", 12),
        ("<div>\n\n</div>\n\n<div>\n<p>a</p>\n<a\nhref='/rel'>x</a>\n</div>", 14),
    ],
)
def test_a_link_is_on_its_own_line_whatever_stands_before_it(
    parse: Parse, text: str, line: int
) -> None:
    found = [one.line for one in check_issue(parse(text, bare=True)) if one.rule == "malformed-url"]
    assert found == [line]


def test_html_is_reported_where_it_stands_in_its_block(parse: Parse) -> None:
    issue = parse('<div>\n<p>a</p>\n<IMG SRC="gone.png">\n<b onclick="x">b</b></div>', bare=True)
    found = [(one.line, one.rule) for one in check_issue(issue) if one.line > 7]
    assert found == [(10, "missing-image"), (10, "no-alt"), (11, "removed-html")]


@pytest.mark.parametrize("character", ["\x01", "\x0c", "\x1b", "\ufffe"])
def test_a_character_that_cannot_be_shown_is_refused_on_its_line(
    parse: Parse, character: str
) -> None:
    with pytest.raises(IssueFileError) as caught:
        parse(f"a\n\nb{character}c", bare=True)
    assert [(one.line, one.rule) for one in caught.value.problems] == [(10, "not-text")]
    issue = parse("&#1;&#11;&#12; &#xfffe; <b title='&#12;'>&#12;</b>", bare=True)
    body = repr(issue.items[0].body)
    assert not any(written in body for written in (r"\x01", r"\x0b", r"\x0c", r"\ufffe"))


def front_problems(parse: Parse, front: str) -> list[tuple[int, str]]:
    with pytest.raises(IssueFileError) as caught:
        parse(f"{front}\n## S\n\n### [I](https://e.com)\n")
    return [(one.line, one.rule) for one in caught.value.problems]


@pytest.mark.parametrize(
    ("front", "line"),
    [
        ("---\nissue: x\npreheader: q\u2028title: y\u2028\u2028preheader: b\n---", 3),
        ("---\nissue: x\ntitle: a\u0085b\n---", 3),
        ("---\nissue: x\ntitle: a\x07b\n---", 3),
        ('---\nissue: x\ntitle: "a\\ud800b"\n---', 3),
        ('---\nissue: x\ntitle: "a\\Nb"\n---', 3),
        ("---\nissue: x\nsubjects: [a, b]\nsubject: c\n---", 4),
        ("\n---\nissue: x\n---", 2),
        ('+++\nissue = "x"\nissue = "y"\n+++', 3),
        ('+++\nissue = "x"\ntags = [[1]]\n+++', 3),
        (f'+++\nissue = "x"\ntitle = {"1" * 5000}\n+++', 1),
        (f"+++\nissue = {'[' * 9000}\n+++", 1),
        (f"---\nissue: x\ntitle: {'x' * 20_000}\n---", 1),
    ],
)
def test_front_matter_that_cannot_be_meant_is_refused_on_its_line(
    parse: Parse, front: str, line: int
) -> None:
    assert (line, "front-matter") in front_problems(parse, front)


def test_a_line_that_yaml_alone_would_count_does_not_move_the_others(parse: Parse) -> None:
    found = front_problems(parse, "---\nissue: x\ntitle: 'a\u2028b'\nstatus: maybe\n---")
    assert found == [(3, "front-matter"), (4, "front-matter")]


def test_toml_values_are_texts_too(parse: Parse) -> None:
    issue = parse("+++\nissue = 1.10\ntitle = true\n+++\n## [I](https://e.com)\n")
    assert (issue.identity, issue.title) == ("1.10", "true")


def test_an_empty_subject_is_none(parse: Parse) -> None:
    issue = parse('---\nissue: x\ntitle: T\nsubject: ""\n---\n## [I](https://e.com)\n')
    assert issue.subject == "T"


def test_a_comment_that_cuts_one_of_several_subjects_is_noted(parse: Parse) -> None:
    front = "---\nissue: x\nsubjects:\n  - News #8\n  - Nine #9\n---\n"
    issue = parse(f"{front}## [I](https://e.com)\n")
    assert [(one.line, one.rule) for one in issue.problems] == [
        (4, "cut-comment"),
        (5, "cut-comment"),
    ]


def test_a_file_whose_name_is_no_identity_must_say_one(
    read: Callable[[Path], Issue], tmp_path: Path
) -> None:
    path = tmp_path / "my week ü.md"
    path.write_text("## [I](https://e.com)\n", encoding="utf-8")
    with pytest.raises(IssueFileError, match=r"The file's name is no identity"):
        read(path)
