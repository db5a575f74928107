"""An issue file → Issue: every problem is gathered, with its line, and said at once."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from PIL import Image as Picture
from PIL import UnidentifiedImageError

from newsletter_bot.errors import DataError, IssueFileError
from newsletter_bot.issues import front_matter, limits, links, markdown
from newsletter_bot.issues.front_matter import FrontMatter
from newsletter_bot.issues.model import Card, Image, Issue, Kind, Link, Prose
from newsletter_bot.issues.problems import Problems
from newsletter_bot.issues.slots import Slots, warn_of_braces
from newsletter_bot.issues.structure import Structure, structure

LARGEST_FILE = 250_000  # bytes
MOST_LINES = 10_000
MOST_ITEMS = 1000


@dataclass(frozen=True, slots=True)
class Known:
    """What a newsletter says about all its files."""

    fields: frozenset[str]  # the names a slot may have
    lists: frozenset[str]
    language: str  # of an issue which does not say


def read_issue(path: Path, known: Known, kind: Kind = Kind.ISSUE) -> Issue:
    """Parse the file at `path`; raises IssueFileError with every problem."""
    return parse_issue(read_text(path), path, known, kind)


def read_text(path: Path) -> str:
    """Read a text file of an editor; raises DataError or IssueFileError saying what it is not."""
    problems = Problems()
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= LARGEST_FILE else b""
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    if size > LARGEST_FILE:
        problems.add(
            "too-large", 1, f"{size:,} bytes; an issue file holds {LARGEST_FILE:,} at most."
        )
    elif b"\0" in data:
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        problems.add("not-text", line, "A NUL character: this is no text file.")
    else:
        try:
            return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            problems.add("not-text", line, "Not UTF-8 text: save the file as UTF-8.")
    raise IssueFileError(path, problems.all())


def parse_issue(text: str, path: Path, known: Known, kind: Kind = Kind.ISSUE) -> Issue:
    """Parse an issue file's text; `path` tells where its pictures and cards are."""
    problems = Problems()
    values, rest = front_matter.split(text, problems)
    front = front_matter.read(values, known.lists, problems)
    front_matter.settle_kind(front, kind, problems)
    if not front.identity and "issue" not in front.lines:
        front.identity = front_matter.identity(path.stem, problems)
    _refuse_unreadable(rest, path, problems)
    slots = Slots.of(text, known.fields)
    document = markdown.parse(slots.mark(rest), slots, problems)
    images = _images(document.images, path, problems)
    by_place = {(image.src, image.line): image for image in images}
    found = structure(document, by_place, _cards(path, problems))
    issue = _issue(front, found, path, known.language, text)
    issue = _with_marked_slots(issue, front, slots, problems)
    if document.footnotes:
        html = document.html(document.footnotes).partition("<ol>")
        issue = replace(issue, footnotes=Prose("".join(html[1:]), 1))
    if document.complete:
        _count_items(issue, kind, problems)
    kept = slots.kept(problems)
    problems.reword(slots.shown)
    if problems.errors:
        raise IssueFileError(path, problems.all())
    return replace(
        issue,
        images=images,
        links=tuple(Link(*one) for one in document.links),
        slots=kept,
        only_blocks=tuple(document.only_blocks),
        problems=problems.all(),
    )


def _refuse_unreadable(text: str, path: Path, problems: Problems) -> None:
    """Raise for what the parser would not get through in time, before it begins."""
    limits.refuse_unprintable(text, problems)
    if (count := text.count("\n")) >= MOST_LINES:
        message = f"{count + 1:,} lines; an issue file holds {MOST_LINES:,} at most."
        problems.add("too-large", MOST_LINES, message)
    elif (deep := limits.too_deep(text)) is not None:
        problems.add("deep-nesting", deep, f"Quotes nested deeper than {limits.DEEPEST} levels.")
    elif (crowded := limits.too_many_definitions(text)) is not None:
        message = "Too many lines like `[name]: address`, or too many in one place."
        problems.add("too-large", crowded, message)
    else:
        return
    raise IssueFileError(path, problems.all())


def _issue(front: FrontMatter, found: Structure, path: Path, language: str, text: str) -> Issue:
    title = front.title or found.title or front.identity or path.stem
    if front.delay is not None and front.subjects:  # a file's name is nothing for newcomers
        title = front.title or found.title or front.subjects[0]
    return Issue(
        identity=front.identity or path.stem,
        path=path,
        title=title,
        subjects=(),
        preheader=front.preheader,
        lists=front.lists,
        status=front.status,
        language=front.language or language,
        source=text,
        tags=front.tags,
        published=front.published,
        delay=front.delay,
        segment=front.segment,
        frequency=front.frequency,
        intro=found.intro,
        sections=found.sections,
        closing=found.closing,
        lines=front.lines,
    )


def _with_marked_slots(issue: Issue, front: FrontMatter, slots: Slots, problems: Problems) -> Issue:
    """Let a subject and preheader greet a reader; a title is the same for all."""

    def marked(text: str, *keys: str) -> str:
        line = next((front.lines[key] for key in keys if key in front.lines), 1)
        made = slots.mark(text, line)
        if front.lines.keys() & {*keys}:
            warn_of_braces(made, line, problems)
        return made

    title = marked(issue.title, "title")
    subjects = tuple(marked(one, "subject", "subjects") for one in front.subjects)
    return replace(
        issue,
        title=slots.with_fallbacks(title),
        subjects=subjects or (title,),
        preheader=marked(issue.preheader, "preheader"),
    )


def _count_items(issue: Issue, kind: Kind, problems: Problems) -> None:
    count = len(issue.items)
    if not count and kind is Kind.ISSUE:  # a welcome is often a letter
        message = "No items: write sections (## Papers) with items below (### [Title](address))."
        problems.add("no-items", issue.lines.get("issue", 1), message)
    elif count > MOST_ITEMS:
        problems.add("too-large", issue.items[MOST_ITEMS].line, f"More than {MOST_ITEMS} items.")


def _images(found: list[tuple[str, str, int]], path: Path, problems: Problems) -> tuple[Image, ...]:
    sizes: dict[Path, tuple[int, int] | None] = {}
    return tuple(_image(Image(*one), path.parent, sizes, problems) for one in found)


def _image(
    image: Image, folder: Path, sizes: dict[Path, tuple[int, int] | None], problems: Problems
) -> Image:
    src = image.src
    if image.is_remote or not src:
        return image
    try:
        place = (folder / unquote(src)).resolve()  # the parser writes a blank as %20
    except (OSError, RuntimeError, ValueError):  # too long, a loop of links, a NUL
        return image
    if not place.is_relative_to(folder.resolve()):
        problems.add("image-outside", image.line, f"{src} is outside the issue's folder.")
        return image
    if place not in sizes:
        sizes[place] = _size(place)
    size = sizes[place]
    return image if size is None else replace(image, path=place, width=size[0], height=size[1])


def _size(place: Path) -> tuple[int, int] | None:
    try:
        with Picture.open(place) as picture:
            return picture.size
    except (OSError, UnidentifiedImageError, ValueError, Picture.DecompressionBombError):
        return None


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not limits.UNPRINTABLE.search(value)


def _cards(path: Path, problems: Problems) -> dict[str, Card]:
    beside = path.with_name(f"{path.stem}.cards.json")
    if not beside.exists():
        return {}
    try:
        data: Any = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        problems.add("cards-file", 1, f"{beside.name} cannot be read: {error}.")
        return {}
    cards = {}
    for url, value in data.items() if isinstance(data, dict) else [("", None)]:
        if not isinstance(value, dict) or not all(_is_text(one) for one in value.values()):
            problems.add("cards-file", 1, f"{beside.name}: {url!r} needs texts by name.")
            continue
        known = {name: value.get(name, "") for name in ("title", "description", "image")}
        cards[links.in_ascii(url)] = Card(links.in_ascii(url), 1, **known)
    return cards
