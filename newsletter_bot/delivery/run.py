"""One run of sending as whoever started it sees it: told to stop, asked how it goes."""

from __future__ import annotations

from collections.abc import Callable

from newsletter_bot.delivery.model import IssueState


class Run:
    """What a run and whoever started it tell each other."""

    def __init__(self, *, wait: bool = False) -> None:
        self.wait = wait  # stay until nothing is owed, or until the issue's deadline
        self.trouble = ""  # why it ended with deliveries due
        self.refused = ""  # why a relay does not want us, which no waiting cures
        self.halt: IssueState | None = None  # how the issue stands, when somebody halted it
        self.not_before: float | None = None  # when it may go on, where that is known
        self.waiting = ""  # what it waits for just now
        self.due: int | None = None  # deliveries it set out to make, once counted
        self.done = 0  # deliveries that came to an outcome
        self.stopping = False
        self.stopped = False  # because somebody asked
        self._wake: Callable[[], None] = lambda: None

    def stop(self) -> None:
        """Finish the messages in flight and end; from any thread, or a signal's handler."""
        self.stopping = self.stopped = True
        self._wake()

    def goes_on(self) -> bool:
        """Begin another round, unless there is trouble or somebody asked to stop."""
        self.stopping = False
        if self.stopped or self.trouble:  # asked afterwards: a signal may come between the two
            self.stopping = True
        return not self.stopping

    def give_up(self, reason: str) -> None:
        """End the run; the first reason is the one shown."""
        if not self.trouble:
            self.trouble = reason
        self.stopping = True

    def halted(self, state: IssueState, reason: str) -> None:
        """End the run because the issue is not being sent any more."""
        self.halt = state
        self.give_up(f"the issue was {state}" + (f": {reason}" if reason else ""))

    def postpone(self, reason: str, until: float) -> None:
        """End the run because nothing may leave before `until` (seconds since 1970 UTC)."""
        self.not_before = until
        self.give_up(reason)

    def woken_by(self, wake: Callable[[], None]) -> None:
        """Let `stop` end the waiting of the loop."""
        self._wake = wake
