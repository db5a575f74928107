"""The rules of a slot: looks at what is due, and takes each occurrence one step further.

Every step is a row that changes under a condition, so that any number of processes may sweep at
any time, be killed in between, and the occurrence still starts once (promise 4).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from newsletter_bot.errors import NewsletterError, TryAgainError
from newsletter_bot.schedule.choice import Choice, choose, objection
from newsletter_bot.schedule.model import ONCE, WAITING, Candidate, Occurrence, OccurrenceState
from newsletter_bot.schedule.slots import between
from newsletter_bot.schedule.store import OccurrenceStore
from newsletter_bot.settings import Settings
from newsletter_bot.settings.tables import SlotTable, seconds

_DAY = 86_400
_AHEAD = 14 * _DAY  # rows are made for this long
_BACK = 90 * _DAY  # occurrences missed before that are not told any more
_ON_TIME = 300  # seconds that an occurrence may be overdue without being a late one
_LEASE = 120  # seconds that a process has for planning, before another one takes over


class Happening(StrEnum):
    """What a sweep has to tell."""

    ANNOUNCED = "announced"
    SENT = "sent"
    NONE_READY = "none-ready"
    SKIPPED = "skipped"
    MISSED = "missed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that happened to an occurrence, for logs and alerts."""

    happening: Happening
    occurrence: Occurrence
    issue: str
    reason: str = ""


class Newsroom(Protocol):
    """What the schedule asks of the rest of the program."""

    def candidates(self) -> Sequence[Candidate]:
        """Return the issues that have not been planned."""
        ...

    def is_planned(self, issue: str) -> bool:
        """Tell whether the ledger owes an issue to its readers already."""
        ...

    def plan(self, issue: str, *, approval: bool) -> None:
        """Publish an issue and owe it to everybody; a second time it changes nothing.

        Raises TryAgainError for bad weather, NewsletterError for an issue that may not be sent.
        """
        ...


class Sweep:
    """Takes what is due through its states; made once for a process."""

    def __init__(
        self,
        store: OccurrenceStore,
        settings: Settings,
        newsroom: Newsroom,
        tell: Callable[[Notice], None],
    ) -> None:
        self._store = store
        self._slots = {one.id: one for one in settings.slots}
        self._zone = settings.newsletter.zone
        self._newsroom = newsroom
        self._tell = tell

    def look(self) -> None:
        """Do everything that can be done now."""
        now = self._store.now()
        self._prepare(now)
        grace = max((seconds(one.grace) for one in self._slots.values()), default=0)
        live = self._store.live(now + grace)
        dropped = self._too_many(live, now)
        for one in live:
            if one in dropped:
                self._miss(one, "a later occurrence was due as well")
            elif one.state is OccurrenceState.STARTED:
                self._take_over(one, now)
            else:
                self._advance(one, now)

    # ── which rows there are ─────────────────────────────────────────────────────────────────

    def _prepare(self, now: int) -> None:
        """Make rows for what is to come and for what was missed; drop what is no slot any more."""
        seen = self._store.seen_until()
        begin = max(min(seen if seen is not None else now, now), now - _BACK)
        wanted = between(self._slots.values(), self._zone, begin, now + _AHEAD)
        known = {one.key: one for one in self._store.between(begin - _AHEAD, now + 2 * _AHEAD)}
        new = [
            one
            for one in wanted
            if (one.slot, one.date) not in known or known[one.slot, one.date].due_at != one.due_at
        ]
        self._store.add(new)
        keys = {(one.slot, one.date) for one in wanted}
        for one in known.values():
            if one.due_at > now and one.slot != ONCE and one.key not in keys:
                self._drop(one)

    def _drop(self, one: Occurrence) -> None:
        if one.due_at > self._store.now() + _AHEAD or one.state not in WAITING:
            return
        if not one.issue:
            self._store.withdraw([one.key])
            return
        reason = f"the slot {one.slot} was changed: schedule {one.issue} again"
        if self._store.close(one, OccurrenceState.SKIPPED, reason):
            self._tell(Notice(Happening.SKIPPED, one, one.issue, reason))

    def _too_many(self, live: Sequence[Occurrence], now: int) -> list[Occurrence]:
        """Return what is late while something later is due: two issues never go out together."""
        due = [one for one in live if one.state in WAITING and one.due_at <= now]
        return [one for one in due[:-1] if now - one.due_at > _ON_TIME]

    # ── one occurrence ───────────────────────────────────────────────────────────────────────

    def _advance(self, one: Occurrence, now: int) -> None:
        slot = self._slots.get(one.slot)
        # What was announced in time may use its grace.
        announced = one.state is OccurrenceState.ANNOUNCED
        if now > one.due_at + _late(slot) + (_grace(slot) if announced else 0):
            self._miss(one, one.reason or "nobody was there to send it: the bot was not running")
            return
        choice = self._choice(one, slot)
        if one.state is OccurrenceState.ANNOUNCED:
            self._announced(one, choice, now)
        elif choice.issue:
            self._announce(one, choice.issue, now)
        elif now >= one.due_at:
            self._nothing_ready(one, slot, choice.reason)

    def _choice(self, one: Occurrence, slot: SlotTable | None) -> Choice:
        approval = slot is None or slot.approval == "required"
        candidates = self._newsroom.candidates()
        if not one.bound:
            taken = {other.issue for other in self._store.live(one.due_at + _AHEAD) if other.bound}
            free = [each for each in candidates if each.identity not in taken]
            return choose(free, one.day, approval=approval)
        found = next((each for each in candidates if each.identity == one.issue), None)
        if found is None:
            gone = "was sent already" if self._newsroom.is_planned(one.issue) else "has no file"
            return Choice(reason=f"{one.issue} {gone}")
        why = objection(found, approval=approval)
        return Choice(reason=why) if why else Choice(issue=one.issue)

    def _announce(self, one: Occurrence, issue: str, now: int) -> None:
        if not self._store.announce(one, issue):
            return
        self._tell(Notice(Happening.ANNOUNCED, one, issue))
        fresh = next((row for row in self._store.live(one.due_at) if row.key == one.key), None)
        if fresh is not None and fresh.state is OccurrenceState.ANNOUNCED:
            self._announced(fresh, Choice(issue=issue), now)

    def _announced(self, one: Occurrence, choice: Choice, now: int) -> None:
        if choice.issue != one.issue:
            reason = choice.reason or f"{choice.issue} takes the place of {one.issue}"
            self._store.reopen(one, reason)
            return
        slot = self._slots.get(one.slot)
        if now < max(one.due_at, (one.announced_at or now) + _grace(slot)):
            return
        fence = self._store.claim(one, _LEASE)
        if fence is not None:
            self._start(one, fence)

    def _nothing_ready(self, one: Occurrence, slot: SlotTable | None, reason: str) -> None:
        if slot is not None and slot.none_ready == "skip":
            if self._store.close(one, OccurrenceState.SKIPPED, reason):
                self._tell(Notice(Happening.SKIPPED, one, one.issue, reason))
        elif self._store.note(one, reason):
            self._tell(Notice(Happening.NONE_READY, one, one.issue, reason))

    def _miss(self, one: Occurrence, reason: str) -> None:
        if self._store.close(one, OccurrenceState.MISSED, reason):
            self._tell(Notice(Happening.MISSED, one, one.issue, reason))

    def _take_over(self, one: Occurrence, now: int) -> None:
        """Go on where a process ended that had begun."""
        fence = self._store.claim(one, _LEASE)
        if fence is None:
            return
        late = now > one.due_at + _late(self._slots.get(one.slot))
        if late and not self._newsroom.is_planned(one.issue):
            reason = "the bot ended while it was being planned"
            if self._store.settle(one, fence, OccurrenceState.MISSED, reason):
                self._tell(Notice(Happening.MISSED, one, one.issue, reason))
            return
        self._start(one, fence)

    def _start(self, one: Occurrence, fence: int) -> None:
        slot = self._slots.get(one.slot)
        approval = slot is None or slot.approval == "required"
        if not self._store.holds(one, fence):
            return
        try:
            self._newsroom.plan(one.issue, approval=approval)
        except TryAgainError as error:
            self._store.settle(one, fence, OccurrenceState.ANNOUNCED, error.message)
            self._tell(Notice(Happening.FAILED, one, one.issue, error.message))
        except NewsletterError as error:
            self._store.settle(one, fence, OccurrenceState.OPEN, error.message)
            self._tell(Notice(Happening.FAILED, one, one.issue, error.message))
        else:
            self._store.settle(one, fence, OccurrenceState.SENT)
            self._tell(Notice(Happening.SENT, one, one.issue))


def _late(slot: SlotTable | None) -> int:
    return seconds(slot.late) if slot else seconds(SlotTable.model_fields["late"].default)


def _grace(slot: SlotTable | None) -> int:
    return seconds(slot.grace) if slot else 0
