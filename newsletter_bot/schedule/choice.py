"""Which issue goes out on an occurrence: a pure rule.

An issue named by a week goes out in that week or in the next; one with another name, on the first
occurrence for which it is ready. A monthly digest goes out when the editor says so: it would push
the week's issue from its slot. Whatever its name, it has to be approved where the slot asks it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from newsletter_bot.schedule.model import Candidate

_WEEK = re.compile(r"(\d{4})-[Ww](\d{2})")


@dataclass(frozen=True, slots=True)
class Choice:
    """The issue to send, or why there is none."""

    issue: str = ""
    reason: str = ""


def choose(candidates: Iterable[Candidate], day: date, *, approval: bool) -> Choice:
    """Return the issue for an occurrence on a local date."""
    fitting = sorted(
        (one for one in candidates if one.ready and not one.digest and _fits(one, day)),
        key=lambda one: (_age(one, day), one.approved_at, one.identity),
    )
    reasons = []
    for one in fitting:
        reason = objection(one, approval=approval)
        if not reason:
            return Choice(issue=one.identity)
        reasons.append(reason)
    return Choice(reason="; ".join(reasons) or "no issue is ready")


def objection(one: Candidate, *, approval: bool) -> str:
    """Return why an issue cannot go out now; empty when it can."""
    if not one.ready:
        return f"{one.identity} is a draft"
    if one.trouble:
        return f"{one.identity} {one.trouble}"
    if not approval:
        return ""
    if not one.approved:
        return f"{one.identity} is not approved"
    if one.approved != one.rendering:
        return f"{one.identity} was edited after it was approved"
    return ""


def week_of(identity: str) -> date | None:
    """Return the Monday of the week that an identity like 2026-W48 names."""
    found = _WEEK.match(identity)
    if found is None:
        return None
    try:
        return date.fromisocalendar(int(found[1]), int(found[2]), 1)
    except ValueError:
        return None


def _fits(one: Candidate, day: date) -> bool:
    if one.published is not None:
        return one.published <= day < one.published + timedelta(days=7)
    return _age(one, day) in {0, 1}


def _age(one: Candidate, day: date) -> int:
    """Return how many weeks before the occurrence's the issue's own week lies."""
    week = week_of(one.identity)
    if week is None:
        return 0
    return (day - timedelta(days=day.weekday()) - week).days // 7
