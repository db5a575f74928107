"""The SQL of what became of mails that came in: read, acted on, or still waiting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, select

from newsletter_bot.feedback.events.happened import MAIL, RawState
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import events, issues, raw_events


@dataclass(frozen=True, slots=True)
class Came:
    """What became of one mail."""

    state: RawState = RawState.READ
    note: str = ""  # what it is, or why it could not be read
    fault: str = ""
    issue: str | None = None
    consequence: str = ""  # what it led to, and why; empty without an event


def came(engine: Engine, keys: Sequence[str]) -> dict[str, Came]:
    """Return what became of mails, by the keys they are kept under."""
    raws = select(raw_events.c.key, raw_events.c.state, raw_events.c.reason).where(
        raw_events.c.source == MAIL, raw_events.c.key.in_(keys)
    )
    told = (
        select(events.c.key, events.c["class"], events.c.consequence, issues.c.identity)
        .join(issues, issues.c.id == events.c.issue_id, isouter=True)
        .where(events.c.source == MAIL, events.c.key.in_(keys))
    )
    with reading(engine) as connection:
        found = {row[0]: Came(RawState(row[1]), row[2]) for row in connection.execute(raws)}
        for key, fault, consequence, issue in connection.execute(told):
            raw = found.get(key, Came())
            found[key] = Came(raw.state, raw.note, fault, issue, consequence)
    return found
