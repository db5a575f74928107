"""When nothing moves: whether a run has a reason to stay, and until when to do nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence

from newsletter_bot.delivery.means import Means
from newsletter_bot.delivery.model import IssueState
from newsletter_bot.delivery.relays import Relay
from newsletter_bot.delivery.run import Run

_LOOK = 1.0  # seconds: how often a run that waits looks around


class Waiting:
    """Knows what a run may wait for; says on the run why it ends."""

    def __init__(self, means: Means, issue_id: int, run: Run) -> None:
        self._means = means
        self._issue_id = issue_id
        self._run = run

    def until(self) -> float:
        """Say until when nothing happens by itself (time.monotonic)."""
        now, wall = time.monotonic(), self._means.store.now()
        until = now + _LOOK
        for relay in self._means.relays:
            if relay.rests_until > now:
                until = min(until, relay.rests_until)
            if relay.pace.not_before > wall:
                until = min(until, now + relay.pace.not_before - wall)
        return until

    def is_halted(self) -> bool:
        """Look whether somebody paused or cancelled the issue; the run then ends."""
        state, reason = self._means.store.issue_state(self._issue_id)
        if state is IssueState.SENDING:
            return False
        self._run.halted(state, reason)
        return True

    def is_worth_it(self) -> bool:
        """Tell whether a run with nothing on its way has a reason to stay."""
        if self.is_halted():
            return False
        waiting = [one for one in self._means.relays if self._means.backlog.waiting(one)]
        if waiting:
            return self._is_worth_waiting_for(waiting)
        return self._run.wait and self._until_deferred_are_due()

    def _is_worth_waiting_for(self, waiting: Sequence[Relay]) -> bool:
        return any([self._may_go_on(relay) for relay in waiting])  # noqa: C419 - all have a say

    def _may_go_on(self, relay: Relay) -> bool:
        now = self._means.store.now()
        if relay.down:
            self._run.give_up(relay.reason)
            return False
        if relay.pace.not_before > now:
            self._run.waiting = f"{relay.name}: its limit is reached"
            if relay.pace.warming_up and not self._run.wait:
                self._run.postpone(
                    "the warm-up's number for today is reached", relay.pace.not_before
                )
                return False
            return True
        cooling = self._means.backlog.cooling(relay, now)
        if cooling is not None and not self._run.wait:
            domain, until = cooling
            self._run.postpone(f"{domain} asked us to slow down", until)
            return False
        return True

    def _until_deferred_are_due(self) -> bool:
        now = self._means.store.now()
        due = self._means.store.next_deferred(self._issue_id)
        if due is None:
            return False
        if now >= self._means.deadline:
            self._means.store.expire(self._issue_id)
            return False
        self._run.waiting = "the server put some off"
        if due <= now:
            self._means.backlog.look_again()
        return True
