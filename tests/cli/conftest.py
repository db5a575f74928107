"""Run the command as a shell would, and look at what it says and how it ends."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from newsletter_bot.cli import main


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run(newsletter: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`run("check", "2026-W01")` in the newsletter's folder."""

    def done(
        *words: str,
        json: bool = False,
        folder: Path | None = None,
        stdin: bytes = b"",
        columns: int = 200,
    ) -> Result:
        out, err = io.StringIO(), io.StringIO()
        arguments = ["-C", str(folder or newsletter), *(["--json"] if json else []), *words]
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        monkeypatch.setenv("COLUMNS", str(columns))
        with redirect_stdout(out), redirect_stderr(err):
            try:
                main(arguments)
                code = 0
            except SystemExit as ended:
                code = int(ended.code or 0)
        return Result(code, out.getvalue(), err.getvalue())

    return done
