"""Parse a text as an issue file would be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from newsletter_bot.issues.model import Issue, Kind
from newsletter_bot.issues.parse import Known, parse_issue, read_issue

KNOWN = frozenset(
    {"email", "name", "first_name", "language", "unsubscribe_url", "preferences_url", "view_url"}
)


@pytest.fixture
def parse(tmp_path: Path) -> Callable[..., Issue]:
    """Parse a text; front matter and an item are added where `bare` is asked for."""

    def parsed(
        text: str,
        *,
        bare: bool = False,
        fields: frozenset[str] = KNOWN,
        kind: Kind = Kind.ISSUE,
    ) -> Issue:
        if bare:
            text = f"---\nissue: x\n---\n## S\n\n### [I](https://example.com/i)\n\n{text}"
        known = Known(fields, frozenset({"weekly"}), "en")
        return parse_issue(text, tmp_path / "x.md", known, kind)

    return parsed


@pytest.fixture
def read(tmp_path: Path) -> Callable[[Path], Issue]:
    """Read an issue file."""

    def done(path: Path) -> Issue:
        return read_issue(path, Known(KNOWN, frozenset({"weekly"}), "en"))

    return done
