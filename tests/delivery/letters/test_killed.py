"""A process killed between a letter's beginning and its outcome leaves no second copy."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.delivery.letters.killed import STEPS
from tests.delivery.letters.office import HOUR, Office

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_no_letter_is_sent_twice(
    office: Callable[..., Office], tmp_path: Path, step: str
) -> None:
    here = office()
    here.asks("ada@example.com")
    here.asks("bo@example.com")
    url = here.engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", "tests.delivery.letters.killed", url.replace("+psycopg", "")]
    command += [str(tmp_path), str(here.server.port), step]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    time.sleep(0.5)  # let the server file what has reached it
    copies = here.arrived()["ada@example.com"]
    here.sends()
    here.clock.pass_by(HOUR)
    here.sends()
    ada, bo = here.rows()
    assert ada["state"] == ("accepted" if step == "outcome written" else "unknown")
    assert ada["reason"]
    assert here.arrived()["ada@example.com"] == copies <= 1
    # With PIPELINING the second was begun too, where the first one's body had left.
    assert bo["state"] in {"accepted", "unknown"}
    assert here.arrived()["bo@example.com"] == (bo["state"] == "accepted")
    if step in {"answer heard", "outcome written"}:
        assert copies == 1
