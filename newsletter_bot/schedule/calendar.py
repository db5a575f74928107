"""What goes out when: occurrences as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from newsletter_bot.schedule.choice import choose, objection
from newsletter_bot.schedule.model import Candidate, Occurrence, OccurrenceState
from newsletter_bot.schedule.slots import between
from newsletter_bot.schedule.store import OccurrenceStore
from newsletter_bot.settings import Settings
from newsletter_bot.settings.tables import SlotTable

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the calendar."""

    slot: str
    occurrence: str  # local date, or date and time of an issue with a time of its own
    due_at: int
    local: str
    utc: str
    away: str  # "in 3 days"
    issue: str
    state: str
    reason: str

    def to_json(self) -> dict[str, str]:
        """Return the fields that scripts read."""
        names = ("slot", "occurrence", "local", "utc", "issue", "state", "reason")
        return {name: getattr(self, name) for name in names}


def calendar(
    store: OccurrenceStore,
    settings: Settings,
    candidates: Sequence[Candidate],
    *,
    before: int,
    ahead: int,
) -> list[Entry]:
    """Return the occurrences from `before` to `ahead` seconds around now, the earliest first."""
    now, zone = store.now(), settings.newsletter.zone
    known = {one.key: one for one in store.between(now - before, now + ahead)}
    for one in between(settings.slots, zone, now, now + ahead):
        fresh = Occurrence(one.slot, one.date, one.due_at, OccurrenceState.OPEN)
        known.setdefault(fresh.key, fresh)
    rows = sorted(known.values(), key=lambda one: (one.due_at, one.slot))
    slots = {one.id: one for one in settings.slots}
    return [_entry(one, zone, now) for one in _foreseen(rows, slots, candidates)]


def _foreseen(
    rows: Iterable[Occurrence], slots: dict[str, SlotTable], candidates: Sequence[Candidate]
) -> list[Occurrence]:
    """Fill in which issue would be chosen for each open occurrence, as things stand."""
    rows = list(rows)
    free = {one.identity: one for one in candidates}
    for one in rows:
        free.pop(one.issue, None)
    found = []
    known = {one.identity: one for one in candidates}
    for one in rows:
        slot = slots.get(one.slot)
        approval = slot is None or slot.approval == "required"
        if one.state is OccurrenceState.OPEN and one.issue in known:
            why = objection(known[one.issue], approval=approval)
            one = replace(one, reason=one.reason or why)  # noqa: PLW2901
        elif one.state is OccurrenceState.OPEN and not one.issue:
            choice = choose(free.values(), one.day, approval=approval)
            free.pop(choice.issue, None)
            one = replace(one, issue=choice.issue, reason=one.reason or choice.reason)  # noqa: PLW2901
        found.append(one)
    return found


def _entry(one: Occurrence, zone: ZoneInfo, now: int) -> Entry:
    local = datetime.fromtimestamp(one.due_at, zone)
    return Entry(
        slot=one.slot,
        occurrence=one.date,
        due_at=one.due_at,
        local=local.isoformat(),
        utc=datetime.fromtimestamp(one.due_at, UTC).isoformat().replace("+00:00", "Z"),
        away=away(one.due_at - now),
        issue=one.issue,
        state=one.state.value,
        reason=one.reason,
    )


def away(seconds: int) -> str:
    """Say how far off an instant is: "in 3 days", "2 hours ago", "now"."""
    size = abs(seconds)
    for unit, name in ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute")):
        count = round(size / unit)
        if size >= unit:
            words = f"{count} {name}{'s' if count != 1 else ''}"
            return f"in {words}" if seconds > 0 else f"{words} ago"
    return "now"
