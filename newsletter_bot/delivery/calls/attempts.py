"""A call made as often as is sensible: what a provider asks us to wait is waited, within reason."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from newsletter_bot.delivery.calls.caller import Caller, NoAnswerError, NotSentError
from newsletter_bot.delivery.calls.model import NotTaken, Provider, Request, Unsure, Verdict
from newsletter_bot.delivery.calls.pacer import Pacer
from newsletter_bot.delivery.model import Message

SHORT = 60.0  # seconds: a longer wait is for the relay as a whole, not for a thread
_SHORTEST = 0.1
_PAUSES = (1.0, 2.0, 4.0, 8.0)  # seconds, where a provider says "later" and not when
_UNSURE = (1.0, 3.0, 10.0)  # seconds before the same call is made again with the same key


@dataclass(frozen=True, slots=True)
class Attempts:
    """Makes one connection's calls; `stop` ends all waiting."""

    provider: Provider
    caller: Caller
    pacer: Pacer
    stop: threading.Event

    def make(
        self, request: Request, messages: Sequence[Message], before_last: Callable[[], None]
    ) -> tuple[Verdict, NotTaken | None]:
        """Make a call until there is something to say; returns that, and why the relay failed.

        A call of which one attempt may have been taken stays unsure, whatever is said to the next.
        """
        unsure: Unsure | None = None
        for attempt in range(len(_PAUSES) + 1):
            try:
                found = self._once(request, messages, before_last)
                pause = self._pause(found, attempt)
            except NotSentError as error:  # without a connection, all of them rest
                found = NotTaken(str(error))
                pause = None if unsure is None else _at(_UNSURE, attempt)
            if isinstance(found, Unsure):
                unsure = found
            if pause is None or self.stop.wait(pause):
                return _concluded(found, unsure)
        raise AssertionError("there is no pause after the last attempt")

    def _once(
        self, request: Request, messages: Sequence[Message], before_last: Callable[[], None]
    ) -> Verdict:
        if not self.pacer.wait(self.stop):
            raise NotSentError("the run ended")
        try:
            answer = self.caller.call(request, before_last)
        except NoAnswerError as error:
            return Unsure(str(error))
        self.pacer.hear(answer.headers)
        return _counted(self.provider.read(answer, messages), len(messages))

    def _pause(self, found: Verdict, attempt: int) -> float | None:
        """Return the seconds before the next attempt, None when there is none."""
        if isinstance(found, Unsure):
            pause = _at(_UNSURE, attempt) if self.provider.shape.key_lasts else None
        elif isinstance(found, NotTaken) and not found.lasting:
            pause = _at(_PAUSES, attempt)
        else:
            return None
        if pause is None or found.wait is None:
            return pause
        return max(found.wait, _SHORTEST) if found.wait <= SHORT else None


def _at(pauses: Sequence[float], attempt: int) -> float | None:
    return pauses[attempt] if attempt < len(pauses) else None


def _counted(found: Verdict, count: int) -> Verdict:
    if isinstance(found, NotTaken | Unsure) or len(found) == count:
        return found
    # Not the answer's words: they may name readers, and this becomes the reason of each of them.
    return Unsure(f"the answer holds {len(found)} results for {count} messages")


def _concluded(found: Verdict, unsure: Unsure | None) -> tuple[Verdict, NotTaken | None]:
    if isinstance(found, Unsure):
        return found, NotTaken(found.reason, found.wait)
    if not isinstance(found, NotTaken):
        return found, None
    return unsure or found, found
