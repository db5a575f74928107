"""What the service does for people: sign-ups are settled, letters sent, old rows deleted."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event

from newsletter_bot.bot import Bot
from newsletter_bot.errors import NewsletterError, TryAgainError
from newsletter_bot.logs import log
from newsletter_bot.service.reception import Reception
from newsletter_bot.storage.lock import exclusive

_TIDY = 3600.0  # seconds between two purges
_WORRY = 600.0  # seconds that letters may fail before somebody is told: greylisting, a restart

Say = Callable[[str, str, str], bool]  # key, title, text: see Alerts.say


class PeopleDuties:
    """Two duties of a worker; each may be killed at any moment, and is done again."""

    def __init__(
        self,
        bot: Bot,
        reception: Reception,
        say: Say,
        ring: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._bot = bot
        self._reception = reception
        self._say = say
        self._ring = ring
        self._clock = clock
        self._purged_at = 0.0
        self._failing_since: float | None = None
        self._stopping = Event()

    def stop(self) -> None:
        """Begin nothing more; letters in flight come to their outcome."""
        self._stopping.set()

    def settle(self) -> None:
        """Turn what the form asked for into letters, and ring for those that are owed."""
        # One worker does it: several would only wait for each other.
        with exclusive(self._bot.engine, "people") as held:
            while held and not self._stopping.is_set() and self._bot.people.settle():
                self._ring("letters")
        if self._bot.letters.waiting():
            self._ring("letters")
        self._warn_of_spike()
        if self._clock() - self._purged_at >= _TIDY:
            self._purge()

    def send(self) -> None:
        """Send the letters that are owed."""
        try:
            post = self._bot.letters.send(self._stopping, self._reception.greeting())
        except TryAgainError as error:
            log("letters.stopped", reason=error.message)
            self._fails(error)
        except NewsletterError as error:
            log("letters.failed", reason=error.message)
            self._say("letters", "Letters cannot be sent", f"{error.message} {error.next_step}")
        else:
            self._failing_since = None
            if post.states:
                log("letters.sent", **post.states)
            if post.about_us:
                self._say("letters:refused", "Letters are refused because of us", post.about_us)

    def _fails(self, error: TryAgainError) -> None:
        now = self._clock()
        self._failing_since = self._failing_since or now
        if now - self._failing_since >= _WORRY:
            self._say("letters", "Letters wait for the relay", f"{error.message} {error.next_step}")

    def _warn_of_spike(self) -> None:
        why = self._bot.people.spike()
        if why:
            self._say("signups", "Sign-ups are paused", why)

    def _purge(self) -> None:
        gone = {**self._bot.people.purge(), "letters": self._bot.letters.purge()}
        self._purged_at = self._clock()
        if any(gone.values()):
            log("people.purged", **gone)
