"""What an editor would want to know before a mistake goes out to everybody."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from urllib.parse import unquote

from newsletter_bot.errors import Problem
from newsletter_bot.issues import links
from newsletter_bot.issues.model import Card, Image, Issue, Item
from newsletter_bot.issues.problems import RULES, Problems, Rule
from newsletter_bot.issues.slots import holds_slot, in_words

__all__ = ["RULES", "Rule", "check_issue"]

_PREHEADER = range(40, 141)  # characters
_SUBJECT_CELLS = 60
_MOST_ITEMS = 35
_LARGEST_PICTURE = 200_000  # bytes
_WIDEST_PICTURE = 2208  # pixels: four times the 552 it is shown at
_RARE_FORMATS = (".webp", ".avif", ".svg", ".heic")
_SHOUTING = 12  # letters


def check_issue(issue: Issue, segment_trouble: str = "") -> tuple[Problem, ...]:
    """Return everything questionable about an issue, by line, with what parsing noted.

    `segment_trouble` says why its segment cannot be used, which its file does not tell.
    """
    problems = Problems(list(issue.problems))
    if segment_trouble:
        problems.add("segment", issue.lines.get("segment", 1), segment_trouble)
    for check in _CHECKS:
        check(issue, problems)
    problems.reword(lambda message: in_words(message, issue.slots))
    return problems.all()


def _check_pictures(issue: Issue, problems: Problems) -> None:
    for image in issue.images:
        name = unquote(image.src)
        if not image.alt.strip():
            problems.add("no-alt", image.line, f"{name or 'A picture'} has no description.")
        if image.src.lower().partition("?")[0].endswith(_RARE_FORMATS):
            problems.add("image-format", image.line, f"{name}: use PNG, JPEG or GIF.")
        if not image.is_remote:
            _check_file(image, problems)
        elif reason := links.fault(image.src):
            problems.add("malformed-url", image.line, f"{image.src}: {reason}.")


def _check_file(image: Image, problems: Problems) -> None:
    name = unquote(image.src)
    if image.path is None:
        problems.add("missing-image", image.line, f"{name} is not there, or is no picture.")
        return
    size = image.path.stat().st_size
    if size > _LARGEST_PICTURE:
        problems.add("image-too-large", image.line, f"{name} has {size // 1000} KB.")
    if image.width and image.width > _WIDEST_PICTURE:
        problems.add("image-too-wide", image.line, f"{name} is {image.width} pixels wide.")


def _check_links(issue: Issue, problems: Problems) -> None:
    for link in issue.links:
        _check_address(link.url, link.line, problems)
        shown = links.shown_host(link.text)
        if shown and shown != links.host_of(link.url):
            message = f"The text says {link.text} but the link leads to {link.url}."
            problems.add("link-text-mismatch", link.line, message)


def _check_address(url: str, line: int, problems: Problems) -> None:
    if holds_slot(url.partition("/")[0]):
        return  # where {{ unsubscribe_url }} leads is known for a reader only
    if reason := links.fault(url):
        problems.add("malformed-url", line, f"{url}: {reason}.")
        return
    if url.startswith("http://"):
        problems.add("insecure-link", line, f"{url} is not encrypted; does https:// work?")
    if links.host_of(url) in links.SHORTENERS:
        problems.add("shortener", line, f"{url} is shortened: link to the page itself.")


def _check_items(issue: Issue, problems: Problems) -> None:
    for item in issue.items:
        if item.url is None:
            problems.add("missing-link", item.line, f"“{item.title}” has no link.")
        _check_source(item, problems)
    if len(issue.items) > _MOST_ITEMS:
        message = f"{len(issue.items)} items: Gmail cuts a mail of more than 102 KB."
        problems.add("long-issue", issue.items[_MOST_ITEMS].line, message)


def _check_source(item: Item, problems: Problems) -> None:
    if item.caption is None or item.caption.source_id is None or item.url is None:
        return
    linked = links.source_id(item.url)
    if linked is not None and links.same_paper(item.caption.source_id, linked) is False:
        message = f"The caption says {item.caption.source_id} but the link is to {linked}."
        problems.add("id-mismatch", item.caption.line, message)


def _check_twins(issue: Issue, problems: Problems) -> None:
    captions: dict[tuple[str | None, str], int] = {}
    urls: dict[str, int] = {}
    for item in issue.items:
        if item.caption is not None and item.caption.source_id is not None:
            key = (item.caption.source_id, item.caption.title.casefold())
            first = captions.setdefault(key, item.caption.line)
            if first != item.caption.line:
                message = f"The same caption stands on line {first}."
                problems.add("duplicate-caption", item.caption.line, message)
        if item.url is not None and not links.fault(item.url):
            first = urls.setdefault(links.without_utm(item.url), item.line)
            if first != item.line:
                message = f"The item on line {first} has the same link."
                problems.add("duplicate-url", item.line, message)


def _check_cards(issue: Issue, problems: Problems) -> None:
    groups = (issue.intro, *(one.intro for one in (*issue.sections, *issue.closing)))
    for body in (*groups, *(item.body for item in issue.items)):
        for part in body:
            if isinstance(part, Card) and not part.title:
                message = f"Nothing is known of {part.url} but its address."
                problems.add("card-without-data", part.line, message)


def _check_inbox_line(issue: Issue, problems: Problems) -> None:
    line = issue.lines.get("preheader", issue.lines.get("title", 1))
    shown = len(_as_shown(issue.preheader, issue))
    if shown not in _PREHEADER:
        message = f"The preheader has {shown} characters; 40 to 140 are shown."
        problems.add("preheader-length", line, message)
    line = issue.lines.get("subject", issue.lines.get("subjects", 1))
    for subject in issue.subjects:
        subject = _as_shown(subject, issue)  # noqa: PLW2901
        cells = _cells(subject)
        if cells > _SUBJECT_CELLS:
            message = f"The subject is {cells} cells wide; about {_SUBJECT_CELLS} are shown."
            problems.add("subject-length", line, message)
        letters = [one for one in subject if one.isalpha()]
        if "!!!" in subject or (len(letters) > _SHOUTING and all(map(str.isupper, letters))):
            problems.add("subject-shouting", line, "The subject shouts.")


def _as_shown(subject: str, issue: Issue) -> str:
    for slot in issue.slots:
        subject = subject.replace(slot.marker, slot.fallback)
    return subject


def _cells(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)


_CHECKS: tuple[Callable[[Issue, Problems], None], ...] = (
    _check_pictures,
    _check_links,
    _check_items,
    _check_twins,
    _check_cards,
    _check_inbox_line,
)
