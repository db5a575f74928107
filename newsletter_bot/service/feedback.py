"""What the service does about what comes back: it is read, and deleted when its time is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event

from newsletter_bot.bot import Bot
from newsletter_bot.errors import NewsletterError, TryAgainError
from newsletter_bot.logs import log

_TIDY = 3600.0  # seconds between two purges

Say = Callable[[str, str, str], bool]  # key, title, text: see Alerts.say


class FeedbackDuty:
    """A duty of a worker; it may be killed at any moment, and is done again."""

    def __init__(self, bot: Bot, say: Say, clock: Callable[[], float] = time.time) -> None:
        self._bot = bot
        self._say = say
        self._clock = clock
        self._purged_at = 0.0
        self._stopping = Event()

    def stop(self) -> None:
        """Begin nothing more; a batch that is being written comes to its end."""
        self._stopping.set()

    def read(self) -> None:
        """Read all that is new, and do what follows."""
        try:
            count = self._bot.feedback.work(self._say, self._stopping.is_set)
        except TryAgainError as error:
            log("feedback.later", reason=error.message)
            return
        except NewsletterError as error:
            log("feedback.failed", reason=error.message)
            words = f"{error.message} {error.next_step}"
            self._say("feedback", "Bounces and complaints cannot be read", words)
            return
        if count:
            log("feedback.read", count=count)
        if self._clock() - self._purged_at >= _TIDY:
            self._purge()

    def _purge(self) -> None:
        gone = self._bot.feedback.purge()
        self._purged_at = self._clock()
        if gone:
            log("feedback.purged", count=gone)
