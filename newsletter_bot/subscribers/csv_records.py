"""A CSV file → its records, each with the line it begins on; flat memory whatever it holds."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from newsletter_bot.errors import DataError

LONGEST_RECORD = 1_000_000  # characters
NUL = "\ufffe"  # stands for NUL, at which `csv` would stop; itself no character (Unicode 23.7)
NOT_UTF8 = "not UTF-8: it may be Windows-1252 (western Excel) or CP932 (Japanese Excel)"
_ENDS = ("\n", "\r")
_MARKS = {  # the longer first: UTF-32 begins as UTF-16 does
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx and .ods, .xls


class Record(NamedTuple):
    """One record; `fault` says why its cells are not to be trusted."""

    line: int
    cells: list[str]
    fault: str = ""


class Records:
    """The header of an open CSV, and an iterator over the records after it."""

    def __init__(self, raw: io.BufferedReader, text: io.TextIOWrapper) -> None:
        csv.field_size_limit(2**31 - 1)  # records are measured here, before `csv` sees them
        self._raw = raw
        self._text = text
        self._lines = 0  # read so far
        self._size = 0  # characters of the record being read
        self._unclosed = False
        lines = self._fed()
        first = next((line for line in lines if line.strip()), "")
        cells = {one: len(next(csv.reader([first], delimiter=one), [])) for one in ",;\t|"}
        delimiter = max(cells, key=lambda one: cells[one])
        self._reader = csv.reader(chain([first], lines), delimiter=delimiter)
        self.header = next(self._reader, [])
        if self._fault(1):
            raise DataError("The first line is too long, or opens a quote that is never closed.")

    def position(self) -> int:
        """How many bytes were read."""
        return self._raw.tell()

    def __iter__(self) -> Iterator[Record]:
        while True:
            line, self._size = self._lines + 1, 0
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Record(line, [], f"not readable as CSV: {error}")
                continue
            if fault := self._fault(line):
                yield Record(line, cells, fault)
            elif cells:
                yield Record(line, cells)

    def _fault(self, line: int) -> str:
        if self._unclosed:
            return f"a quote is never closed: lines {line} to {self._lines} were not read"
        if self._size > LONGEST_RECORD:
            return f"a row of more than {LONGEST_RECORD:,} characters"
        return ""

    def _fed(self) -> Iterator[str]:
        """Yield lines to `csv`; of a record that is too long, only what ends its quotes."""
        while line := self._text.readline(LONGEST_RECORD + 1):
            self._lines += 1
            self._size += len(line)
            yield (self._rest(line) if self._size > LONGEST_RECORD else line).replace("\0", NUL)
        self._unclosed = self._size > 0  # `csv` asks for more inside a record only within quotes

    def _rest(self, part: str) -> str:
        quotes = part.count('"')
        while not part.endswith(_ENDS) and (part := self._text.readline(LONGEST_RECORD)):
            quotes += part.count('"')
        return '"\n' if quotes % 2 else "\n"


@contextmanager
def open_records(path: Path) -> Iterator[Records]:
    """Open a CSV in UTF-8, with or without BOM.

    Raises DataError for a file that cannot be read or is in another encoding, naming both.
    A row with bytes that are not UTF-8 comes with lone surrogates: only that row is refused.
    """
    try:
        raw = path.open("rb")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    with raw:
        _refuse_foreign(raw.peek(4), path)
        with io.TextIOWrapper(raw, "utf-8-sig", "surrogateescape", newline="") as text:
            records = Records(raw, text)
            if not is_utf8("".join(records.header)):
                raise DataError(
                    f"{path}: the first line is {NOT_UTF8}; nothing was imported.",
                    f"Convert it: iconv -f WINDOWS-1252 -t UTF-8 {path.name} > utf8.csv",
                )
            yield records


def _refuse_foreign(head: bytes, path: Path) -> None:
    if head.startswith(_WORKBOOKS):
        raise DataError(f"{path} is a workbook, not CSV.", "Save it as “CSV UTF-8”.")
    found = next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)
    if found is None and b"\0" in head[:2]:
        found = "UTF-16BE" if head.startswith(b"\0") else "UTF-16LE"
    if found:
        raise DataError(
            f"{path} is {found}, not UTF-8; nothing was imported.",
            f"Convert it: iconv -f {found} -t UTF-8 {path.name} > utf8.csv",
        )


def is_utf8(text: str) -> bool:
    """Tell whether no byte of a text had to be kept as a lone surrogate."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
