"""docs/api.md is part of the API: an operation, a scope or a problem without a line fails here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from newsletter_bot.web.api.keys import MEANINGS, Scope
from newsletter_bot.web.api.problems import Kind
from tests.web.api.test_scopes import NEEDED

TEXT = (Path(__file__).parents[3] / "docs" / "api.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("operation", list(NEEDED))
def test_every_operation_is_documented_with_an_example(operation: str) -> None:
    section = TEXT.partition(f"### `{operation}`\n")[2].partition("\n##")[0]
    method, _, path = operation.partition(" ")
    assert "curl " in section, operation
    assert ("-X " + method in section) is (method in {"PUT", "PATCH", "DELETE"})
    last = path.rpartition("/")[2]
    assert last.startswith("{") or last in section.partition("curl ")[2]


def test_every_documented_operation_exists() -> None:
    assert set(re.findall(r"^### `([A-Z]+ \S+)`$", TEXT, re.MULTILINE)) == set(NEEDED)


def test_every_scope_is_documented_with_its_meaning() -> None:
    rows = dict(re.findall(r"^\| `([a-z:*]+)` \| (.+) \|$", TEXT, re.MULTILINE))
    assert set(rows) == set(Scope)
    for scope, meaning in MEANINGS.items():
        assert rows[scope] == meaning or scope is Scope.ALL


def test_every_problem_is_documented_with_its_status() -> None:
    rows = set(re.findall(r"^\| (\d{3}) \| `([a-z-]+)` \|", TEXT, re.MULTILINE))
    assert rows == {(str(one.status), one.type.rpartition(":")[2]) for one in Kind}
