"""Sends the letters that are owed: each once, or never, and beside an issue that is being sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from threading import Event

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from newsletter_bot.delivery.letters.composer import LetterComposer
from newsletter_bot.delivery.letters.letters_store import LettersStore
from newsletter_bot.delivery.letters.model import Post
from newsletter_bot.delivery.letters.round import PATIENCE, Desk, Round
from newsletter_bot.delivery.letters.turns import Turns
from newsletter_bot.delivery.means import limits_of
from newsletter_bot.delivery.relaying.pacing_store import PacingStore
from newsletter_bot.delivery.transports import open_transport
from newsletter_bot.errors import TryAgainError
from newsletter_bot.settings import Settings
from newsletter_bot.settings.tables import seconds
from newsletter_bot.storage.lock import exclusive

_KEPT = 30 * 86_400  # seconds after its end that a letter is kept


class Letters:
    """The letters of a newsletter; one process at a time sends them, the others leave it to it."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        secret: bytes,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._secret = secret
        self._store = LettersStore(engine, secret, clock)
        self._route = settings.routes[0]
        limits, pacing = limits_of(self._route, settings), PacingStore(engine)
        self._turns = Turns(self._route.name, limits, pacing, clock)

    def waiting(self) -> bool:
        """Tell whether `send` would have something to do."""
        return bool(self._store.due(1))

    def purge(self) -> int:
        """Delete letters that came to their end a month ago; returns how many."""
        return self._store.purge(self._store.now() - _KEPT)

    def send(self, stop: Event, greeted: Collection[str] = ()) -> Post:
        """Send what is due, until nothing is or `stop` is set; what is in flight is heard out.

        To newcomers of the lists in `greeted` no welcome goes: they get a message of the
        newsletter's own. Raises TryAgainError when the relay or the database gives out,
        ConfigurationError for a template or a sender of no use: what was not sent stays owed.
        """
        post = Post()
        with self._alone() as held:
            if held:
                self._store.recover()
                self._send(stop, greeted, post)
        return post

    def _send(self, stop: Event, greeted: Collection[str], post: Post) -> None:
        if not self.waiting():
            return
        transport = open_transport(self._route, self._settings.folder)
        desk = Desk(
            store=self._store,
            composer=LetterComposer(self._settings, self._secret),
            turns=self._turns,
            retry_after=seconds(self._settings.transport.retry_after),
            deadline=seconds(self._settings.transport.deadline),
            greeted=greeted,
        )
        while self.waiting() and not stop.is_set() and self._turns.wait() <= PATIENCE:
            Round(desk, stop, post).work(transport)

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Be the one process that sends letters; False when another one does."""
        try:
            with exclusive(self._engine, "letters") as held:
                yield held
        except DBAPIError as error:
            raise TryAgainError(
                f"Letters were not sent: the database cannot be used: {error.orig}.",
                "Mend the database or the disk; nothing is lost.",
            ) from error
