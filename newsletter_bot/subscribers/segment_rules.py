"""Segment: a typed saved rule about people, as plain data; nothing here is evaluated.

Its words are those of docs/segments.md, a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, tzinfo
from enum import StrEnum
from string import ascii_lowercase, ascii_uppercase

from newsletter_bot.subscribers.model import SubscriptionState

DEEPEST = 8  # groups within each other
MOST_RULES = 100  # in a segment, groups counted
MOST_VALUES = 100  # in a rule
LONGEST_VALUE = 500  # characters
LONGEST_SPAN = 3650 * 86_400  # seconds

# Days that a rule may name: what every database and zone can reckon with.
FIRST_DAY, LAST_DAY = date(1970, 1, 2), date(2999, 12, 30)


class Kind(StrEnum):
    """How a group joins its rules: all of them hold, any of them, or none."""

    ALL = "all"
    ANY = "any"
    NOT = "not"


class Subject(StrEnum):
    """What a rule may be about."""

    FIELD = "field"  # one of the newsletter's own
    NAME = "name"
    LANGUAGE = "language"
    DOMAIN = "domain"  # of the address
    TAG = "tag"
    LIST = "list"
    ADDED = "added"
    CONFIRMED = "confirmed"
    LAST_RECEIVED = "last_received"
    RECEIVED = "received"
    OPENED = "opened"
    CLICKED = "clicked"
    LAST_OPENED = "last_opened"
    LAST_CLICKED = "last_clicked"


class Match(StrEnum):
    """How a text is compared; A to Z and a to z are the same, other letters are as written."""

    IS = "is"
    STARTS = "starts"
    CONTAINS = "contains"


# What is known of a reader only where opens or clicks are counted individually.
OPENS = frozenset({Subject.OPENED, Subject.LAST_OPENED})
CLICKS = frozenset({Subject.CLICKED, Subject.LAST_CLICKED})
TRACKED = OPENS | CLICKS

_FOLD = str.maketrans(ascii_uppercase, ascii_lowercase)

Moment = date | int  # a day, from its first second in the newsletter's zone; or seconds ago


@dataclass(frozen=True, slots=True)
class Span:
    """A time from `since` (included) to `before` (excluded); None is open."""

    since: Moment | None = None
    before: Moment | None = None


@dataclass(frozen=True, slots=True)
class Now:
    """When a rule is asked: what its days and durations are reckoned from."""

    at: int  # seconds since 1970 UTC
    zone: tzinfo

    def seconds(self, moment: Moment) -> int:
        """Return the instant that a rule means, in seconds since 1970 UTC."""
        if isinstance(moment, int):
            return self.at - moment
        return int(datetime.combine(moment, time.min, self.zone).timestamp())


@dataclass(frozen=True, slots=True)
class Text:
    """A text of a person equals, begins with or contains one of these."""

    subject: Subject
    match: Match
    values: tuple[str, ...]
    field: str = ""  # which, when the subject is a field


@dataclass(frozen=True, slots=True)
class Filled:
    """A text of a person is there, or is empty."""

    subject: Subject
    filled: bool
    field: str = ""


@dataclass(frozen=True, slots=True)
class Tagged:
    """A person has one of these tags, whatever their case."""

    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OnList:
    """A subscription to a list is in one of these states, and came into it within a time."""

    list: str
    states: tuple[SubscriptionState, ...] = (SubscriptionState.ACTIVE,)
    span: Span = Span()


@dataclass(frozen=True, slots=True)
class When:
    """The last time of something lies within a time; without a span, it has never been."""

    subject: Subject  # added, confirmed, or the last of something
    span: Span | None


@dataclass(frozen=True, slots=True)
class Received:
    """So many issues were accepted for a person, opened or clicked in by them, within a time."""

    at_least: int | None = None
    at_most: int | None = None
    span: Span = Span()
    subject: Subject = Subject.RECEIVED  # or opened, or clicked


@dataclass(frozen=True, slots=True)
class Group:
    """Rules of which all, any or none hold."""

    kind: Kind
    rules: tuple[Rule, ...]


Leaf = Text | Filled | Tagged | OnList | When | Received
Rule = Leaf | Group


@dataclass(frozen=True, slots=True)
class Segment:
    """A saved rule with its name; that of a query is empty. The outermost group is `all`."""

    rule: Group
    name: str = ""
    title: str = ""
    description: str = ""


def leaves(rule: Rule) -> Iterator[Leaf]:
    """Yield the rules that are no groups, in order."""
    if isinstance(rule, Group):
        for one in rule.rules:
            yield from leaves(one)
    else:
        yield rule


def folded(text: str) -> str:
    """Write A to Z as a to z and nothing else: what SQLite's and PostgreSQL's "C" lower() do."""
    return text.translate(_FOLD)
