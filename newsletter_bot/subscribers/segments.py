"""Segments: the files that hold them, queries, who matches, and why somebody does or does not."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from newsletter_bot.errors import DataError
from newsletter_bot.settings import Settings
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.model import Subscriber
from newsletter_bot.subscribers.segment_explain import Told, explain, in_words
from newsletter_bot.subscribers.segment_query import parse_query
from newsletter_bot.subscribers.segment_rules import CLICKS, OPENS, Leaf, Now, Segment, leaves
from newsletter_bot.subscribers.segment_table import Vocabulary, read_segment
from newsletter_bot.subscribers.segment_values import SegmentError, nearest
from newsletter_bot.subscribers.segments_store import SegmentsStore

FOLDER = Path("subscribers", "segments")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_LARGEST = 65_536  # bytes of a file


@dataclass(frozen=True, slots=True)
class Measurement:
    """How many people match a segment, of how many, and what each rule alone would let through."""

    people: int  # that are known
    matching: int
    mailable: int  # of those matching: with an active subscription, and not suppressed
    rules: tuple[tuple[Leaf, int], ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as `segments explain --json` prints it."""
        return {
            "people": self.people,
            "matching": self.matching,
            "mailable": self.mailable,
            "rules": [{"rule": in_words(one), "matching": count} for one, count in self.rules],
        }


class Segments:
    """The segments of one newsletter; the database is opened by the first question to it."""

    def __init__(
        self, settings: Settings, engine: Callable[[], Engine], clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._clock = clock

    # ── files and queries ────────────────────────────────────────────────────────────────────

    @property
    def vocabulary(self) -> Vocabulary:
        """The fields and lists that rules may name, and whether they may ask of visits."""
        table = self._settings.tracking
        opens = OPENS if table.opens == "individual" else frozenset()
        clicks = CLICKS if table.clicks == "individual" else frozenset()
        return Vocabulary(
            self._settings.subscribers.fields, self._settings.list_ids, opens | clicks
        )

    def names(self) -> tuple[str, ...]:
        """Return what segments there are: the names of their files."""
        found = (self._settings.folder / FOLDER).glob("*.toml")
        return tuple(
            sorted(one.stem for one in found if _NAME.fullmatch(one.stem) and one.is_file())
        )

    def path(self, name: str) -> Path:
        """Return the file of a segment; raises DataError with the nearest name."""
        if not _NAME.fullmatch(name) or name not in self.names():
            place = self._settings.folder / FOLDER
            raise DataError(
                f"There is no segment {name[:80]!r}. {nearest(name[:80], self.names())}",
                f"Segments are the files in {place}.",
            )
        return self._settings.folder / FOLDER / f"{name}.toml"

    def load(self, name: str) -> Segment:
        """Read a segment's file; raises DataError, with the file and the place of the rule."""
        path = self.path(name)
        try:
            return read_segment(_table(path), name, self.vocabulary)
        except SegmentError as error:
            raise SegmentError(f"{path}: {error.message}", "See docs/segments.md.") from error

    def parse_query(self, text: str) -> Segment:
        """Read a segment from a query string; raises SegmentError (a DataError)."""
        return parse_query(text, self.vocabulary)

    # ── people ───────────────────────────────────────────────────────────────────────────────

    def count(self, segment: Segment) -> int:
        """Count who matches: everybody known, whether or not they get mail."""
        return self._store.count(segment.rule, self.now())

    def measure(self, segment: Segment) -> Measurement:
        """Count who matches, and whom each rule alone would, so that one sees which cuts."""
        rules = tuple(leaves(segment.rule))
        found = self._store.measure(segment.rule, rules, self.now())
        counted = tuple(zip(rules, found.alone, strict=True))
        return Measurement(found.people, found.matching, found.mailable, counted)

    def people(self, segment: Segment) -> Iterator[Subscriber]:
        """Read who matches when it begins, in order of their ids."""
        return self._store.people(segment.rule, self.now())

    def page(self, segment: Segment, after: int = 0, limit: int = 100) -> list[Subscriber]:
        """Read the next who match, with ids above `after`, in order of their ids."""
        return self._store.page(segment.rule, self.now(), after, limit)

    def explain(self, segment: Segment, address: str) -> Told | None:
        """Tell of each rule whether it holds for a person and why; None for somebody unknown.

        Raises AddressError.
        """
        facts = self._store.facts(parse_address(address).key)
        return None if facts is None else explain(segment.rule, facts, self.now())

    def now(self) -> Now:
        """When, and in which zone, rules are asked."""
        return Now(int(self._clock()), self._settings.newsletter.zone)

    @property
    def _store(self) -> SegmentsStore:
        return SegmentsStore(self._engine())


def _table(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST:
            raise SegmentError(f"more than {_LARGEST:,} bytes.")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SegmentError(f"it cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise SegmentError(f"no TOML: {error}.") from error
