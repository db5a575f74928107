"""Issue → Section → Item: what an editor's Markdown file says, typed, with line numbers.

Everything here is plain data. `html` fields are already sanitised, well-formed fragments; `text`
and `title` fields are plain text, to be escaped where they come out. Both may hold *markers*:
short alphanumeric tokens that stand for a slot or for the edge of an `only` block. Markers survive
MJML, premailer and HTML escaping, and rendering cuts the finished message at them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path

from newsletter_bot.errors import Problem

# How often a reader wants mail, and hence for whom an issue is; People's words for it are the same.
EVERY, MONTHLY = "every", "monthly"


class Kind(StrEnum):
    """What a file is, which its place says."""

    ISSUE = "issue"
    WELCOME = "welcome"  # sent to newcomers at once, unless it says otherwise
    SEQUENCE = "sequence"  # sent to newcomers after the delay it says


class Status(StrEnum):
    """What the editor says of the file."""

    DRAFT = "draft"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Slot:
    """`{{ name | fallback }}`: a hole filled per subscriber, standing in the text as `marker`."""

    name: str
    fallback: str
    marker: str
    line: int


@dataclass(frozen=True, slots=True)
class Condition:
    """One `field=value,value` (or `field!=value`) of an `only` block; compared case-blind."""

    field: str
    values: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class OnlyBlock:
    """`::: only plan=supporter … :::`: all its conditions must hold for a reader to see it."""

    conditions: tuple[Condition, ...]
    begin: str
    end: str
    line: int


@dataclass(frozen=True, slots=True)
class Image:
    """A picture: its address as written, and the local file behind it when there is one."""

    src: str
    alt: str
    line: int
    path: Path | None = None
    width: int | None = None
    height: int | None = None

    @property
    def is_remote(self) -> bool:
        """True for a picture that somebody else hosts; it is never fetched here."""
        return self.src.startswith(("https://", "http://"))


@dataclass(frozen=True, slots=True)
class Caption:
    """The line under a picture: `*[2102.06171] Original title*`."""

    source_id: str | None
    title: str
    line: int


@dataclass(frozen=True, slots=True)
class Prose:
    """A run of paragraphs, lists, tables, quotes, code: sanitised, well-formed HTML."""

    html: str
    line: int


@dataclass(frozen=True, slots=True)
class Card:
    """A link shown as a box; what it says was stored beside the issue when it was clipped."""

    url: str
    line: int
    title: str = ""
    description: str = ""
    image: str = ""

    @property
    def host(self) -> str:
        """The site's name, as readers know it: the host without `www.`."""
        return self.url.partition("://")[2].partition("/")[0].removeprefix("www.")


@dataclass(frozen=True, slots=True)
class Link:
    """A link in the text: where it leads, what it says, on which line."""

    url: str
    text: str
    line: int


Body = tuple[Prose | Card, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """One paper, article or link: the unit that readers read and channels post."""

    title: str
    line: int
    anchor: str
    title_html: str = ""
    url: str | None = None
    image: Image | None = None
    caption: Caption | None = None
    body: Body = ()
    one_liner: str | None = None
    tags: tuple[str, ...] = ()
    pick: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A group of items under one heading; without items it is opening or closing text."""

    title: str
    line: int
    anchor: str
    title_html: str = ""
    intro: Body = ()
    items: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class Issue:
    """One weekly number, as its file says it."""

    identity: str
    path: Path
    title: str
    subjects: tuple[str, ...]
    preheader: str
    lists: tuple[str, ...]
    status: Status
    language: str
    source: str = field(repr=False)
    tags: tuple[str, ...] = ()
    published: date | None = None
    intro: Body = ()
    sections: tuple[Section, ...] = ()
    closing: tuple[Section, ...] = ()
    footnotes: Prose | None = None
    images: tuple[Image, ...] = ()
    links: tuple[Link, ...] = ()
    lines: Mapping[str, int] = field(default_factory=dict, repr=False)
    slots: tuple[Slot, ...] = ()
    only_blocks: tuple[OnlyBlock, ...] = ()
    problems: tuple[Problem, ...] = ()
    delay: int | None = None  # seconds after subscribing, of a sequence message alone
    segment: str = ""  # the name of the rule that its readers match
    frequency: str = EVERY  # that its readers chose

    @property
    def is_sequence(self) -> bool:
        """True for a message that newcomers get, each at their own time."""
        return self.delay is not None

    @property
    def is_digest(self) -> bool:
        """True for what those get who asked for one mail a month."""
        return self.frequency == MONTHLY

    @property
    def is_for_all(self) -> bool:
        """True for an issue for everybody on its lists: archive and channels show it to the world.

        What is for newcomers, for a segment, or repeats others as a digest does, has a page for
        those alone who have its address.
        """
        return not (self.is_sequence or self.is_digest or self.segment)

    @property
    def items(self) -> tuple[Item, ...]:
        """Every item of the issue, in reading order."""
        return tuple(item for section in self.sections for item in section.items)

    @property
    def picks(self) -> tuple[Item, ...]:
        """The items the editor marked `{pick}`."""
        return tuple(item for item in self.items if item.pick)

    @property
    def subject(self) -> str:
        """The subject line: the first of `subjects`."""
        return self.subjects[0]
