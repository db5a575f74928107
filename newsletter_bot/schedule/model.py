"""Occurrences and what becomes of them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

ONCE = "once"  # the slot of an issue that has a time of its own


class OccurrenceState(StrEnum):
    """Where a concrete date of a slot stands."""

    OPEN = "open"  # nothing was chosen for it yet
    ANNOUNCED = "announced"  # its grace period runs: `cancel` loses nothing
    STARTED = "started"  # a process is planning its issue
    SENT = "sent"  # its issue is planned, hence owed to everybody
    MISSED = "missed"
    SKIPPED = "skipped"


WAITING = (OccurrenceState.OPEN, OccurrenceState.ANNOUNCED)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One concrete date of a slot; times are seconds since 1970 UTC."""

    slot: str
    date: str
    due_at: int
    state: OccurrenceState
    issue: str = ""
    reason: str = ""
    announced_at: int | None = None
    lease_until: int = 0
    fence: int = 0
    bound: bool = False  # the operator chose its issue

    @property
    def day(self) -> dt.date:
        """The local date."""
        return dt.date.fromisoformat(self.date[:10])

    @property
    def key(self) -> tuple[str, str]:
        """What makes it one."""
        return (self.slot, self.date)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An issue that has not been planned, as the schedule sees it."""

    identity: str
    ready: bool  # its file says so
    rendering: str = ""  # hash of what would be sent, and to whom
    approved: str = ""  # hash of what was approved
    approved_at: int = 0
    published: dt.date | None = None
    trouble: str = ""  # why it cannot be sent as it is
    digest: bool = False  # the monthly one, which takes no slot by itself
