"""The duty `feedback`: what was taken in is read, tied to deliveries, and acted on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

from newsletter_bot.delivery.relay_events import open_events
from newsletter_bot.errors import NewsletterError
from newsletter_bot.feedback.events import heard_store, raw_store
from newsletter_bot.feedback.events.acting_store import Rules
from newsletter_bot.feedback.events.consequences import Policy
from newsletter_bot.feedback.events.happened import RawState, Read
from newsletter_bot.feedback.events.interpret import Interpreter, clean
from newsletter_bot.feedback.events.writing_store import write
from newsletter_bot.logs import log
from newsletter_bot.settings import Settings
from newsletter_bot.settings.tables import seconds
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.lock import exclusive
from newsletter_bot.subscribers.arriving import Backing
from newsletter_bot.subscribers.tokens import TokenSigner

Say = Callable[[str, str, str], object]  # key, title, text: see Alerts.say

_MOST = 1000  # events of one transaction, as other changes wait for it


class Feedback:
    """Reads what `Intake` kept, in transactions that may be killed at any point and done again."""

    def __init__(self, settings: Settings, backing: Backing) -> None:
        self._settings = settings
        self._engine = backing.engine
        self._writer = backing.writer
        self._clock = backing.clock
        table = settings.feedback
        policy = Policy(table.hard == "twice", seconds(table.hard_window), table.soft_issues)
        lists = tuple(one.id for one in settings.lists)
        window = seconds(table.soft_window)
        self._rules = Rules(policy, window, lists, backing.secret, backing.outbox)

    @cached_property
    def _interpreter(self) -> Interpreter:
        return Interpreter(TokenSigner(self._rules.secret), open_events(self._settings))

    def work(
        self,
        say: Say = lambda _key, _title, _text: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> int:
        """Read all that is new, and do what follows; returns how many requests and mails that were.

        `say` tells operators what is about us. One process does it at a time: for another, there is
        nothing to do. Raises TryAgainError, ConfigurationError.
        """
        count = 0
        with exclusive(self._engine, "feedback") as held:
            while held and not stopped():
                with reading(self._engine) as connection:
                    new = raw_store.new(connection)
                if not new:
                    break
                self._settle_all(_groups(map(self._interpreter.read, new)), say)
                count += len(new)
        return count

    def purge(self) -> int:
        """Delete what came in and was read, once its time is over; returns how much."""
        before = int(self._clock()) - seconds(self._settings.feedback.keep_raw)
        total = 0
        while count := self._writer.run(lambda connection: raw_store.purge(connection, before)):
            total += count
        return total

    def heard(self, most: int, kind: str = "", issue: str = "") -> Sequence[Mapping[str, Any]]:
        """Return the newest events and what they led to, the newest first."""
        with reading(self._engine) as connection:
            return heard_store.heard(connection, most, kind=kind, issue=issue)

    def unread(self) -> tuple[int, Sequence[Mapping[str, Any]]]:
        """Return how much waits to be read, and the newest of what could not be."""
        with reading(self._engine) as connection:
            return heard_store.unread(connection)

    def raw(self, number: int) -> Mapping[str, Any] | None:
        """Return what came in under an id, as it came; None when it is gone."""
        with reading(self._engine) as connection:
            return heard_store.raw_of(connection, number)

    def replay(self, number: int | None = None) -> int:
        """Have read again what could not be, or one whatever its state; returns how many.

        What was made of it once is not done twice.
        """
        return self._writer.run(lambda connection: raw_store.replay(connection, number))

    def _settle_all(self, groups: Iterable[Sequence[Read]], say: Say) -> None:
        """Write groups one after another; while the disk takes one, the next is read."""
        with ThreadPoolExecutor(1, "feedback") as writing:
            before: Future[None] | None = None
            for group in groups:
                if before is not None:
                    before.result()
                before = writing.submit(self._settle, group, say)
            if before is not None:
                before.result()

    def _settle(self, group: Sequence[Read], say: Say) -> None:
        """Write a group; when that fails, each alone, so that one cannot keep the others back."""
        now = int(self._clock())
        try:
            alerts = self._writer.run(partial(write, rules=self._rules, group=group, now=now))
        except NewsletterError:
            raise
        except Exception as error:
            log("feedback.failed", rows=len(group), error=error)
            if [one.state for one in group] == [RawState.BROKEN]:
                raise  # not even that can be written
            for one in group:
                again = [one] if len(group) > 1 else [_broken(one, error)]
                self._settle(again, say)
            return
        for one in group:
            if one.state is RawState.BROKEN:
                log("feedback.broken", raw=one.raw.id, source=one.raw.source, reason=one.note)
                title = f"Something from {one.raw.source} cannot be read"
                say(f"feedback:broken:{one.raw.source}", title, f"{one.raw.id}: {one.note}")
        for alert in alerts:
            say(alert.key, alert.title, alert.text)


def _broken(read: Read, error: Exception) -> Read:
    words = clean(f"{type(error).__name__}: {error}", 300)
    return replace(read, told=(), note=words, state=RawState.BROKEN)


def _groups(reads: Iterable[Read]) -> Iterator[list[Read]]:
    """Share them out over transactions."""
    group: list[Read] = []
    size = 0
    for one in reads:
        group.append(one)
        size += max(1, len(one.told))
        if size >= _MOST:
            yield group
            group, size = [], 0
    if group:
        yield group
