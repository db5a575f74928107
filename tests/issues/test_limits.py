"""No file, however made, takes more than two seconds to be read or refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from newsletter_bot.errors import IssueFileError
from newsletter_bot.issues.checks import check_issue
from newsletter_bot.issues.model import Issue
from newsletter_bot.issues.parse import LARGEST_FILE, MOST_LINES

Parse = Callable[..., Issue]


def seconds(parse: Parse, text: str) -> float:
    begun = time.process_time()
    with suppress(IssueFileError):
        check_issue(parse(text, bare=True))
    return time.process_time() - begun


@pytest.mark.parametrize(
    "part",
    [
        *("[", "![", "[](", "![a](", "[a]: b\n", "[^1] ", "^[", "*a _b ", "<", "<a ", "&", "\\"),
        *(
            "- a\n",
            "> - ",
            "|a|b|\n|-|-|\n",
            "a\n=\n",
            "::: only language=a\n",
            "```a {{ name }}\n",
        ),
        *("{{ name }} ", "`a` {{ name }}\n\n", "{{ ", "{a ", "![a](b.png)\n\n", "<b>\n\n", "# a\n"),
    ],
)
def test_what_is_repeated_without_end_is_read_or_refused_in_time(parse: Parse, part: str) -> None:
    text = (part * LARGEST_FILE)[: LARGEST_FILE - 100]
    assert seconds(parse, text) < 2
    paragraph = (part * 9_000)[:9_000]
    assert seconds(parse, f"{paragraph}\n\n" * 5) < 2


@pytest.mark.parametrize("line", ["[a]: b\n", "[a]:\n", "> [a]: b\n"])
def test_a_long_run_of_link_definitions_is_read_in_time(parse: Parse, line: str) -> None:
    assert seconds(parse, line * (MOST_LINES - 100)) < 2
    assert seconds(parse, f"{line * 200}\n" * 4) < 2


def test_html_that_never_ends_is_looked_through_once(parse: Parse) -> None:
    assert seconds(parse, "<div>\n" + "<img " * 60_000) < 2


def test_what_is_too_long_is_refused_where_it_stands(parse: Parse) -> None:
    with pytest.raises(IssueFileError) as caught:
        parse(f"one\n\n{'word ' * 2500}\n\n{'a' * 10_001}", bare=True)
    assert [(one.line, one.rule) for one in caught.value.problems] == [
        (10, "too-large"),
        (12, "too-large"),
    ]
    with pytest.raises(IssueFileError) as caught:
        parse("a\n" * MOST_LINES, bare=True)
    assert [(one.line, one.rule) for one in caught.value.problems] == [(MOST_LINES, "too-large")]


def test_what_is_too_deep_is_the_only_problem(parse: Parse) -> None:
    with pytest.raises(IssueFileError) as caught:
        parse("".join("  " * n + "- x\n" for n in range(50)), bare=True)
    assert [one.rule for one in caught.value.problems] == ["deep-nesting"]
