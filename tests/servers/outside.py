"""The program seen from outside: a newsletter's folder, `send` in its own process, `status`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from newsletter_bot.cli import app

ISSUE = "2026-W01"
TRY_AGAIN = 75
_PATIENCE = 60.0  # seconds that anything may take on a slow machine before a test fails
_MAIN = "from newsletter_bot.cli import main\nmain()\n"

# Python to run before the program, in its own process.
AN_HOUR_LATER = "import time\nreal = time.time\ntime.time = lambda: real() + 3700\n"


@dataclass(frozen=True)
class Ended:
    """How a process ended, and what it said on standard error."""

    code: int
    said: str


@dataclass
class Newsletter:
    """A newsletter with readers and an issue, used as an operator uses it."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    _started: list[subprocess.Popen[str]] = field(default_factory=list)

    def readers(self, *names: str) -> None:
        path = self.folder / "people.csv"
        lines = "".join(f"{name}@example.com\n" for name in names)
        path.write_text(f"email\n{lines}", encoding="utf-8")
        self._run("subscribers", "import", str(path))

    def relay(self, port: int, **settings: Any) -> None:
        """Write [transport] anew: SMTP in clear over one connection, unless `settings` differ."""
        table = {"kind": "smtp", "port": port, "tls": "none", "connections": 1, **settings}
        lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
        toml = self.folder / "newsletter.toml"
        before = toml.read_text(encoding="utf-8").partition("[transport]")[0]
        toml.write_text(f"{before}[transport]\n{lines}", encoding="utf-8")

    def start(self, *words: str, first: str = "") -> subprocess.Popen[str]:
        """Start `send`; `first` is Python that its process runs before the program."""
        program = ["-c", first + _MAIN] if first else ["-m", "newsletter_bot"]
        command = [sys.executable, *program, "-C", str(self.folder), "--json"]
        process = subprocess.Popen(
            [*command, "send", ISSUE, "--yes", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.environment},
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        """End what a failed test left running."""
        for process in self._started:
            process.kill()
            process.wait()
            assert process.stderr is not None
            process.stderr.close()

    def send(self, *words: str, first: str = "") -> Ended:
        return ended(self.start(*words, first=first))

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._run("status", ISSUE).stdout)
        return found

    def reasons(self) -> str:
        """What `status` tells people."""
        return self._run("status", ISSUE).stderr

    def _run(self, *words: str) -> Result:
        result = CliRunner().invoke(app, ["-C", str(self.folder), "--json", *words])
        assert result.exit_code == 0, result.output
        return result

    def counted(self, server: Any) -> dict[str, Any]:
        """Return the tally, once it agrees with what the server has: nobody twice or forgotten."""
        tally = self.status()
        got = server.recipients()
        assert set(got.values()) <= {1}, f"more than one copy: {got}"
        ends = ("accepted", "refused", "skipped", "unknown", "expired")
        assert tally["planned"] == sum(tally[end] for end in ends) + tally["remaining"], tally
        undecided = tally["unknown"] + tally["sending"]
        assert tally["accepted"] <= len(got) <= tally["accepted"] + undecided, tally
        return tally

    def finish(self, server: Any, **settings: Any) -> dict[str, Any]:
        """Send once more, an hour later through a server that is well: all is settled by it."""
        self.relay(server.port, **settings)
        result = self.send(first=AN_HOUR_LATER)
        assert result.code == 0, result.said
        tally = self.counted(server)
        assert tally["balanced"], tally
        return tally


def ended(process: subprocess.Popen[str]) -> Ended:
    """Wait for a process; a traceback is never an answer."""
    try:
        _, said = process.communicate(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    assert "Traceback" not in said, said
    return Ended(process.returncode, said)


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str] | None = None) -> None:
    """Wait until `condition` holds, while `process` (a run to be caught in the middle) lives."""
    end = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came to pass"
        if process is not None and process.poll() is not None:
            _, said = process.communicate()
            raise AssertionError(f"the run ended before: {said}")
        time.sleep(0.01)


def explained(result: Ended, *words: str) -> None:
    """Assert that a run ended with "try again", its cause in `words`, and a next step."""
    assert result.code == TRY_AGAIN, result
    assert "next:" in result.said, result.said
    for word in words:
        assert word in result.said, result.said


def people(count: int) -> Sequence[str]:
    return [f"r{number}" for number in range(count)]


def trusting(authority: Path) -> Mapping[str, str]:
    """The environment of a process that trusts this certificate authority alone."""
    return {"SSL_CERT_FILE": str(authority)}
