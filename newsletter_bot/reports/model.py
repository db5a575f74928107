"""What is counted of an issue, as values: shares, times, domains, failures, clicks, growth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from newsletter_bot.delivery.model import IssueState
from newsletter_bot.feedback.mails.model import Fault

ENOUGH = 20  # a share of fewer is told as a count alone
KNOWN_BY = 5  # domains and words that stand for fewer readers are not named
DAYS = 7  # after a delivery in which an unsubscription is laid to it
_NEARLY_ALL = 99.9
_NO_BREAK = "\N{NO-BREAK SPACE}"
_PERCENT = f"{_NO_BREAK}%"


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many."""

    count: int
    of: int

    @property
    def percent(self) -> float | None:
        """The share in percent, where it is of enough to mean something."""
        return 100 * self.count / self.of if self.of >= ENOUGH else None

    def __str__(self) -> str:
        told = f"{self.count:,} of {self.of:,}"
        return told if self.percent is None else f"{told} ({written(self.percent)})"

    def to_json(self) -> dict[str, Any]:
        """Return the count, what it is of, and the share in percent."""
        percent = self.percent
        rounded = None if percent is None else round(percent, 4)
        return {"count": self.count, "of": self.of, "percent": rounded}


def written(percent: float) -> str:
    """Write a share in percent: more digits the smaller it is."""
    if percent in {0, 100}:
        return f"{percent:.0f}{_PERCENT}"
    if percent > _NEARLY_ALL:
        return f">{_NO_BREAK}{_NEARLY_ALL}{_PERCENT}"
    return f"{percent:.1f}{_PERCENT}" if percent >= 1 else f"{percent:#.2g}{_PERCENT}"


@dataclass(frozen=True, slots=True)
class About:
    """Which issue it is about, and how it stands."""

    issue: str
    title: str
    kind: str
    state: IssueState
    lists: tuple[str, ...]
    planned_at: datetime
    finished_at: datetime | None
    made_at: datetime

    def to_json(self) -> dict[str, Any]:
        """Return it with times as ISO 8601."""
        finished = self.finished_at
        return {
            "issue": self.issue,
            "title": self.title,
            "kind": self.kind,
            "state": self.state.value,
            "lists": list(self.lists),
            "planned_at": self.planned_at.isoformat(),
            "finished_at": None if finished is None else finished.isoformat(),
            "made_at": self.made_at.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class Timing:
    """When servers took the messages: seconds since the plan, and how many in each span."""

    p50: int
    p90: int
    last: int
    width: int  # seconds of each span
    spans: tuple[int, ...]  # accepted in each, from the plan on
    later: int  # accepted after the last of them: the few that waited for long

    def to_json(self) -> dict[str, Any]:
        """Return it; a span is told by the second it begins with."""
        spans = [
            {"from_seconds": place * self.width, "accepted": count}
            for place, count in enumerate(self.spans)
        ]
        return {
            "p50_seconds": self.p50,
            "p90_seconds": self.p90,
            "last_seconds": self.last,
            "span_seconds": self.width,
            "spans": spans,
            "later": self.later,
        }


@dataclass(frozen=True, slots=True)
class Domain:
    """What became of the deliveries to one domain; `name` is empty for all others together."""

    name: str
    readers: int
    accepted: int
    bounced: int  # of those accepted
    refused: int  # for good, or given up
    waiting: int  # deferred, sending, still owed
    other: int  # skipped, unknown

    @property
    def delivered(self) -> int:
        """Those accepted that did not come back."""
        return self.accepted - self.bounced

    def to_json(self) -> dict[str, Any]:
        """Return it; the domain is null for the others."""
        return {
            "domain": self.name or None,
            "readers": self.readers,
            "delivered": self.delivered,
            "bounced": self.bounced,
            "refused": self.refused,
            "waiting": self.waiting,
            "other": self.other,
        }


@dataclass(frozen=True, slots=True)
class Failure:
    """Why so many readers did not get it, in the words that all of them have in common."""

    when: str  # refused | expired | deferred | bounced: at once or later
    fault: Fault
    words: str  # empty where the words were said to fewer than KNOWN_BY readers
    rule: str  # what decided the class: of those words, the rule that most fall under
    readers: int

    def to_json(self) -> dict[str, Any]:
        """Return it."""
        return {
            "when": self.when,
            "class": self.fault.value,
            "words": self.words or None,
            "rule": self.rule,
            "readers": self.readers,
        }


@dataclass(frozen=True, slots=True)
class Clicks:
    """How often links were followed, and by how many readers, where that is known."""

    human: int = 0
    machine: int = 0
    unknown: int = 0
    readers: int = 0  # different ones behind the human clicks; 0 where readers are not told apart

    @property
    def total(self) -> int:
        """All clicks, whoever made them."""
        return self.human + self.machine + self.unknown

    def to_json(self) -> dict[str, Any]:
        """Return it."""
        return {
            "human": self.human,
            "machine": self.machine,
            "unknown": self.unknown,
            "readers": self.readers,
        }


@dataclass(frozen=True, slots=True)
class ItemClicks:
    """The clicks on one item's links, or on another link of the issue."""

    item: str  # the item's anchor, empty for other links
    title: str
    clicks: Clicks

    def to_json(self) -> dict[str, Any]:
        """Return it."""
        return {"item": self.item or None, "title": self.title, **self.clicks.to_json()}


@dataclass(frozen=True, slots=True)
class Variant:
    """One of several subjects, and what came of it."""

    subject: str
    sent: int
    clicked: int  # readers with a human click
    low: float  # Wilson's interval at 95 %, shares of 1
    high: float
    won: bool

    @property
    def share(self) -> Share:
        """Those who clicked, of those it was sent to."""
        return Share(self.clicked, self.sent)

    def to_json(self) -> dict[str, Any]:
        """Return it."""
        return {
            "subject": self.subject,
            "sent": self.sent,
            "clicked": self.share.to_json(),
            "low_percent": round(100 * self.low, 4),
            "high_percent": round(100 * self.high, 4),
            "won": self.won,
        }


@dataclass(frozen=True, slots=True)
class SubjectTest:
    """A test of subjects: of its sample, once it is decided."""

    variants: tuple[Variant, ...]
    decided: bool
    why: str

    def to_json(self) -> dict[str, Any]:
        """Return it."""
        variants = [one.to_json() for one in self.variants]
        return {"decided": self.decided, "why": self.why, "variants": variants}


@dataclass(frozen=True, slots=True)
class ListGrowth:
    """Who came to one list and who left it, from an issue to the next."""

    list: str
    joined: int = 0
    imported: int = 0
    left: int = 0
    by: Mapping[str, int] = field(default_factory=dict)  # how they left

    @property
    def net(self) -> int:
        """By how many the list grew."""
        return self.joined + self.imported - self.left

    def to_json(self) -> dict[str, Any]:
        """Return it."""
        return {
            "list": self.list,
            "joined": self.joined,
            "imported": self.imported,
            "left": self.left,
            "net": self.net,
            "left_by": dict(self.by),
        }


@dataclass(frozen=True, slots=True)
class Growth:
    """How the lists of an issue grew from its plan to that of the next one, or to now."""

    issue: str
    lists: tuple[ListGrowth, ...]

    @property
    def all(self) -> ListGrowth:
        """All lists together."""
        by: dict[str, int] = {}
        for one in self.lists:
            for name, count in one.by.items():
                by[name] = by.get(name, 0) + count
        return ListGrowth(
            "",
            sum(one.joined for one in self.lists),
            sum(one.imported for one in self.lists),
            sum(one.left for one in self.lists),
            by,
        )

    def to_json(self) -> dict[str, Any]:
        """Return it."""
        return {"issue": self.issue, "lists": [one.to_json() for one in self.lists]}
