"""A web page → an item or a card of an issue file, for the editor to rewrite."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import lxml.html
from lxml.etree import LxmlError

from newsletter_bot.errors import DataError, TryAgainError
from newsletter_bot.issues.collect.links import is_web_address, plain_title
from newsletter_bot.issues.model import Issue, Status
from newsletter_bot.outside import OutsideError, fetch

_LARGEST = 2_000_000  # bytes of a page
_OK = 200
_ARXIV = re.compile(r"arxiv\.org/(?:abs|pdf|html)/(\d{4}\.\d{4,5})")
_TITLES = ("citation_title", "og:title", "twitter:title")
_TEXTS = ("citation_abstract", "og:description", "twitter:description", "description")
_LONGEST = 600  # characters of a summary


@dataclass(frozen=True, slots=True)
class Clip:
    """What a page says of itself: hostile text."""

    url: str
    title: str
    text: str = ""
    paper: str = ""  # arXiv id


def clip(url: str, *, allow_private: bool = False) -> Clip:
    """Fetch a page and read its title and description.

    Raises DataError for what is no web address, TryAgainError for a page that cannot be had.
    """
    if not is_web_address(url):
        raise DataError(f"{url} is no web address.", "Begin it with https://.")
    paper = _ARXIV.search(url)
    address = f"https://arxiv.org/abs/{paper[1]}" if paper else url
    try:
        answer = fetch(address, most=_LARGEST, allow_private=allow_private)
    except OutsideError as error:
        raise _unfetched(address, str(error)) from error
    if answer.status != _OK:
        raise _unfetched(address, f"it answered {answer.status}")
    said = _said(answer.content)
    title = next((said[name] for name in (*_TITLES, "title") if said.get(name)), "")
    text = next((said[name] for name in _TEXTS if said.get(name)), "")
    return Clip(address, title or address, text[:_LONGEST], paper[1] if paper else "")


def _unfetched(address: str, why: str) -> TryAgainError:
    return TryAgainError(
        f"{address} cannot be fetched: {why}.", "Try again, or write the item yourself."
    )


def add_item(issue: Issue, found: Clip) -> int:
    """Append an item to the last section that holds items; returns its line.

    Raises DataError for an issue that is ready: what was approved is not touched.
    """
    _must_be_draft(issue)
    level = _level(issue)
    title = plain_title(found.title)
    lines = ["", f"{'#' * level} [{title}]({found.url})", ""]
    if found.paper:
        lines += [f"*[{found.paper}] {title}*", ""]
    if found.text:
        lines += [plain_title(found.text), ""]
    return _insert(issue, lines)


def add_card(issue: Issue, found: Clip) -> int:
    """Append a card, and store what it says beside the issue; returns its line."""
    _must_be_draft(issue)
    path = issue.path.with_suffix(".cards.json")
    try:
        cards = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise DataError(f"{path} is no JSON: {error}.", "Mend the file.") from error
    cards[found.url] = {"title": found.title, "description": found.text}
    _write(path, json.dumps(cards, ensure_ascii=False, indent=2, sort_keys=True) + "\n")
    level = _level(issue)
    title = plain_title(found.title)
    card = ["", f"{'#' * level} [{title}]({found.url})", "", f"[card]({found.url})", ""]
    return _insert(issue, card)


def _must_be_draft(issue: Issue) -> None:
    if issue.status is not Status.DRAFT:
        raise DataError(
            f"{issue.identity} is ready: nothing is added to it.",
            "Name a draft with --issue, or set `status: draft` in it.",
        )


def _level(issue: Issue) -> int:
    """Return the heading level of the issue's items."""
    lines = issue.source.splitlines()
    for item in issue.items:
        marks = re.match(r"#{1,6}(?= )", lines[item.line - 1])
        if marks:
            return len(marks[0])
    return 3


def _insert(issue: Issue, new: list[str]) -> int:
    """Write lines before the closing sections, or at the end."""
    text = issue.path.read_text(encoding="utf-8")
    lines = text.rstrip("\n").split("\n")
    at = issue.closing[0].line - 1 if issue.closing else len(lines)
    while at and not lines[at - 1].strip():
        at -= 1
    rest = lines[at:]
    whole = [*lines[:at], *new[: None if rest else -1], *(rest[1:] if rest[:1] == [""] else rest)]
    _write(issue.path, "\n".join(whole) + "\n")
    return at + 2


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.new")
    with fresh.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _said(content: bytes) -> dict[str, str]:
    """Return a page's meta elements by name, and its title."""
    try:
        tree = lxml.html.document_fromstring(content)
    except (LxmlError, ValueError):
        return {}
    said: dict[str, str] = {}
    for one in tree.iter("meta"):
        name = one.get("property") or one.get("name") or ""
        said.setdefault(str(name).lower(), " ".join(str(one.get("content") or "").split()))
    title = tree.find(".//title")
    if title is not None:
        said["title"] = " ".join("".join(map(str, title.itertext())).split())
    return said
