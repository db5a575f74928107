"""The house keeps its own rules: lengths, names, where SQL may live."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "newsletter_bot"
FILES = sorted(PACKAGE.rglob("*.py"))
TEXTS = [
    path
    for path in sorted(ROOT.rglob("*"))
    if path.is_file()
    and path.suffix in {".py", ".md", ".toml", ".j2", ".css", ".yaml", ".yml", ".sh", ".txt", ".js"}
    and not {".venv", ".git", ".tools", "node_modules", "demo"} & set(path.parts)
]

LONGEST_FILE = 350
LONGEST_FUNCTION = 50
LONGEST_MEDIAN = 10
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_a_file_is_short_enough_to_read_in_one_sitting(path: Path) -> None:
    assert path.read_text(encoding="utf-8").count("\n") <= LONGEST_FILE


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_a_module_says_in_a_sentence_what_it_is(path: Path) -> None:
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert said, "no docstring"
    assert said.partition("\n\n")[0].rstrip().endswith((".", ":")), (
        "its first paragraph is no sentence"
    )


def _functions() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def test_no_function_is_long() -> None:
    long = [
        f"{_name(path)}:{node.lineno} {node.name} has {_length(node)} lines"
        for path, node in _functions()
        if _length(node) > LONGEST_FUNCTION
    ]
    assert long == []


def test_the_usual_function_is_short() -> None:
    assert statistics.median(_length(node) for _, node in _functions()) < LONGEST_MEDIAN


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [path for path in FILES if path.stem in FORBIDDEN_NAMES] == []


SQL = re.compile(
    r"from sqlalchemy(\.\S+)? import (?!Engine$)|import sqlite3|import psycopg"
    r"|exec_driver_sql|\btext\(\"(SELECT|INSERT|UPDATE|DELETE|PRAGMA)"
)


def test_sql_lives_in_stores_and_in_storage_alone() -> None:
    elsewhere = [
        f"{_name(path)}: {line.strip()}"
        for path in FILES
        if not path.stem.endswith("store") and "storage" not in path.parts
        for line in path.read_text(encoding="utf-8").splitlines()
        if SQL.search(line) and "sqlalchemy.exc" not in line
    ]
    assert elsewhere == []


def test_no_file_names_a_machine_or_a_registry() -> None:
    # Written in pieces, so that this file does not find itself.
    words = [
        "/wo" + "rk/",
        "/ro" + "ot/",
        "python" + "hosted",
        "registry." + "npmjs",
        "deb." + "debian",
    ]
    found = [
        f"{_name(path)}: {word}"
        for path in TEXTS
        for word in words
        if word in path.read_text(encoding="utf-8", errors="replace")
    ]
    assert found == []


def test_nothing_is_left_for_later_in_the_code() -> None:
    words = re.compile("NotImplemented" + "Error|TO" + "DO|FIX" + "ME|XX" + "X")
    found = [
        f"{_name(path)}:{number}"
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if words.search(line)
    ]
    assert found == []
