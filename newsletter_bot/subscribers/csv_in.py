"""A CSV of people → subscribers: good rows in, bad rows listed with their line and reason."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO

from newsletter_bot.errors import DataError
from newsletter_bot.subscribers.address import AddressError, parse_address
from newsletter_bot.subscribers.csv_out import as_it_was
from newsletter_bot.subscribers.store import AddOutcome, NewSubscriber, SubscriberStore

_BATCH = 5000
_LONGEST_CELL = 10_000  # characters
_LONGEST_RECORD = 5_000_000  # characters: more is a quote that nobody closed
_MOST_LISTED = 10_000  # rejected rows kept to be shown; all of them go to the file
_ALIASES = {
    "email": "email mail emailaddress address emailadresse メールアドレス メール 邮箱 이메일",
    "name": "name fullname displayname 名前 氏名 姓名 이름",
    "first_name": "firstname givenname forename vorname prénom 名",
    "last_name": "lastname surname familyname nachname nom 姓",
    "language": "language lang locale sprache 言語 语言",
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
        reasons = (AddOutcome.UNCHANGED, AddOutcome.UNSUBSCRIBED, AddOutcome.SUPPRESSED)
        return {one.value: self.outcomes[one] for one in reasons if self.outcomes[one]}

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
    reject: Callable[[Rejected], None] = lambda _row: None,
) -> ImportReport:
    """Import a file in batches, each one transaction; importing it again changes nothing.

    `progress` is told how many bytes were read, `reject` every row that is refused. Raises
    DataError for a file of which no row can be read.
    """
    report = ImportReport()
    consent = {"source": f"import of {path.name}"}
    with _opened(path) as raw, _as_text(raw) as file:
        reader = _Reader(file, options)
        report.ignored_columns = reader.ignored
        rows = reader.rows()
        while batch := list(islice(rows, _BATCH)):
            report.read += len(batch)
            good = [row for row in batch if isinstance(row, NewSubscriber)]
            report.outcomes.update(store.add(good, options.list_id, consent))
            for row in batch:
                if isinstance(row, Rejected):
                    _note(report, row, reject)
            progress(raw.tell())
    return report


def _note(report: ImportReport, row: Rejected, reject: Callable[[Rejected], None]) -> None:
    report.rejections += 1
    if len(report.rejected) < _MOST_LISTED:
        report.rejected.append(row)
    reject(row)


def _opened(path: Path) -> io.BufferedReader:
    try:
        raw = path.open("rb")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    if raw.peek(4).startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raw.close()
        raise DataError(
            f"{path} is UTF-16, not UTF-8; nothing was imported.",
            f"Convert it: iconv -f UTF-16 -t UTF-8 {path.name} > utf8.csv",
        )
    return raw


def _as_text(raw: io.BufferedReader) -> io.TextIOWrapper:
    # Bytes that are not UTF-8 become lone surrogates, so that only their row is refused.
    return io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="")


class _Reader:
    """Reads rows by the header's columns, and knows on which line each begins."""

    def __init__(self, file: IO[str], options: ImportOptions) -> None:
        csv.field_size_limit(2**31 - 1)  # we look at lengths ourselves, row by row
        self._own = frozenset(options.own_fields)
        self._record = 0  # characters since the last whole record
        self._start = 1
        header = file.readline()
        self._delimiter = max(",;\t|", key=header.count) if header else ","
        columns = next(csv.reader([header], delimiter=self._delimiter), [])
        self._fields = [self._field(column, options.mapping) for column in columns]
        self.ignored = tuple(
            column for column, name in zip(columns, self._fields, strict=True) if name is None
        )
        if "email" not in self._fields:
            found = ", ".join(repr(column[:40]) for column in columns[:12]) or "none"
            raise DataError(
                f"No column holds addresses. The first line names these columns: {found}.",
                'Name the column: --map "Your column=email".',
            )
        self._lines = file

    def rows(self) -> Iterator[NewSubscriber | Rejected]:
        """Yield each row as a person, or as rejected."""
        reader = csv.reader(self._counted(), delimiter=self._delimiter)
        line = 2
        while True:
            self._start, self._record = line, 0
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Rejected(line, f"not readable as CSV: {error}")
                cells = []
            if cells:
                yield self._row(cells, line)
            line = reader.line_num + 2

    def _counted(self) -> Iterator[str]:
        for line in self._lines:
            goes_on = self._record > 0
            self._record += len(line)
            if goes_on and self._record > _LONGEST_RECORD:
                raise DataError(
                    f"A quote opened in the row of line {self._start} is never closed.",
                    "Close it and import again: rows before it are in already.",
                )
            yield line.replace("\0", "\ufffe")  # csv would stop at NUL; `_row` refuses the row

    def _row(self, cells: list[str], line: int) -> NewSubscriber | Rejected:
        kept = tuple(cell[:200] for cell in cells)
        if any(len(cell) > _LONGEST_CELL for cell in cells):
            return Rejected(line, f"a cell of more than {_LONGEST_CELL:,} characters", kept)
        if len(cells) > len(self._fields):
            reason = f"{len(cells)} cells, but the header names {len(self._fields)}"
            return Rejected(line, reason, kept)
        text = "".join(cells)
        if "\ufffe" in text:
            return Rejected(line, "a NUL character", kept)
        if not text.isascii() and re.search("[\ud800-\udfff]", text):
            return Rejected(line, "not UTF-8", tuple(_printable(cell) for cell in kept))
        values = {
            name: as_it_was(cell.strip(" "))
            for name, cell in zip(self._fields, cells, strict=False)
            if name is not None
        }
        try:
            return self._person(values)
        except AddressError as error:
            return Rejected(line, str(error), kept)

    def _person(self, values: Mapping[str, str]) -> NewSubscriber:
        address = parse_address(values.get("email", ""))
        for name, value in values.items():
            if re.search(r"[\x00-\x1f\x7f]", value):
                raise AddressError(f"a line break or control character in {name}")
        first, last = values.get("first_name", ""), values.get("last_name", "")
        own = {name: values[name] for name in self._own & values.keys() if values[name]}
        if first:
            own["first_name"] = first
        name = values.get("name") or " ".join(one for one in (first, last) if one)
        return NewSubscriber(address, name, values.get("language", ""), own)

    def _field(self, column: str, mapping: Mapping[str, str]) -> str | None:
        if column in mapping:
            return mapping[column]
        plain = column.strip().casefold()
        if plain in self._own:
            return plain
        bare = re.sub(r"[\s_.-]+", "", plain)
        return next((name for name, words in _ALIASES.items() if bare in words.split()), None)


def _printable(cell: str) -> str:
    return cell.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
