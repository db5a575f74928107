"""Mail read by programs that are neither ours nor Python's."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

_SCRIPT = Path(__file__).parent / "mail_readers.js"


@pytest.fixture(scope="session")
def read_elsewhere() -> Iterator[Callable[[bytes, Mapping[str, str]], Any]]:
    """Return what mailauth and mailparser make of a message, in a DNS with these records alone."""
    node = shutil.which("node")
    assert node, "run tests/install-tools.sh"
    process = subprocess.Popen(
        [node, str(_SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    asked, answers = process.stdin, process.stdout

    def read(message: bytes, dns: Mapping[str, str]) -> Any:
        document = {
            "message": base64.b64encode(message).decode(),
            "dns": {name: [value] for name, value in dns.items()},
        }
        asked.write(json.dumps(document) + "\n")
        asked.flush()
        return json.loads(answers.readline())

    yield read
    process.kill()
    process.communicate()
