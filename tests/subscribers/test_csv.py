from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter_bot.errors import DataError
from newsletter_bot.storage.engine import open_engine
from newsletter_bot.subscribers.csv_in import ImportOptions, ImportReport, Rejected, import_csv
from newsletter_bot.subscribers.csv_out import as_it_was, neutral, write_csv
from newsletter_bot.subscribers.store import SubscriberStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SubscriberStore]:
    engine = open_engine("sqlite:///people.db", tmp_path)
    yield SubscriberStore(engine, b"secret" * 8)
    engine.dispose()


def load(
    store: SubscriberStore, tmp_path: Path, data: str | bytes, **options: object
) -> ImportReport:
    path = tmp_path / "people.csv"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return import_csv(store, path, ImportOptions("weekly", ("plan",), **options))  # type: ignore[arg-type]


def name_of(store: SubscriberStore, address: str) -> str:
    person = store.find(address)
    assert person is not None
    return person.subscriber.name


def test_a_plain_file_is_imported_and_again_changes_nothing(
    store: SubscriberStore, tmp_path: Path
) -> None:
    text = "email,name,plan\nada@example.com,Ada,free\nbo@example.com,Bo,\n"
    report = load(store, tmp_path, text)
    assert (report.read, report.added, report.updated, report.rejected) == (2, 2, 0, [])
    again = load(store, tmp_path, text)
    assert (again.read, again.added, again.updated) == (2, 0, 0)
    assert again.to_json()["skipped"] == 2


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffemail,name\nada@example.com,Ada\n",
        "E-Mail;Name\r\nada@example.com;Ada\r\n",
        "Email Address\tFull name\nada@example.com\tAda\n",
        "メールアドレス,名前\nada@example.com,Ada\n",
        'other,"email",name\nx,ada@example.com,Ada\n',
        "email,first_name,last_name\nada@example.com,Ada,\n",
    ],
)
def test_headers_are_understood_in_many_forms(
    store: SubscriberStore, tmp_path: Path, text: str
) -> None:
    assert load(store, tmp_path, text).added == 1
    assert name_of(store, "ada@example.com") == "Ada"


def test_a_column_can_be_named_by_hand(store: SubscriberStore, tmp_path: Path) -> None:
    report = load(
        store,
        tmp_path,
        "wer,tarif\nada@example.com,free\n",
        mapping={"wer": "email", "tarif": "plan"},
    )
    assert report.added == 1
    assert report.ignored_columns == ()


def test_bad_rows_are_listed_with_line_and_reason_and_good_ones_taken(
    store: SubscriberStore, tmp_path: Path
) -> None:
    data = (
        b"email,name\n"
        b"ada@example.com,Ada\n"
        b"nobody,No One\n"
        b'"quoted@example.com","two\nlines"\n'
        b"latin@example.com,M\xfcller\n"
        b"nul@example.com,a\x00b\n"
        b"many@example.com,a,b,c\n"
        b"huge@example.com," + b"x" * 2_000_000 + b"\n"
        b"wide@example.com," + b"x" * 10_001 + b"\n"
        b'=cmd|" /C calc"!A0,evil\n'
        b"\n"
        b"zoe@example.com,Zo\xc3\xab\n"
    )
    report = load(store, tmp_path, data)
    assert [(one.line, one.reason.partition(":")[0]) for one in report.rejected] == [
        (3, report.rejected[0].reason.partition(":")[0]),
        (4, "a line break or control character in name"),
        (6, "not UTF-8"),
        (7, "a NUL character"),
        (8, "4 cells, but the header names 2"),
        (9, "a row of more than 1,000,000 characters"),
        (10, "a cell of more than 10,000 characters"),
        (11, report.rejected[7].reason.partition(":")[0]),
    ]
    assert "@" in report.rejected[0].reason
    assert (report.read, report.added) == (10, 2)
    assert name_of(store, "zoe@example.com") == "Zoë"


def test_a_quoted_cell_may_hold_line_breaks_where_no_field_is_read(
    store: SubscriberStore, tmp_path: Path
) -> None:
    text = 'email,note,name\nada@example.com,"one\ntwo, three",Ada\nbo@example.com,x,Bo\nbad,x,y\n'
    report = load(store, tmp_path, text)
    assert (report.added, [one.line for one in report.rejected]) == (2, [5])
    assert report.ignored_columns == ("note",)


def test_files_of_which_nothing_can_be_read_are_explained(
    store: SubscriberStore, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="UTF-16"):
        load(store, tmp_path, "email\nada@example.com\n".encode("utf-16"))
    with pytest.raises(DataError, match=r"No column holds addresses.*'wer', 'was'"):
        load(store, tmp_path, "wer,was\nada@example.com,x\n")
    with pytest.raises(DataError, match="No column holds addresses"):
        load(store, tmp_path, "")
    with pytest.raises(DataError, match="cannot be read"):
        import_csv(store, tmp_path / "none.csv", ImportOptions("weekly"))


def test_a_quote_that_is_never_closed_is_one_refused_row_that_says_what_was_lost(
    store: SubscriberStore, tmp_path: Path
) -> None:
    rows = "".join(f"r{n}@example.com,{'x' * 50}\n" for n in range(100_000))
    report = load(store, tmp_path, f'email,name\nada@example.com,A\n"open@example.com,x\n{rows}')
    assert (report.read, report.added) == (2, 1)
    (refused,) = report.rejected
    assert (refused.line, refused.reason) == (
        3,
        "a quote is never closed: lines 3 to 100003 were not read",
    )


def test_addresses_in_the_first_column_are_no_header(
    store: SubscriberStore, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"no header, but a row: 'ada@example\.com', 'Ada'"):
        load(store, tmp_path, "ada@example.com,Ada\nbo@example.com,Bo\n")


def test_a_file_with_two_rows_for_one_address_changes_nothing_when_imported_again(
    store: SubscriberStore, tmp_path: Path
) -> None:
    text = "email,name\nada@example.com,A\nADA@example.com,B\n"
    assert load(store, tmp_path, text).added == 1
    for _ in range(2):
        again = load(store, tmp_path, text)
        assert (again.added, again.updated) == (0, 0)
        assert name_of(store, "ada@example.com") == "B"


@pytest.mark.parametrize("state", ["unsubscribed", "suppressed", "pending", "Unsubscribed"])
def test_a_row_that_says_not_to_be_mailed_adds_nobody(
    store: SubscriberStore, tmp_path: Path, state: str
) -> None:
    report = load(store, tmp_path, f"email,state\nada@example.com,{state}\nbo@example.com,CA\n")
    assert (report.added, report.skips) == (1, {state.lower(): 1})
    assert store.find("ada@example.com") is None


def test_an_export_brought_to_a_new_database_revives_nobody(
    store: SubscriberStore, tmp_path: Path
) -> None:
    load(store, tmp_path, "email\nada@example.com\ngone@example.com\nshut@example.com\n")
    store.unsubscribe("gone@example.com")
    store.suppress("shut@example.com", "complained")
    out = io.StringIO(newline="")
    write_csv(store.export("weekly"), (), out)
    engine = open_engine("sqlite:///fresh.db", tmp_path)
    fresh = SubscriberStore(engine, b"secret" * 8)
    report = load(fresh, tmp_path, out.getvalue())
    assert (report.added, report.skips) == (1, {"unsubscribed": 1, "suppressed": 1})
    assert [person.address for person, *_ in fresh.export("weekly")] == ["ada@example.com"]
    engine.dispose()


def test_template_syntax_and_formulas_are_just_text(store: SubscriberStore, tmp_path: Path) -> None:
    load(store, tmp_path, 'email,name\nada@example.com,"{{ 7*7 }}=SUM(A1)"\n')
    assert name_of(store, "ada@example.com") == "{{ 7*7 }}=SUM(A1)"


def test_an_export_is_safe_in_a_spreadsheet_and_comes_back_unchanged(
    store: SubscriberStore, tmp_path: Path
) -> None:
    names = ["=1+1", "+1", "-1", "@x", "'=1", "plain", "'quoted"]
    rows = "".join(f'r{n}@example.com,"{name}"\n' for n, name in enumerate(names))
    load(store, tmp_path, "email,name\n" + rows)
    out = io.StringIO(newline="")
    assert write_csv(store.export("weekly"), ("plan",), out) == len(names)
    cells = [line.split(",")[1] for line in out.getvalue().splitlines()[1:]]
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
    again = load(store, tmp_path, out.getvalue())
    assert (again.added, again.updated) == (0, 0)


@given(st.text(st.sampled_from("'=+-@\tab"), max_size=6))
def test_a_neutral_cell_is_no_formula_and_can_be_undone(cell: str) -> None:
    assert not neutral(cell).startswith(("=", "+", "-", "@", "\t"))
    assert as_it_was(neutral(cell)) == cell


def test_memory_does_not_grow_with_the_file(store: SubscriberStore, tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        text = "".join(f"r{n}@example.com,Reader {n}\n" for n in range(rows))
        tracemalloc.start()
        load(store, tmp_path, "email,name\n" + text)
        text = ""
        _now, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(100)
    assert peak(40_000) < 2.5 * peak(10_000)


def test_refused_rows_are_told_as_they_come(store: SubscriberStore, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("email\nbad\nada@example.com\n", encoding="utf-8")
    told: list[tuple[Rejected, Sequence[str]]] = []
    seen: list[int] = []
    import_csv(
        store,
        path,
        ImportOptions("weekly"),
        progress=seen.append,
        reject=lambda row, columns: told.append((row, columns)),
    )
    assert [(row.cells, columns) for row, columns in told] == [(("bad",), ["email"])]
    assert seen == [path.stat().st_size]


def test_a_name_too_long_for_a_person_is_refused(store: SubscriberStore, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text(f"email,name\na@example.com,{'x' * 200}\nb@example.com,{'x' * 201}\n")
    report = import_csv(store, path, ImportOptions("weekly"))
    assert (report.added, [one.line for one in report.rejected]) == (1, [3])
    assert "200 characters" in report.rejected[0].reason
