"""CrossPost: one item or issue on one channel, its states, and what a run made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class CrossPostState(StrEnum):
    """Where a cross-post stands."""

    PLANNED = "planned"
    POSTING = "posting"  # committed before the request leaves
    POSTED = "posted"
    FAILED = "failed"
    UNKNOWN = "unknown"  # it may be there: nobody heard the reply, and asking again could double it
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Details:
    """What a channel may show beside the text."""

    title: str = ""
    description: str = ""
    newsletter: str = ""
    language: str = "en"
    tags: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        return {**asdict(self), "tags": list(self.tags)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Details:
        """Read what `to_json` wrote."""
        return cls(**{**stored, "tags": tuple(stored["tags"])})


@dataclass(frozen=True, slots=True)
class Draft:
    """What would be posted; `problem` says why it cannot be, and `text` is empty then."""

    channel: str
    item: str  # the item's anchor, empty for the issue as a whole
    part: int  # place in a thread, from 0
    text: str
    weight: int
    limit: int
    url: str
    cost_usd: float
    details: Details = field(default_factory=Details)
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """As `crosspost --dry-run --json` prints it."""
        shown = {
            "channel": self.channel,
            "item": self.item,
            "text": self.text,
            "weight": self.weight,
            "limit": self.limit,
            "url": self.url,
            "cost_usd": self.cost_usd,
        }
        return {**shown, "problem": self.problem} if self.problem else shown


@dataclass(frozen=True, slots=True)
class CrossPost:
    """A row of the ledger; times are seconds since 1970 UTC."""

    id: int
    issue: str
    item: str
    channel: str
    part: int
    state: CrossPostState
    text: str
    url: str
    key: str
    cost: float
    details: Details
    remote_id: str
    remote_url: str
    reason: str
    attempts: int
    attempted_at: int | None
    not_before: int | None
    made_at: int
    changed_at: int

    def to_json(self) -> dict[str, Any]:
        """As `crosspost --json` prints it."""
        return {
            "channel": self.channel,
            "item": self.item,
            "part": self.part,
            "state": self.state,
            "remote_url": self.remote_url,
            "reason": self.reason,
            "cost_usd": self.cost,
        }


@dataclass(frozen=True, slots=True)
class Post:
    """What a channel is given to post."""

    issue: str
    item: str
    part: int
    text: str
    url: str
    key: str  # the same at every attempt: for services that know a post by it
    made_at: int
    details: Details
    again: bool = False  # an earlier attempt may have gone through
    replies_to: str = ""  # remote id of the part before, in a thread
    thread: str = ""  # remote id of the thread's first part


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a service told of a post; `note` is for the operator."""

    remote_id: str = ""
    remote_url: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A post that failed, or whose outcome is unknown, in this run."""

    channel: str
    item: str
    reason: str
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class Posted:
    """How a run of `post` ended: numbers are of this run, `owed` is what is left to be tried."""

    posted: int = 0
    failed: int = 0
    unknown: int = 0
    skipped: int = 0
    owed: int = 0
    busy: bool = False  # another process is posting this issue
    failures: tuple[Failure, ...] = ()
