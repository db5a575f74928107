"""Where what comes back is taken in: on disk before anybody is told that we have it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from newsletter_bot.feedback.events.raw_store import MAIL, keep
from newsletter_bot.storage.writer import Change, Writer

_LONGEST_KEY = 200  # characters; of what is longer, its hash


@dataclass(frozen=True, slots=True)
class Kept:
    """Something to keep: under its key it is kept once."""

    source: str
    key: str
    body: bytes


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
        return self._writer.run(self.keeping([Kept(source, key, body)]))[0]

    def keeping(self, several: Sequence[Kept]) -> Change[list[bool]]:
        """Return what `keep` does as a change for the Writer, which may wait elsewhere."""
        now = int(self._clock())
        return lambda connection: [
            keep(connection, one.source, _short(one.key), one.body, now) for one in several
        ]


def _short(key: str) -> str:
    if len(key) <= _LONGEST_KEY and key.isprintable():
        return key
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
