"""A month's issues → the Markdown of a digest: a draft for the editor, as any issue file is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from newsletter_bot.issues.collect.links import plain_title
from newsletter_bot.issues.model import MONTHLY, Status

_LONGEST = 2000  # characters of a one-liner


@dataclass(frozen=True, slots=True)
class Entry:
    """One item as a digest shows it; the link leads to where it stands in the archive."""

    title: str
    url: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Chapter:
    """One issue of the month, with what a digest shows of it."""

    title: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Head:
    """What stands at the beginning of the file."""

    identity: str
    title: str
    preheader: str
    lists: Sequence[str]


def digest_text(head: Head, chapters: Sequence[Chapter]) -> str:
    """Write the issue file; titles and texts are those of the issues, and nothing but text."""
    return "\n".join([*_front_matter(head), *_body(chapters)])


def _front_matter(head: Head) -> Iterator[str]:
    # A JSON string is a YAML one.
    yield "---"
    yield f"issue: {head.identity}"
    for key in ("title", "preheader"):
        yield f"{key}: {json.dumps(getattr(head, key), ensure_ascii=False)}"
    yield f"lists: {json.dumps(list(head.lists))}"
    yield f"frequency: {MONTHLY}"
    yield f"status: {Status.DRAFT}"
    yield "---"
    yield ""


def _body(chapters: Sequence[Chapter]) -> Iterator[str]:
    for chapter in chapters:
        yield f"## {plain_title(chapter.title)}"
        yield ""
        for entry in chapter.entries:
            yield f"### [{plain_title(entry.title)}]({entry.url})"
            yield ""
            if entry.text:
                yield plain_title(entry.text, _LONGEST)
                yield ""
