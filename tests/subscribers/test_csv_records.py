from __future__ import annotations

import csv
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter_bot.errors import DataError
from newsletter_bot.subscribers.csv_records import LONGEST_RECORD, Record, open_records


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("csv") / "people.csv"


def records(path: Path, data: str | bytes) -> list[Record]:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    with open_records(path) as found:
        return list(found)


def header(path: Path, data: str) -> list[str]:
    path.write_bytes(data.encode())
    with open_records(path) as found:
        return found.header


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("a,b\n", ["a", "b"]),
        ("\ufeffa;b\r\n", ["a", "b"]),
        ("a\tb", ["a", "b"]),
        ('"a, b, c";d\n', ["a, b, c", "d"]),
        ("\n  \na,b\n", ["a", "b"]),
        ('"two\nlines",b\nx,y\n', ["two\nlines", "b"]),
        ("", []),
    ],
)
def test_the_header_is_the_first_record_that_is_not_blank(
    path: Path, text: str, columns: list[str]
) -> None:
    assert header(path, text) == columns


def test_every_record_knows_the_line_it_begins_on(path: Path) -> None:
    found = records(path, '\n"h\n1",h2\n1,a\n\n"2\n2",b\r\n3,"c\n\n"\r4,d')
    assert found == [
        Record(4, ["1", "a"]),
        Record(6, ["2\n2", "b"]),
        Record(8, ["3", "c\n\n"]),
        Record(11, ["4", "d"]),
    ]


@given(st.lists(st.lists(st.text('ab",;\n '), min_size=2, max_size=3), min_size=1, max_size=5))
def test_what_was_written_is_read(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["h1", "h2"], *rows])
    with open_records(path) as found:
        assert [record.cells for record in found] == rows


@pytest.mark.parametrize(
    "long",
    [
        "x" * (3 * LONGEST_RECORD),
        '"' + "x" * (2 * LONGEST_RECORD) + '"',
        '"' + 'said ""so""\n' * LONGEST_RECORD + 'the end","another\nin quotes",z',
        "x," * LONGEST_RECORD,
    ],
    ids=["line", "quoted", "many-lines", "many-cells"],
)
def test_a_record_that_is_too_long_is_faulty_and_the_next_is_read(path: Path, long: str) -> None:
    first, second = records(path, f"h\n{long}\nnext\n")
    assert (first.line, first.fault) == (2, "a row of more than 1,000,000 characters")
    assert second == Record(2 + long.count("\n") + 1, ["next"])


def test_a_line_without_an_end_takes_little_memory(path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("h\n")
        for _ in range(60):
            file.write("x" * 1_000_000)
    tracemalloc.start()
    with open_records(path) as found:
        (only,) = found
    _now, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    path.unlink()
    assert only.fault
    assert most < 20_000_000


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("h\nx\n".encode("utf-16"), "is UTF-16, not UTF-8"),
        ("h\nx\n".encode("utf-32"), "is UTF-32, not UTF-8"),
        ("h\nx\n".encode("utf-16-le"), "is UTF-16LE, not UTF-8"),
        ("h\nx\n".encode("utf-16-be"), "is UTF-16BE, not UTF-8"),
        ("email,prénom\n".encode("latin-1"), "the first line is not UTF-8.*Windows-1252"),
        (b"PK\x03\x04rest", "is a workbook, not CSV"),
        (b'a,"b\nc,d\n', "opens a quote that is never closed"),
        (b"a," * LONGEST_RECORD, "too long"),
    ],
)
def test_a_file_that_is_no_csv_in_utf8_is_refused_by_name(
    path: Path, data: bytes, sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        records(path, data)
