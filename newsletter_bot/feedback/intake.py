"""Where what comes back is taken in: on disk before anybody is told that we have it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

from newsletter_bot.feedback.raw_store import MAIL, keep
from newsletter_bot.storage.writer import Change, Writer

_LONGEST_KEY = 200  # characters; of what is longer, its hash


def key_of_mail(body: bytes) -> str:
    """Return what a mail is known again by: its bytes, and nothing that it says of itself."""
    return hashlib.sha256(body).hexdigest()


class Intake:
    """Keeps requests and mails as they came; the duty `feedback` reads them later."""

    def __init__(self, writer: Writer, clock: Callable[[], float] = time.time) -> None:
        self._writer = writer
        self._clock = clock

    def keep_mail(self, body: bytes) -> bool:
        """Keep a mail, once whatever brings it again; returns whether it is new, once on disk.

        Raises TryAgainError.
        """
        return self.keep(MAIL, body, key_of_mail(body))

    def keep(self, source: str, body: bytes, key: str) -> bool:
        """Keep what a source brought under a key of its own; as `keep_mail`."""
        return self._writer.run(self.keeping(source, body, key))

    def keeping(self, source: str, body: bytes, key: str) -> Change[bool]:
        """Return what `keep` does as a change for the Writer, which may wait elsewhere."""
        now = int(self._clock())
        if len(key) > _LONGEST_KEY or not key.isprintable():
            key = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        return lambda connection: keep(connection, source, key, body, now)
