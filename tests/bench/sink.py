"""Programs that the bench talks to: Postfix's smtp-sink, and a proxy that adds a delay."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PROXY = Path(__file__).parents[1] / "servers" / "delay_proxy.py"


def postfix(program: str) -> str:
    """Return where Postfix's test programs are, which is often not on the path."""
    return shutil.which(program) or f"/usr/sbin/{program}"


@contextmanager
def sink() -> Iterator[int]:
    """Run smtp-sink, which takes mail and throws it away; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    as_root = ["-u", "nobody"] if os.geteuid() == 0 else []
    command = [postfix("smtp-sink"), *as_root, f"127.0.0.1:{port}", "1000"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        else:
            raise TimeoutError("smtp-sink does not listen")
        yield port
    finally:
        process.terminate()
        process.wait()


@contextmanager
def delayed(port: int, milliseconds: int) -> Iterator[int]:
    """Run a proxy before `port` whose answers take longer; yields its port."""
    command = [sys.executable, str(_PROXY), "--to", str(port), "--delay-ms", str(milliseconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate()
