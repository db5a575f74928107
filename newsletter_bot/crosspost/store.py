"""The ledger of cross-posts, and tokens that change with use."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, and_, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from newsletter_bot.crosspost.model import CrossPost, CrossPostState, Details, Draft
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.lock import exclusive
from newsletter_bot.storage.tables import channel_tokens, crossposts

_LEASE = 300  # seconds in which a row in `posting` is taken for one that a live process holds
_CENT = 0.000_001  # US dollars: sums of fractions are not exact
_OWED = (CrossPostState.PLANNED.value, CrossPostState.POSTING.value)
_SPENT = (CrossPostState.POSTED.value, CrossPostState.POSTING.value, CrossPostState.UNKNOWN.value)


class Begun(StrEnum):
    """Whether a row is ours to post."""

    YES = "yes"
    TAKEN = "taken"  # another process has it, or it was settled meanwhile
    TOO_DEAR = "too dear"


class CrossPostStore:
    """Every method that writes is one transaction; times are seconds since 1970 UTC."""

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._clock = clock

    # ── planning ─────────────────────────────────────────────────────────────────────────────

    def add(self, issue: str, drafts: Sequence[Draft]) -> int:
        """Write the rows of channels that have none for this issue yet; returns how many."""
        try:
            return self._add(issue, drafts)
        except IntegrityError:  # another process wrote them between our look and our insert
            return self._add(issue, drafts)

    def _add(self, issue: str, drafts: Sequence[Draft]) -> int:
        with self._engine.begin() as connection:
            known = set(
                connection.execute(
                    select(crossposts.c.channel).where(crossposts.c.issue == issue).distinct()
                ).scalars()
            )
            rows = [self._row(issue, one) for one in drafts if one.channel not in known]
            if rows:
                connection.execute(insert(crossposts), rows)
            return len(rows)

    def redraft(self, issue: str, drafts: Sequence[Draft]) -> int:
        """Owe again, with the texts of today, what failed or was skipped; returns how many."""
        again = (CrossPostState.FAILED.value, CrossPostState.SKIPPED.value)
        count = 0
        with self._engine.begin() as connection:
            for one in drafts:
                fresh = self._row(issue, one)
                place = {key: fresh.pop(key) for key in ("issue", "item", "channel", "part")}
                chosen = [crossposts.c[key] == value for key, value in place.items()]
                values = {**fresh, "attempts": 0, "attempted_at": None, "not_before": None}
                count += connection.execute(
                    update(crossposts)
                    .where(*chosen, crossposts.c.state.in_(again))
                    .where(crossposts.c.attempted_at.is_(None))
                    .values(values)
                ).rowcount
        return count

    def settle_unknown(self, issue: str, channels: Sequence[str], *, post: bool) -> int:
        """Settle rows whose outcome nobody knows as the operator says; returns how many.

        A skipped one keeps `attempted_at`: it may be there, so `redraft` leaves it alone.
        """
        values = {
            "state": CrossPostState.SKIPPED.value,
            "reason": "outcome unknown; the operator chose not to post it again",
            "not_before": None,
            "changed_at": self._now,
        }
        if post:
            values |= {
                "state": CrossPostState.PLANNED.value,
                "reason": "",
                "attempts": 0,
                "attempted_at": None,
            }
        chosen = (
            crossposts.c.issue == issue,
            crossposts.c.channel.in_(channels),
            crossposts.c.state == CrossPostState.UNKNOWN.value,
        )
        with self._engine.begin() as connection:
            return connection.execute(update(crossposts).where(*chosen).values(values)).rowcount

    # ── looking ──────────────────────────────────────────────────────────────────────────────

    def rows(self, issue: str) -> list[CrossPost]:
        """Return an issue's cross-posts, in the order in which they are posted."""
        wanted = select(crossposts).where(crossposts.c.issue == issue).order_by(crossposts.c.id)
        with reading(self._engine) as connection:
            return [_cross_post(row._asdict()) for row in connection.execute(wanted)]

    def due(self) -> list[str]:
        """Return the issues that have something to post now."""
        wanted = (
            select(crossposts.c.issue)
            .where(crossposts.c.state.in_(_OWED), self._ripe)
            .group_by(crossposts.c.issue)
            .order_by(func.min(crossposts.c.id))
        )
        with reading(self._engine) as connection:
            return list(connection.execute(wanted).scalars())

    # ── posting ──────────────────────────────────────────────────────────────────────────────

    def begin(self, row: CrossPost, cap: float | None, month: int) -> Begun:
        """Commit `posting`, if the row stands as it was read and the month's cap allows its cost.

        `month` is when the month began.
        """
        values = {
            "state": CrossPostState.POSTING.value,
            "reason": "",
            "attempts": row.attempts + 1,
            "attempted_at": row.attempted_at or self._now,
            "not_before": self._now + _LEASE,
            "changed_at": self._now,
        }
        as_read = (
            crossposts.c.id == row.id,
            crossposts.c.state == row.state.value,
            crossposts.c.attempts == row.attempts,
        )
        with self._engine.begin() as connection:
            if cap is not None and self._spent(connection, row, month) + row.cost > cap + _CENT:
                return Begun.TOO_DEAR
            begun = connection.execute(update(crossposts).where(*as_read).values(values)).rowcount
        return Begun.YES if begun else Begun.TAKEN

    def end(self, row: CrossPost, state: CrossPostState, **values: Any) -> None:
        """Write what became of a row."""
        wanted = {"state": state.value, "not_before": None, "changed_at": self._now, **values}
        with self._engine.begin() as connection:
            connection.execute(update(crossposts).where(crossposts.c.id == row.id).values(wanted))

    def put_off(self, row: CrossPost, until: int, reason: str) -> None:
        """Let the channel's posts of this issue that certainly did not leave wait until a time."""
        values = {"reason": reason, "not_before": until, "changed_at": self._now}
        waiting = (
            crossposts.c.issue == row.issue,
            crossposts.c.channel == row.channel,
            crossposts.c.state == CrossPostState.PLANNED.value,
        )
        with self._engine.begin() as connection:
            connection.execute(update(crossposts).where(*waiting).values(values))

    def close(self, row: CrossPost, state: CrossPostState, reason: str, *, after: int = -1) -> int:
        """End the channel's posts of this issue that are still owed, from `after` that part on."""
        owed = (
            crossposts.c.issue == row.issue,
            crossposts.c.channel == row.channel,
            crossposts.c.part > after,
            crossposts.c.state == CrossPostState.PLANNED.value,
        )
        values = {
            "state": state.value,
            "reason": reason,
            "not_before": None,
            "changed_at": self._now,
        }
        with self._engine.begin() as connection:
            return connection.execute(update(crossposts).where(*owed).values(values)).rowcount

    @property
    def _now(self) -> int:
        return int(self._clock())

    @property
    def _ripe(self) -> ColumnElement[bool]:
        return or_(crossposts.c.not_before.is_(None), crossposts.c.not_before <= self._now)

    def _spent(self, connection: Connection, row: CrossPost, month: int) -> float:
        spent = select(func.coalesce(func.sum(crossposts.c.cost), 0.0)).where(
            and_(
                crossposts.c.channel == row.channel,
                crossposts.c.state.in_(_SPENT),
                crossposts.c.changed_at >= month,
                crossposts.c.id != row.id,
            )
        )
        return float(connection.execute(spent).scalar_one())

    def _row(self, issue: str, draft: Draft) -> dict[str, Any]:
        state = CrossPostState.FAILED if draft.problem else CrossPostState.PLANNED
        whose = (draft.details.newsletter, issue, draft.item, draft.channel, str(draft.part))
        name = "\n".join((*whose, draft.url, draft.text))
        return {
            "issue": issue,
            "item": draft.item,
            "channel": draft.channel,
            "part": draft.part,
            "state": state.value,
            "text": draft.text,
            "url": draft.url,
            "key": hashlib.blake2b(name.encode(), digest_size=16).hexdigest(),
            "cost": draft.cost_usd,
            "details": draft.details.to_json(),
            "reason": draft.problem,
            "made_at": self._now,
            "changed_at": self._now,
        }


@dataclass(frozen=True, slots=True)
class TokenStore:
    """The tokens of one channel."""

    engine: Engine
    channel: str
    clock: Callable[[], float]

    def read(self) -> dict[str, Any]:
        """Return what was written last, or nothing."""
        wanted = select(channel_tokens.c.tokens).where(channel_tokens.c.channel == self.channel)
        with reading(self.engine) as connection:
            return dict(connection.execute(wanted).scalar_one_or_none() or {})

    def write(self, tokens: dict[str, Any]) -> None:
        """Replace them: committed, so on disk, before the new ones are used."""
        values = {"tokens": tokens, "changed_at": int(self.clock())}
        mine = channel_tokens.c.channel == self.channel
        with self.engine.begin() as connection:
            if not connection.execute(update(channel_tokens).where(mine).values(values)).rowcount:
                connection.execute(insert(channel_tokens).values(channel=self.channel, **values))

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Hold them for one process; yields False when another holds them."""
        with exclusive(self.engine, f"channel-{self.channel}") as held:
            yield held


def _cross_post(row: dict[str, Any]) -> CrossPost:
    return CrossPost(
        **{
            **row,
            "state": CrossPostState(row["state"]),
            "details": Details.from_json(row["details"]),
        }
    )
