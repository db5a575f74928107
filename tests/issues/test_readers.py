"""What the front matter says of whom an issue is for."""

from __future__ import annotations

from pathlib import Path

import pytest

from newsletter_bot.errors import IssueFileError
from newsletter_bot.issues.model import Issue, Kind
from newsletter_bot.issues.parse import Known, parse_issue

_KNOWN = Known(frozenset(), frozenset({"weekly"}), "en")


def parse(front: str, kind: Kind = Kind.ISSUE) -> Issue:
    text = f"---\n{front}\n---\n## Papers\n\n### [A title](https://example.com/)\n"
    return parse_issue(text, Path("issues/x.md"), _KNOWN, kind)


def test_an_issue_is_for_everybody_who_wants_every_one() -> None:
    issue = parse("title: x")
    assert (issue.segment, issue.frequency) == ("", "every")
    assert issue.is_for_all
    assert not issue.is_digest


def test_a_segment_and_a_frequency_make_it_an_issue_for_some() -> None:
    assert parse("segment: testers").segment == "testers"
    assert not parse("segment: testers").is_for_all
    digest = parse("frequency: monthly")
    assert digest.is_digest
    assert not digest.is_for_all
    assert parse("frequency: every").is_for_all


@pytest.mark.parametrize(
    ("front", "kind", "said"),
    [
        ("frequency: weekly", Kind.ISSUE, "2: error: frequency: 'weekly' is neither every nor"),
        ("frequency: [monthly]", Kind.ISSUE, "2: error: frequency: one text is needed"),
        ("segment: [a, b]", Kind.ISSUE, "2: error: segment: one text is needed"),
        ("segmnet: a", Kind.ISSUE, "Did you mean 'segment'"),
        ("delay: 3d\nsegment: a", Kind.SEQUENCE, "3: error: segment: only an issue has one"),
        ("frequency: monthly", Kind.WELCOME, "2: error: frequency: only an issue has one"),
    ],
)
def test_a_mistake_is_told_with_its_line(front: str, kind: Kind, said: str) -> None:
    with pytest.raises(IssueFileError, match=said):
        parse(front, kind)
