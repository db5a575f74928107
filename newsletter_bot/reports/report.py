"""A report, and a comparison of issues: what they hold, and how they are written as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from newsletter_bot.delivery.model import Tally
from newsletter_bot.reports.model import (
    DAYS,
    About,
    Clicks,
    Domain,
    Failure,
    Growth,
    ItemClicks,
    Share,
    SubjectTest,
    Timing,
)

# What Gmail asks of senders: below the first, never at the second (its guidelines, read 2026-11).
GOOD_RATE, BAD_RATE = 0.1, 0.3  # percent
UNRELIABLE = (
    "Opens are no readers: mail programs and proxies fetch pictures that nobody saw,"
    " and many who read load none."
)


@dataclass(frozen=True, slots=True)
class Figures:
    """What an issue is compared by."""

    tally: Tally
    bounced: int  # of those accepted
    complained: int
    left: Mapping[str, int]  # who unsubscribed within DAYS, by how
    clicks: Clicks

    @property
    def bounces(self) -> Share:
        """Messages that came back, of those accepted."""
        return Share(self.bounced, self.tally.accepted)

    @property
    def delivered(self) -> Share:
        """Messages that did not come back, of all that were planned and not skipped."""
        wanted = self.tally.planned - self.tally.skipped
        return Share(self.tally.accepted - self.bounced, wanted)

    @property
    def complaints(self) -> Share:
        """Readers who called it spam, of those it was delivered to."""
        return Share(self.complained, self.delivered.count)

    @property
    def unsubscribed(self) -> Share:
        """Readers who left after it, of those it was delivered to."""
        return Share(sum(self.left.values()), self.delivered.count)

    @property
    def clickers(self) -> Share | None:
        """Readers with a human click, of those it was delivered to; None where nobody knows.

        They are not known where clicks are not counted, or counted without a reader.
        """
        known = self.clicks.readers or (self.clicks.total and not self.clicks.human)
        return Share(self.clicks.readers, self.delivered.count) if known else None

    @property
    def level(self) -> str:
        """How the rate of complaints stands to what Gmail asks for: good, high, bad, or unknown."""
        rate = self.complaints.percent
        if rate is None:
            return "unknown"
        return "good" if rate < GOOD_RATE else "high" if rate < BAD_RATE else "bad"

    def to_json(self) -> dict[str, Any]:
        """Return it."""
        counts = self.tally.to_json()
        del counts["issue"], counts["state"]
        left = {**self.unsubscribed.to_json(), "within_days": DAYS, "by": dict(self.left)}
        return {
            "outcomes": counts,
            "delivered": self.delivered.to_json(),
            "bounced": self.bounces.to_json(),
            "complaints": {**self.complaints.to_json(), "level": self.level},
            "unsubscribed": left,
            "clickers": None if self.clickers is None else self.clickers.to_json(),
            "clicks": self.clicks.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What one issue came to."""

    about: About
    figures: Figures
    timing: Timing | None  # None while nothing was accepted
    domains: Sequence[Domain]
    failures: Sequence[Failure]
    skipped: Mapping[str, int]  # why
    items: Sequence[ItemClicks]
    opens: Clicks
    test: SubjectTest | None
    growth: Sequence[Growth]

    def to_json(self) -> dict[str, Any]:
        """Return the document of `report ISSUE --json`."""
        return {
            **self.about.to_json(),
            **self.figures.to_json(),
            "delivery": None if self.timing is None else self.timing.to_json(),
            "domains": [one.to_json() for one in self.domains],
            "failures": [one.to_json() for one in self.failures],
            "skipped": dict(self.skipped),
            "items": [one.to_json() for one in self.items],
            "opens": {**_without_readers(self.opens), "note": UNRELIABLE},
            "subject_test": None if self.test is None else self.test.to_json(),
            "growth": [one.to_json() for one in self.growth],
        }


def _without_readers(clicks: Clicks) -> dict[str, Any]:
    return {name: count for name, count in clicks.to_json().items() if name != "readers"}


@dataclass(frozen=True, slots=True)
class Row:
    """One issue of several."""

    about: About
    figures: Figures
    growth: Growth

    def to_json(self) -> dict[str, Any]:
        """Return it."""
        about = self.about.to_json()
        del about["made_at"]
        lists = [one.to_json() for one in self.growth.lists]
        return {**about, **self.figures.to_json(), "growth": lists}


@dataclass(frozen=True, slots=True)
class Comparison:
    """What several issues came to, the oldest first."""

    made_at: datetime
    rows: Sequence[Row]

    def to_json(self) -> dict[str, Any]:
        """Return the document of `report --compare --json`."""
        return {"made_at": self.made_at.isoformat(), "issues": [one.to_json() for one in self.rows]}
