"""A newsletter whose sender is killed, and the proof from the server's mailbox afterwards."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from click.testing import CliRunner

from newsletter_bot.cli import app
from tests.crash.nursery import Child, Nursery
from tests.crash.saboteur import NEVER
from tests.servers.outside import ISSUE, Newsletter, people

READERS = 60
_PROMPT = 20.0  # seconds for a whole run on a busy machine; nobody waits for a dead process
_LOST = "the program ended"


@dataclass
class Aftermath:
    """What is known from outside: the server's mailbox, the ledger's numbers, who was killed."""

    outside: Newsletter
    server: Any
    nursery: Nursery
    connections: int
    readers: int
    kills: int = 0
    boot: str = ""  # another boot of the machine, for runs to come

    @property
    def left(self) -> set[str]:
        """To whom a final dot may have left."""
        notes = self.outside.folder / "dots.txt"
        return set(notes.read_text().split()) if notes.exists() else set()

    def send(self, step: str = NEVER, count: int = 1) -> Child:
        """Begin to send, until the `count`-th time of a step."""
        words = ("send", ISSUE, "--yes")
        return self.nursery.start(
            *words, folder=self.outside.folder, step=step, count=count, boot=self.boot
        )

    def kill(self, step: str, count: int = 1) -> None:
        """Send until the `count`-th time of a step, and no further."""
        self._killed(self.send(step, count))

    def kill_when(self, filed: int, later: float = 0.0) -> None:
        """Send, and kill it that many seconds after the server has so many messages."""
        run = self.send()
        run.caught(lambda: self.server.filed() >= filed)
        time.sleep(later)
        run.kill(signal.SIGKILL)
        self._killed(run)

    def _killed(self, run: Child) -> None:
        said = run.ended()
        assert run.code == -signal.SIGKILL, (run.code, said)
        self.kills += 1
        assert set(self.server.recipients().values()) <= {1}

    def command(self, *words: str) -> dict[str, Any]:
        """Run another command, as an operator does meanwhile; returns its document."""
        found = CliRunner().invoke(app, ["-C", str(self.outside.folder), "--json", *words])
        assert found.exit_code == 0, found.output
        document: dict[str, Any] = json.loads(found.stdout)
        return document

    def go_on(self) -> None:
        """Send at once after a kill, to the end."""
        begun = time.monotonic()
        run = self.send()
        said = run.ended()
        assert run.code == 0, said
        assert time.monotonic() - begun < _PROMPT

    def proven(self) -> dict[str, Any]:
        """Return the tally, once the mailbox proves it: nobody twice, nobody lost silently."""
        tally = self.outside.counted(self.server)
        assert tally["balanced"], tally
        unknown = self.unknown()
        everybody = {f"{name}@example.com" for name in people(self.readers)}
        assert tally["planned"] == self.readers
        assert tally["unknown"] == len(unknown) <= 2 * self.connections * self.kills
        assert everybody - set(self.server.recipients()) <= unknown
        assert unknown <= self.left, "whose dot cannot have left is owed, not unknown"
        return tally

    def unknown(self) -> set[str]:
        said = self.command("status", ISSUE, "--search", _LOST)["said"]
        return {one["address"] for one in said if one["state"] == "unknown"}


Prepare = Callable[..., Aftermath]
