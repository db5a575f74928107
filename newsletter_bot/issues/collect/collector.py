"""One round over all sources: what is new goes into the inbox, a failing source stops no other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path

from sqlalchemy import Engine

from newsletter_bot.issues.collect.bookmarks import read_bookmarks
from newsletter_bot.issues.collect.feeds import FeedError, read_feed
from newsletter_bot.issues.collect.inbox import Inbox
from newsletter_bot.issues.collect.links import Found, url_key
from newsletter_bot.issues.collect.store import CollectStore, Source
from newsletter_bot.outside import Fetched, OutsideError, fetch
from newsletter_bot.settings import Settings

_LARGEST = 5_000_000  # bytes of a feed
_PAUSE = 3.0  # seconds between two questions to arXiv (its terms of use, 2026-11)
_FIRST_WAIT, _LONGEST_WAIT = 900, 86_400  # seconds after failures, doubled each time
_OK, _UNCHANGED = 200, 304


@dataclass(frozen=True, slots=True)
class Sourced:
    """What one source brought."""

    name: str
    new: int = 0
    known: int = 0
    reason: str = ""  # why it brought nothing


class Collector:
    """Asks the sources of [collect]."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        clock: Callable[[], float] = time.time,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._table = settings.collect
        self._store = CollectStore(engine, clock)
        self._sleep = sleep
        self.inbox = Inbox(settings.folder / self._table.inbox)

    def collect(self, past: Iterable[str], *, dry_run: bool = False) -> list[Sourced]:
        """Ask every source once; `past` are the links of issues there are.

        Raises DataError when the inbox cannot be read or written. With `dry_run` nothing is kept.
        """
        known = {url_key(one) for one in past}
        return [self._round(one, known, dry_run=dry_run) for one in self._sources()]

    def _sources(self) -> Iterator[tuple[str, Callable[[], Sequence[Found]]]]:
        for address in self._table.feeds:
            yield address, partial(self._feed, address)
        for place, category in enumerate(self._table.arxiv):
            if place:
                self._sleep(_PAUSE)
            address = f"https://rss.arxiv.org/atom/{category}"
            yield address, partial(self._feed, address)
        if self._table.bookmarks:
            folder = self._settings.folder / self._table.bookmarks
            yield self._table.bookmarks, partial(_bookmarks, folder)

    def _round(
        self,
        source: tuple[str, Callable[[], Sequence[Found]]],
        known: set[str],
        *,
        dry_run: bool,
    ) -> Sourced:
        name, ask = source
        try:
            found = ask()
        except (OutsideError, FeedError) as error:
            return Sourced(name, reason=str(error))
        by_key: dict[str, Found] = {}
        for link in found:
            by_key.setdefault(url_key(link.url), link)
        before = known | self._store.known(by_key)
        fresh = {key: one for key, one in by_key.items() if key not in before}
        fresh = dict(list(fresh.items())[: self._table.most])
        if not dry_run and fresh:
            day = datetime.fromtimestamp(self._store.now(), self._settings.newsletter.zone)
            self.inbox.add(list(fresh.values()), f"{day:%Y-%m-%d}")
            # After the inbox: a kill between the two adds nothing twice, since the inbox is asked.
            self._store.remember(dict.fromkeys(fresh, name))
        return Sourced(name, len(fresh), len(by_key) - len(fresh))

    def _feed(self, address: str) -> Sequence[Found]:
        before = self._store.source(address)
        if before.not_before is not None and before.not_before > self._store.now():
            raise OutsideError(f"{before.reason}; it is asked again later")
        conditions = {"If-None-Match": before.etag, "If-Modified-Since": before.modified}
        try:
            answer = fetch(
                address,
                most=_LARGEST,
                headers={name: value for name, value in conditions.items() if value},
                allow_private=self._table.allow_private,
            )
            found = self._read(answer)
        except (OutsideError, FeedError) as error:
            self._failed(address, before, str(error), getattr(error, "wait", None))
            raise
        if answer.status == _UNCHANGED:
            self._store.answered(address, replace(before, failures=0, not_before=None, reason=""))
        else:
            headers = answer.headers
            fresh = Source(headers.get("etag", ""), headers.get("last-modified", ""))
            self._store.answered(address, fresh)
        return found

    def _read(self, answer: Fetched) -> Sequence[Found]:
        if answer.status == _UNCHANGED:
            return ()
        if answer.status != _OK:
            wait = _seconds(answer.headers.get("retry-after", ""), self._store.now())
            raise _AnswerError(f"it answered {answer.status}", wait)
        return read_feed(answer.content, answer.url)

    def _failed(self, address: str, before: Source, reason: str, wait: int | None) -> None:
        doubled = min(_FIRST_WAIT * 2 ** min(before.failures, 10), _LONGEST_WAIT)
        until = self._store.now() + max(wait or 0, doubled)
        self._store.answered(
            address, replace(before, failures=before.failures + 1, not_before=until, reason=reason)
        )


class _AnswerError(OutsideError):
    """An answer that is no feed, with the seconds it asks us to wait."""

    def __init__(self, reason: str, wait: int | None) -> None:
        super().__init__(reason)
        self.wait = wait


def _seconds(retry_after: str, now: int) -> int | None:
    """Read Retry-After (RFC 9110 section 10.2.3): seconds, or a date."""
    if retry_after.isdigit():
        return min(int(retry_after), _LONGEST_WAIT)
    try:
        until = parsedate_to_datetime(retry_after).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0, int(until) - now), _LONGEST_WAIT)


def _bookmarks(folder: Path) -> list[Found]:
    if not folder.is_dir():
        raise OutsideError(f"there is no folder {folder}")
    try:
        return read_bookmarks(folder)
    except OSError as error:
        raise OutsideError(f"it cannot be read: {error.strerror}") from error
