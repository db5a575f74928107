"""A real SMTP server process, told how to fail."""

from __future__ import annotations

import mailbox
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parent.parent / "servers" / "smtp_server.py"


@dataclass
class SmtpServer:
    port: int
    folder: Path
    process: subprocess.Popen[str]

    def messages(self) -> list[mailbox.MaildirMessage]:
        return list(mailbox.Maildir(self.folder))

    def recipients(self) -> Counter[str]:
        return Counter(str(message["Delivered-To"]) for message in self.messages())


@pytest.fixture
def smtp_server(tmp_path: Path) -> Iterator[Callable[..., SmtpServer]]:
    """Start a server: `smtp_server("rcpt@bo@example.com=450 later", pipelining=True)`."""
    started: list[SmtpServer] = []

    def start(*faults: str, pipelining: bool = True, smtputf8: bool = True) -> SmtpServer:
        folder = tmp_path / f"server{len(started)}"
        command = [sys.executable, str(_SCRIPT), "--maildir", str(folder)]
        command += [word for fault in faults for word in ("--fault", fault)]
        command += ["--pipelining"] if pipelining else []
        command += [] if smtputf8 else ["--no-smtputf8"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        server = SmtpServer(int(process.stdout.readline()), folder, process)
        started.append(server)
        return server

    yield start
    for server in started:
        server.process.kill()
        server.process.communicate()
