"""One round of posting on one channel: what each outcome means for a row and those behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from newsletter_bot.crosspost.calls import (
    ChannelDownError,
    ChannelError,
    LostError,
    PutOffError,
    RefusedError,
)
from newsletter_bot.crosspost.drafts import Desired
from newsletter_bot.crosspost.model import CrossPost, CrossPostState, Failure, Post, Receipt
from newsletter_bot.crosspost.store import Begun, CrossPostStore
from newsletter_bot.errors import ConfigurationError

_FIRST_WAIT = 60  # seconds; twice as long each time
_LONGEST_WAIT = 3600
_MOST_ATTEMPTS = 30


@dataclass
class Round:
    """Posts the rows of one issue on one channel, in order, until the channel says no."""

    desired: Desired
    store: CrossPostStore
    zone: ZoneInfo
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    failures: list[Failure] = field(default_factory=list)

    def post(self, rows: Sequence[CrossPost], stop: Callable[[], bool]) -> list[Failure]:
        """Post what is due. The caller holds the issue's lock, so `posting` is a dead process's."""
        done = {row.part: row for row in rows if row.state is CrossPostState.POSTED}
        spaced = False
        for row in rows:
            if row.state not in (CrossPostState.PLANNED, CrossPostState.POSTING):
                continue
            if stop():
                break
            if row.state is CrossPostState.PLANNED and not self._ripe(row):
                break
            if spaced and self.desired.channel.spacing:
                self.sleep(self.desired.channel.spacing)
            outcome = self._one(row, done)
            spaced = True
            if outcome is None:
                break
            if outcome.state is CrossPostState.POSTED:
                done[row.part] = outcome
        return self.failures

    def _one(self, row: CrossPost, done: dict[int, CrossPost]) -> CrossPost | None:
        """Post one row; returns how it stands, or None when the channel is to be left alone."""
        if row.attempted_at is not None and not self._harmless(row.attempted_at):
            return self._unknown(row, "nobody heard whether it was posted")
        before, first = done.get(row.part - 1), done.get(0)
        if self._threaded(row) and (before is None or not before.remote_id):
            reason = "the part of the thread before it was not posted, or has no id to reply to"
            self.store.close(row, CrossPostState.SKIPPED, reason, after=row.part - 1)
            return None
        post = Post(
            **{key: getattr(row, key) for key in _SHARED},
            again=row.attempted_at is not None,
            replies_to=before.remote_id if before and self._threaded(row) else "",
            thread=first.remote_id if first and self._threaded(row) else "",
        )
        # What may have been posted already is not stopped by its price: it may have been paid.
        cap = None if post.again else self.desired.channel.cap
        begun = self.store.begin(row, cap, self._month())
        if begun is Begun.TOO_DEAR:
            reason = f"monthly_cap_usd of ${self.desired.channel.cap:.2f} would be exceeded"
            self.store.end(row, CrossPostState.SKIPPED, reason=reason)
            return self._as(row, CrossPostState.SKIPPED)
        if begun is Begun.TAKEN:
            return None
        return self._deliver(row, post)

    def _deliver(self, row: CrossPost, post: Post) -> CrossPost | None:
        try:
            receipt = self.desired.channel.post(post)
        except PutOffError as error:
            return self._put_off(row, error.reason, error.seconds, row.attempted_at)
        except LostError as error:
            since = row.attempted_at or int(self.clock())
            if not self._harmless(since):
                return self._unknown(row, error.reason)
            return self._put_off(row, error.reason, None, since)
        except (ChannelDownError, ConfigurationError) as error:
            self._down(row, error)
            return None
        except RefusedError as error:
            return self._failed(row, error)
        except Exception as error:  # noqa: BLE001 - one channel's fault must not stop the others
            said = f"{type(error).__name__} in the channel's own code: {error}"
            return self._unknown(row, said)
        return self._posted(row, receipt)

    # ── outcomes ─────────────────────────────────────────────────────────────────────────────

    def _posted(self, row: CrossPost, receipt: Receipt) -> CrossPost:
        found = {"remote_id": receipt.remote_id, "remote_url": receipt.remote_url}
        self.store.end(row, CrossPostState.POSTED, reason=receipt.note, attempted_at=None, **found)
        return self._as(row, CrossPostState.POSTED, receipt.remote_id)

    def _put_off(
        self, row: CrossPost, reason: str, seconds: float | None, since: int | None
    ) -> CrossPost | None:
        if row.attempts + 1 >= _MOST_ATTEMPTS:
            given_up = f"given up after {_MOST_ATTEMPTS} attempts: {reason}"
            return self._failed(replace(row, attempted_at=since), RefusedError(given_up))
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(row.attempts, 16))
        until = int(self.clock() + (wait if seconds is None else seconds)) + 1
        self.store.end(
            row, CrossPostState.PLANNED, reason=reason, not_before=until, attempted_at=since
        )
        self.store.put_off(row, until, reason)
        return None

    def _unknown(self, row: CrossPost, reason: str) -> CrossPost:
        self.store.end(row, CrossPostState.UNKNOWN, reason=reason)
        step = "Look whether it is there, then settle it with --unknown post or --unknown skip."
        self.failures.append(Failure(row.channel, row.item, f"Outcome unknown: {reason}", step))
        return self._as(row, CrossPostState.UNKNOWN)

    def _failed(self, row: CrossPost, error: ChannelError) -> CrossPost:
        if row.attempted_at is not None:
            return self._unknown(row, f"an earlier attempt had no answer; now: {error.reason}")
        self.store.end(row, CrossPostState.FAILED, reason=error.reason, attempted_at=None)
        self.failures.append(Failure(row.channel, row.item, error.reason, error.next_step))
        return self._as(row, CrossPostState.FAILED)

    def _down(self, row: CrossPost, error: ChannelDownError | ConfigurationError) -> None:
        reason = str(error)
        if row.attempted_at is None:
            self.store.end(row, CrossPostState.FAILED, reason=reason, attempted_at=None)
        else:
            self.store.end(row, CrossPostState.UNKNOWN, reason=reason)
        self.store.close(row, CrossPostState.FAILED, reason)
        self.failures.append(Failure(row.channel, row.item, reason, error.next_step))

    def _as(self, row: CrossPost, state: CrossPostState, remote_id: str = "") -> CrossPost:
        return replace(row, state=state, remote_id=remote_id)

    # ── rules ────────────────────────────────────────────────────────────────────────────────

    def _harmless(self, since: int) -> bool:
        """Tell whether posting again cannot make a second post."""
        return self.clock() - since < self.desired.channel.safe_for

    def _ripe(self, row: CrossPost) -> bool:
        return row.not_before is None or row.not_before <= self.clock()

    def _threaded(self, row: CrossPost) -> bool:
        return row.part > 0

    def _month(self) -> int:
        now = datetime.fromtimestamp(self.clock(), self.zone)
        return int(now.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp())


_SHARED = ("issue", "item", "part", "text", "url", "key", "made_at", "details")
