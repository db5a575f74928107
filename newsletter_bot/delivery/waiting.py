"""When nothing moves: whether a run has a reason to stay, and until when to do nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from newsletter_bot.delivery.means import Means
from newsletter_bot.delivery.model import IssueState
from newsletter_bot.delivery.relaying.relays import Relay
from newsletter_bot.delivery.run import Run

_LOOK = 1.0  # seconds: how often a run that waits looks around


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why nothing more leaves through a relay, and until when (seconds since 1970 UTC)."""

    reason: str
    until: float | None = None


class Waiting:
    """Knows what a run may wait for; says on the run why it ends."""

    def __init__(self, means: Means, issue_id: int, run: Run) -> None:
        self._means = means
        self._issue_id = issue_id
        self._run = run
        self._test_until = 0.0  # asked again when it is over

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
        waiting = [one for one in self._means.relays if self._has_work(one)]
        if self._run.wait and self._means.store.now() >= self._means.deadline:
            self._means.store.expire(self._issue_id)
            if waiting:
                self._run.give_up("the issue's deadline has passed")
            return False
        if waiting:
            hindrances = [self._hindrance(one) for one in waiting]
            if all(hindrances):
                self._give_up([one for one in hindrances if one is not None])
            return not all(hindrances)
        if not self._run.wait:
            return False
        deferred, tested = self._deferred_will_be_due(), self._waits_for_test()
        return deferred if self._test_until == inf else tested

    def _has_work(self, relay: Relay) -> bool:
        """Tell whether anything waits for a relay; while it rests, nobody else reads on."""
        backlog, now = self._means.backlog, self._means.store.now()
        return backlog.has_more_than(0, relay, now) or backlog.waiting(relay)

    def _hindrance(self, relay: Relay) -> Hindrance | None:
        """Return why a relay that has deliveries to make cannot make them in this run."""
        now = self._means.store.now()
        if relay.down:
            wait = relay.asked_until - time.monotonic()
            return Hindrance(relay.reason, now + wait if wait > 0 else None)
        if relay.pace.not_before > now:
            self._run.waiting = f"{relay.name}: its limit is reached"
            if relay.pace.warming_up and not self._run.wait:
                reason = "the warm-up's number for today is reached"
                return Hindrance(reason, relay.pace.not_before)
            return None
        cooling = self._means.backlog.cooling(relay, now)
        if cooling is None:
            return None
        domain, until = cooling
        self._run.waiting = f"{domain} asked us to slow down"
        return None if self._run.wait else Hindrance(self._run.waiting, until)

    def _give_up(self, hindrances: Sequence[Hindrance]) -> None:
        later = [one.until for one in hindrances if one.until is not None]
        if len(later) == len(hindrances):
            self._run.postpone(hindrances[0].reason, min(later))
        else:
            broken = next(one for one in hindrances if one.until is None)
            self._run.give_up(broken.reason)

    def _waits_for_test(self) -> bool:
        """Tell whether a decision is to come; when its time has come, the next run makes it."""
        now = self._means.store.now()
        if self._test_until <= now:
            self._test_until = self._means.test_until()
        if self._test_until <= now or self._test_until == inf:
            return False
        self._run.waiting = "the subjects are being tested"
        return True

    def _deferred_will_be_due(self) -> bool:
        due = self._means.store.next_deferred(self._issue_id)
        if due is None:
            return False
        self._run.waiting = "the server put some off"
        if due <= self._means.store.now():
            self._means.backlog.look_again()
        return True
