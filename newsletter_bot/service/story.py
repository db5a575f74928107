"""What happens in a simulated week: what the editor does, and what befalls the machine."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

from newsletter_bot.schedule.slots import Planned
from newsletter_bot.settings.tables import SlotTable, seconds

HOUR, DAY = 3600, 86_400


class Editor(StrEnum):
    """What an editor does for an occurrence."""

    PUNCTUAL = "ready a day before"
    LATE = "ready an hour late"
    TOO_LATE = "ready too late"
    NOTHING = "nothing"
    EDITS = "edits after approving, approves again"
    FORGETS = "edits after approving"
    DELETES = "deletes the file"
    CANCELS = "cancels in the grace period"


class Machine(StrEnum):
    """What befalls the machine around an occurrence."""

    FINE = "fine"
    KILLED = "killed"
    DOWN = "down, back in time"
    AWAY = "down, back too late"
    BACK = "clock set back a day"
    FORWARD = "clock set forward two hours"


class Do(StrEnum):
    """One step of a story."""

    LOOK = "look"
    WRITE = "write"
    APPROVE = "approve"
    EDIT = "edit"
    DELETE = "delete"
    CANCEL = "cancel"
    ARM = "arm"  # the next look is cut short by a kill
    SET_CLOCK = "set the clock"


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """Something that happens at an instant (seconds since 1970 UTC)."""

    at: int
    order: int
    do: Do
    issue: str = ""
    amount: int = 0


@dataclass(frozen=True, slots=True)
class Week:
    """One occurrence with what happens around it."""

    planned: Planned
    issue: str
    editor: Editor
    machine: Machine


def week(planned: Planned, issue: str, chance: random.Random) -> Week:
    """Draw what happens; more than half of the weeks are ordinary ones."""
    editor = chance.choices(list(Editor), weights=[12, 2, 1, 1, 1, 1, 1, 1])[0]
    machine = chance.choices(list(Machine), weights=[8, 6, 2, 1, 1, 1])[0]
    return Week(planned, issue, editor, machine)


def steps(one: Week, slot: SlotTable) -> list[Step]:
    """Return what happens around an occurrence, the earliest first."""
    due, late, grace = one.planned.due_at, seconds(slot.late), seconds(slot.grace)
    found = [*_editing(one, due, late, grace), *_weather(one, due)]
    begin, end = _away(one.machine, due, late)
    looks = (at for at in _looks(due, late, grace) if not begin <= at < end)
    return sorted([*found, *(Step(at, 9, Do.LOOK) for at in looks)])


def _editing(one: Week, due: int, late: int, grace: int) -> list[Step]:
    def step(at: int, do: Do) -> Step:
        return Step(at, list(Do).index(do), do, one.issue)

    if one.editor is Editor.NOTHING:
        return []
    offset = {Editor.LATE: HOUR, Editor.TOO_LATE: late + grace + HOUR}.get(one.editor, -DAY)
    found = [step(due + offset, Do.WRITE), step(due + offset + 60, Do.APPROVE)]
    if one.editor in {Editor.EDITS, Editor.FORGETS}:
        found.append(step(due - HOUR, Do.EDIT))
    if one.editor is Editor.EDITS:
        found.append(step(due - HOUR + 60, Do.APPROVE))
    if one.editor is Editor.DELETES:
        found.append(step(due - HOUR, Do.DELETE))
    if one.editor is Editor.CANCELS:
        found.append(step(due - grace // 2, Do.CANCEL))
    return found


def _weather(one: Week, due: int) -> list[Step]:
    if one.machine is Machine.KILLED:
        return [Step(due - 1, 8, Do.ARM), Step(due + 20, 8, Do.ARM), Step(due + 130, 8, Do.ARM)]
    if one.machine is Machine.BACK:
        return [
            Step(due + 5 * 60, 8, Do.SET_CLOCK, amount=-DAY),
            Step(due + 2 * HOUR, 8, Do.SET_CLOCK, amount=DAY),
        ]
    if one.machine is Machine.FORWARD:
        return [
            Step(due - HOUR, 8, Do.SET_CLOCK, amount=2 * HOUR),
            Step(due + 3 * HOUR, 8, Do.SET_CLOCK, amount=-2 * HOUR),
        ]
    return []


def _away(machine: Machine, due: int, late: int) -> tuple[int, int]:
    if machine is Machine.DOWN:
        return due - 2 * HOUR, due + late // 2
    if machine is Machine.AWAY:
        return due - 2 * HOUR, due + late + 2 * HOUR
    return 0, 0


def _looks(due: int, late: int, grace: int) -> list[int]:
    """Return when a bot that looks every 15 s does something; in between it finds nothing."""
    moments = {-DAY + 120, -3 * HOUR, -grace, -grace // 4, 0, 15, 30, 45, grace + 1}
    moments |= {2 * 60, 140, 260, 10 * 60, 30 * 60, HOUR + 75, HOUR + 90 + grace, 2 * HOUR + 60}
    moments |= {late // 2, late // 2 + grace + 15, late - 1, late + 1, late + grace + 15}
    moments |= {late + 3 * HOUR, DAY, 2 * DAY}
    return sorted(due + one for one in moments)
