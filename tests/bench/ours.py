"""Our sender, in a process of its own: `python -m tests.bench.ours FOLDER ISSUE FULL`."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy import Engine, event

from newsletter_bot.bot import Bot
from newsletter_bot.cli.newsletter import scaffold
from newsletter_bot.delivery.run import Run
from newsletter_bot.rendering.model import Rendering
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.model import NewSubscriber

ISSUE = "2026-W47"
_LEVELS = {1: "NORMAL", 2: "FULL"}  # as SQLite numbers them
_PARAGRAPH = (
    "\n\nThis paragraph stands here so that the message is as long as the one that the others"
    " send, with words enough that nothing about it is special: some are short, others are longer."
)


class Ours:
    """A newsletter that can be sent again and again, each time from a fresh copy."""

    def __init__(self, place: Path, size: int) -> None:
        self._place = place
        self._folder = place / "news"
        scaffold(self._folder, sample=True)
        self.size = self._lengthen(size)
        self._copies = 0

    def add(self, count: int) -> None:
        """Add invented readers."""
        bot = Bot.open(self._folder)
        people = [
            NewSubscriber(parse_address(f"reader{n}@example.com"), f"Reader {n}")
            for n in range(count)
        ]
        for at in range(0, count, 5000):
            bot.subscribers.add(people[at : at + 5000], "weekly", {"source": "bench"})
        bot.close()

    def rate(self, port: int, *, dkim: bool = False, synchronous: str = "FULL") -> float:
        """Send to all readers from a fresh copy; returns messages a second."""
        self._copies += 1
        folder = self._place / f"copy{self._copies}"
        shutil.copytree(self._folder, folder)
        toml = folder / "newsletter.toml"
        text = re.sub(r"^port = \d+", f"port = {port}", toml.read_text(), flags=re.MULTILINE)
        toml.write_text(text + (_dkim(folder, text) if dkim else ""))
        assert (b"DKIM-Signature:" in _content(folder)) is dkim
        figures = send_in_child(folder, synchronous)
        shutil.rmtree(folder)
        return float(figures["rate"])

    def rendering(self) -> Rendering:
        """Return the issue as it is sent."""
        bot = Bot.open(self._folder)
        rendering = bot.render(bot.read(bot.find(ISSUE)))
        bot.close()
        return rendering

    def content(self) -> bytes:
        """Return one message, as an invented reader gets it."""
        return _content(self._folder)

    def _lengthen(self, size: int) -> int:
        path = next((self._folder / "issues").glob(f"{ISSUE}.md"))
        text = path.read_text()
        while (length := len(self.content())) < size:
            # a paragraph appears in the HTML and in the text, and is encoded in both
            missing = max(1, (size - length) // (3 * len(_PARAGRAPH)))
            text += _PARAGRAPH * missing
            path.write_text(text)
        return length


def _content(folder: Path) -> bytes:
    bot = Bot.open(folder)
    rendering = bot.render(bot.read(bot.find(ISSUE)))
    sample = bot.mailroom.proofs.sample(rendering, bot.sample_values(), "reader@example.com")
    bot.close()
    return sample.content


def send_in_child(folder: Path, synchronous: str = "FULL") -> dict[str, Any]:
    """Send the issue in a process of its own; returns what it printed."""
    command = [sys.executable, "-m", "tests.bench.ours", str(folder), ISSUE, synchronous]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def _dkim(folder: Path, toml: str) -> str:
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = folder / "dkim.pem"
    path.write_bytes(key)
    path.chmod(0o600)
    found = re.search(r"^from = .*@([\w.-]+)>", toml, flags=re.MULTILINE)
    assert found is not None, "the sample says who sends it"
    return f'\n[dkim]\ndomain = "{found[1]}"\nselector = "bench"\nkey_file = "dkim.pem"\n'


def _largest_memory() -> float:
    """Return how many MB this process held at its largest.

    getrusage would not do: Linux hands ru_maxrss on to the program that a process starts, so that a
    child is never smaller than the bench was.
    """
    status = Path("/proc/self/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, flags=re.MULTILINE)
    assert found is not None, "Linux tells it"
    return int(found[1]) / 1024


def _synchronous(engine: Engine) -> str:
    with engine.connect() as connection:
        level = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
    return _LEVELS[level]


def main() -> None:
    """Send, and print the rate and the largest memory."""
    folder, identity, synchronous = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    bot = Bot.open(folder)
    engine = bot.subscribers._engine

    @event.listens_for(engine, "connect")
    def _set(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA synchronous = {synchronous}")

    engine.dispose()
    issue = bot.read(bot.find(identity))
    rendering = bot.render(issue)
    begun = time.perf_counter()
    tally = bot.mailroom.send(rendering, issue.title, issue.lists, Run())
    spent = time.perf_counter() - begun
    assert tally.balanced
    assert tally.accepted == tally.planned
    assert _synchronous(engine) == synchronous
    rate = tally.accepted / spent
    figures = {"rate": rate, "memory": _largest_memory(), "sent": tally.accepted}
    sys.stdout.write(json.dumps(figures))


if __name__ == "__main__":
    main()
