"""Runs of the program that begin at once: a process that has loaded it has a child for each run.

Loading the program takes longer than most of these runs, and they are many. What runs in the child
is the whole program, with its own process id, to be killed like any other.

    python -m tests.crash.nursery

Reads one JSON document a line: {"step", "count", "notes", "boot", "words", "said"} begins a run and
prints its process id; {"pid"} prints how that one ended, or null while it runs.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.outside import wait_for

_LOADED = (
    "newsletter_bot.archive.site",
    "newsletter_bot.bot",
    "newsletter_bot.cli.sending",
    "newsletter_bot.delivery.mailroom",
    "newsletter_bot.issues.checks",
    "newsletter_bot.issues.parse",
    "newsletter_bot.rendering.checks",
    "newsletter_bot.rendering.render",
    "newsletter_bot.storage.engine",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
    "tests.crash.saboteur",
)
_ROOT = Path(__file__).parents[2]


class Nursery:
    """The process, as tests use it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
        )
        self.children: list[Child] = []

    def start(self, *words: str, folder: Path, step: str, count: int, boot: str) -> Child:
        """Begin a run that is killed at the `count`-th time of `step`."""
        said = folder / "said.txt"
        document = {
            "step": step,
            "count": count,
            "notes": str(folder / "dots.txt"),
            "boot": boot and str(folder / f"boot-{boot}"),
            "words": ["-C", str(folder), "--json", *words],
            "said": str(said),
        }
        child = Child(self, self.ask(document), said)
        self.children.append(child)
        return child

    def ask(self, document: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(document) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate("")


@dataclass
class Child:
    """One run of the program."""

    nursery: Nursery
    pid: int
    said: Path
    code: int | None = None

    def poll(self) -> int | None:
        """Return how it ended, with the signal's number below zero; None while it runs."""
        if self.code is None:
            self.code = self.nursery.ask({"pid": self.pid})
        return self.code

    def kill(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def ended(self) -> str:
        """Wait for its end; returns what it said."""
        wait_for(lambda: self.poll() is not None)
        return self.said.read_text(encoding="utf-8")

    def caught(self, condition: Callable[[], object]) -> None:
        """Wait until `condition` holds, in the middle of the run."""
        wait_for(lambda: condition() or self.poll() is not None)
        assert self.poll() is None, f"the run ended before: {self.ended()}"


# ── in the nursery's own process ─────────────────────────────────────────────────────────────


def _answer(document: dict[str, Any]) -> int | None:
    if "pid" in document:
        pid, status = os.waitpid(document["pid"], os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None
    return os.fork() or _run(document)


def _run(document: dict[str, Any]) -> int:
    nothing = os.open(os.devnull, os.O_RDWR)
    said = os.open(document["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number, file in enumerate((nothing, nothing, said)):
        os.dup2(file, number)
    code = 1
    try:
        code = _main(document)
    except BaseException:  # noqa: BLE001 - whatever it is, the test shall read it
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(code)


def _main(document: dict[str, Any]) -> int:
    from newsletter_bot.cli import main
    from newsletter_bot.delivery import recorder
    from tests.crash.saboteur import sabotage

    sabotage(document["step"], document["count"], document["notes"])
    if document["boot"]:
        recorder._BOOT_ID = Path(document["boot"])
    try:
        main(document["words"])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


if __name__ == "__main__":
    for name in _LOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answer(json.loads(line))) + "\n")
        sys.stdout.flush()
