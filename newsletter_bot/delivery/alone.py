"""One process at a time plans or sends an issue, and trouble with the ledger is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from newsletter_bot.errors import BusyError, TryAgainError
from newsletter_bot.storage.lock import exclusive


@contextmanager
def alone(engine: Engine, identity: str) -> Iterator[None]:
    """Be the one process that plans or sends an issue.

    Raises BusyError when another is, TryAgainError when the database cannot be used within.
    """
    try:
        with exclusive(engine, f"send-{identity}") as held:
            if not held:
                raise BusyError(
                    f"Another process is sending {identity}.",
                    f"Watch it with `newsletter-bot status {identity} --watch`.",
                )
            yield
    except DBAPIError as error:
        raise TryAgainError(
            f"Sending stopped: the ledger cannot be written: {error.orig}. Nothing is lost.",
            f"Mend the database or the disk, then run `newsletter-bot send {identity}"
            " --yes` again: it goes on where it stopped.",
        ) from error
