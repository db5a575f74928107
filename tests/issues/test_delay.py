"""The `delay` of messages that newcomers get."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from newsletter_bot.errors import IssueFileError
from newsletter_bot.issues.model import Issue, Kind

Parse = Callable[..., Issue]
TEXT = "---\nissue: x\nsubject: For {{ first_name | you }}\n%s---\nHello.\n\n## More\n\nText.\n"


@pytest.mark.parametrize(
    ("written", "meant"),
    [("0s", 0), ("45s", 45), ("30m", 1800), ("6h", 21_600), ("3d", 259_200), ("'3d'", 259_200)],
)
def test_a_delay_is_a_duration(parse: Parse, written: str, meant: int) -> None:
    message = parse(TEXT % f"delay: {written}\n", kind=Kind.SEQUENCE)
    assert message.delay == meant
    assert message.is_sequence


@pytest.mark.parametrize("written", ["3", "3 days", "-3d", "3w", "[3d, 4d]", "99999999d", "''"])
def test_what_is_no_duration_is_refused_with_its_line(parse: Parse, written: str) -> None:
    with pytest.raises(IssueFileError) as caught:
        parse(TEXT % f"delay: {written}\n", kind=Kind.SEQUENCE)
    (problem,) = {one for one in caught.value.problems if one.line == 4}
    assert problem.message.startswith("delay: ")


def test_a_welcome_is_sent_at_once_unless_it_says_otherwise(parse: Parse) -> None:
    assert parse(TEXT % "", kind=Kind.WELCOME).delay == 0
    assert parse(TEXT % "delay: 1h\n", kind=Kind.WELCOME).delay == 3600


def test_every_other_message_must_say_its_delay(parse: Parse) -> None:
    with pytest.raises(IssueFileError, match="delay: say how long after subscribing"):
        parse(TEXT % "", kind=Kind.SEQUENCE)


def test_an_issue_has_no_delay(parse: Parse) -> None:
    with pytest.raises(IssueFileError, match=r"x\.md:4: error: delay: an issue has none"):
        parse(TEXT % "delay: 3d\n")


def test_a_letter_keeps_its_text_and_takes_its_title_from_the_subject(parse: Parse) -> None:
    letter = parse(TEXT % "", kind=Kind.WELCOME)
    assert letter.title == "For you"
    assert [one.title for one in letter.closing] == ["More"]
    assert parse(TEXT % "title: Hello\n", kind=Kind.WELCOME).title == "Hello"
