"""A process killed while it sends: the next run finishes, and nobody gets two copies."""

from __future__ import annotations

import json
import mailbox
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

READERS = 60
CONNECTIONS = 2


def command(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "newsletter_bot", "-C", str(folder), "--json", *words]


def recipients(box: Path) -> Counter[str]:
    return Counter(str(message["Delivered-To"]) for message in mailbox.Maildir(box))


@pytest.fixture
def ready(newsletter: Path, write_issue: Any, smtp_server: Any) -> Any:
    """A newsletter with readers, an issue and a server; sent slowly enough to be killed."""
    server = smtp_server()
    toml = newsletter / "newsletter.toml"
    smtp = f'kind = "smtp"\nport = {server.port}\ntls = "none"\nconnections = {CONNECTIONS}\n'
    text = toml.read_text().replace('kind = "maildir"\npath = "mail"', f'{smtp}rate = "60/s"')
    toml.write_text(text)
    write_issue()
    people = newsletter / "people.csv"
    people.write_text("email\n" + "".join(f"r{n}@example.com\n" for n in range(READERS)))
    subprocess.run(
        command(newsletter, "subscribers", "import", str(people)), check=True, capture_output=True
    )
    return server


@pytest.mark.parametrize("after", [1, 20, 45])
def test_a_killed_send_run_again_finishes_without_sending_twice(
    ready: Any, newsletter: Path, after: int
) -> None:
    process = subprocess.Popen(
        command(newsletter, "send", "2026-W01", "--yes"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while sum(recipients(ready.folder).values()) < after and process.poll() is None:
        time.sleep(0.01)
    assert process.poll() is None, "it finished before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    result = subprocess.run(
        command(newsletter, "send", "2026-W01", "--yes"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    tally = json.loads(result.stdout)
    got = recipients(ready.folder)
    assert tally["balanced"]
    assert tally["unknown"] <= 2 * CONNECTIONS
    assert tally["accepted"] + tally["unknown"] == READERS
    assert set(got.values()) == {1}
    assert READERS - len(got) <= tally["unknown"]


def test_a_terminated_send_finishes_what_is_in_flight(ready: Any, newsletter: Path) -> None:
    process = subprocess.Popen(
        command(newsletter, "send", "2026-W01", "--yes"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while sum(recipients(ready.folder).values()) < 5:
        time.sleep(0.01)
    process.terminate()
    _out, err = process.communicate(timeout=60)
    assert process.returncode == 75
    assert "Stopped as asked" in err
    status = subprocess.run(
        command(newsletter, "status", "2026-W01"), capture_output=True, text=True, check=True
    )
    tally = json.loads(status.stdout)
    assert (tally["sending"], tally["unknown"]) == (0, 0)
    assert tally["accepted"] == sum(recipients(ready.folder).values())
