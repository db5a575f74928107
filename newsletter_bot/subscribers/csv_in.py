"""A CSV of people → subscribers: good rows in, bad rows listed with their line and reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from newsletter_bot.subscribers.address import AddressError, has_control, parse_address
from newsletter_bot.subscribers.csv_columns import assign
from newsletter_bot.subscribers.csv_out import as_it_was
from newsletter_bot.subscribers.csv_records import (
    NOT_UTF8,
    NUL,
    Record,
    Records,
    is_utf8,
    open_records,
)
from newsletter_bot.subscribers.given import LONGEST_NAME
from newsletter_bot.subscribers.model import IMPORTED, AddOutcome, NewSubscriber
from newsletter_bot.subscribers.store import SubscriberStore

_BATCH = 5000
_LONGEST_CELL = 10_000  # characters
_LONGEST_KEPT = 200  # characters of a refused cell
_MOST_LISTED = 10_000  # rejected rows kept to be shown; all of them go to the file
# States that a row may claim, as our own export writes them, and that do not ask for mail.
_NO_MAIL = {
    "unsubscribed": AddOutcome.UNSUBSCRIBED,
    "suppressed": AddOutcome.SUPPRESSED,
    "pending": AddOutcome.PENDING,
}


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that was not taken: the line on which it begins, and why."""

    line: int
    reason: str
    cells: tuple[str, ...] = ()


@dataclass(slots=True)
class ImportReport:
    """What an import did; `rejected` holds the first rows refused, `rejections` counts all."""

    read: int = 0
    outcomes: Counter[AddOutcome] = field(default_factory=Counter)
    rejected: list[Rejected] = field(default_factory=list)
    rejections: int = 0
    ignored_columns: tuple[str, ...] = ()

    @property
    def added(self) -> int:
        """People subscribed who were not before."""
        return self.outcomes[AddOutcome.ADDED]

    @property
    def updated(self) -> int:
        """People whose name or fields changed, or who joined another list."""
        return self.outcomes[AddOutcome.UPDATED]

    @property
    def skips(self) -> dict[str, int]:
        """Rows that changed nothing, by reason."""
        done = (AddOutcome.ADDED, AddOutcome.UPDATED)
        return {
            one.value: self.outcomes[one]
            for one in AddOutcome
            if one not in done and self.outcomes[one]
        }

    def to_json(self) -> dict[str, object]:
        """Return the document of `subscribers import --json`."""
        return {
            "read": self.read,
            "added": self.added,
            "updated": self.updated,
            "skipped": sum(self.skips.values()),
            "skips": self.skips,
            "rejected": [{"line": one.line, "reason": one.reason} for one in self.rejected],
            "rejections": self.rejections,
            "ignored_columns": list(self.ignored_columns),
        }


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How a file's columns become a person, and to which list people are added."""

    list_id: str
    own_fields: tuple[str, ...] = ()
    mapping: Mapping[str, str] = field(default_factory=dict)  # column of the file → our field


def import_csv(
    store: SubscriberStore,
    path: Path,
    options: ImportOptions,
    *,
    progress: Callable[[int], None] = lambda _bytes: None,
    reject: Callable[[Rejected, Sequence[str]], None] = lambda _row, _columns: None,
) -> ImportReport:
    """Import a file in batches, each one transaction; importing it again changes nothing.

    `progress` is told how many bytes were read; `reject` every row that is refused, with the
    names of the file's columns. Raises DataError for a file that is no CSV of people in UTF-8,
    UsageError for a mapping of a column that it does not have.
    """
    report = ImportReport()
    consent = {"source": f"{IMPORTED}{path.name}"}
    with open_records(path) as records:
        fields = assign(records.header, options.own_fields, options.mapping)
        report.ignored_columns = tuple(
            column for column, name in zip(records.header, fields, strict=True) if name is None
        )
        for batch in _batches(_Rows(fields, options.own_fields).read(records)):
            report.read += len(batch)
            good = [row for row in batch if isinstance(row, NewSubscriber)]
            report.outcomes.update(store.add(good, options.list_id, consent))
            report.outcomes.update(row for row in batch if isinstance(row, AddOutcome))
            for row in batch:
                if isinstance(row, Rejected):
                    _note(report, row)
                    reject(row, records.header)
            progress(records.position())
    return report


# A row is somebody to add, or claims a state in which nobody is added, or is refused.
_Row = NewSubscriber | AddOutcome | Rejected


def _batches(rows: Iterator[_Row]) -> Iterator[list[_Row]]:
    while batch := list(islice(rows, _BATCH)):
        yield batch


def _note(report: ImportReport, row: Rejected) -> None:
    report.rejections += 1
    if len(report.rejected) < _MOST_LISTED:
        report.rejected.append(replace(row, cells=()))


class _Rows:
    """Reads records as people, by the field of each column."""

    def __init__(self, fields: Sequence[str | None], own: Iterable[str]) -> None:
        self._fields = fields
        self._own = frozenset(own)

    def read(self, records: Records) -> Iterator[_Row]:
        for record in records:
            fault = record.fault or self._fault(record.cells)
            yield self._rejected(record, fault) if fault else self._row(record)

    def _fault(self, cells: list[str]) -> str:
        text = "".join(cells)
        if len(text) > _LONGEST_CELL and max(map(len, cells)) > _LONGEST_CELL:
            return f"a cell of more than {_LONGEST_CELL:,} characters"
        if len(cells) > len(self._fields):
            return f"{len(cells)} cells, but the header names {len(self._fields)}"
        if text.isprintable():
            return ""
        if NUL in text:
            return "a NUL character"
        return "" if is_utf8(text) else NOT_UTF8

    def _row(self, record: Record) -> _Row:
        values = {
            name: as_it_was(cell.strip(" "))
            for name, cell in zip(self._fields, record.cells, strict=False)
            if name is not None
        }
        claimed = "" if "state" in self._own else values.get("state", "").lower()
        try:
            return _NO_MAIL.get(claimed) or self._person(values)
        except AddressError as error:
            return self._rejected(record, str(error))

    def _person(self, values: Mapping[str, str]) -> NewSubscriber:
        address = parse_address(values.get("email", ""))
        for name, value in values.items():
            if has_control(value):
                raise AddressError(f"a line break or control character in {name}")
        first, last = values.get("first_name", ""), values.get("last_name", "")
        own = {name: values[name] for name in self._own & values.keys() if values[name]}
        if first:
            own["first_name"] = first
        name = values.get("name") or " ".join(one for one in (first, last) if one)
        if len(name) > LONGEST_NAME:
            raise AddressError(f"a name of more than {LONGEST_NAME} characters")
        return NewSubscriber(address, name, values.get("language", ""), own)

    def _rejected(self, record: Record, reason: str) -> Rejected:
        kept = record.cells[: len(self._fields) + 1]
        cells = tuple(_printable(cell[:_LONGEST_KEPT]) for cell in kept)
        return Rejected(record.line, reason, cells)


def _printable(cell: str) -> str:
    return cell.replace(NUL, "\ufffd").encode("utf-8", "surrogateescape").decode("utf-8", "replace")
