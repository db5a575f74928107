"""The short form of `make soak`: some hundreds come and go while an issue is being sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conftest import SMALL_ISSUE
from tests.soak.soak import Size, Soak

ISSUE = SMALL_ISSUE.partition("::: only")[0]  # the newsletter of the soak has no field "plan"


def test_hundreds_come_and_go_while_an_issue_is_sent_and_every_state_is_right(
    database_url: str, tmp_path: Path, smtp_server: Callable[..., Any]
) -> None:
    server = smtp_server(pipelining=True)
    size = Size(readers=600, leaving=300, joining=300, connections=6)
    soak = Soak(tmp_path / "news", database_url, server.port, server.folder, ISSUE, size)
    soak.run()
    assert soak.report["got the issue"] + soak.report["left before their message began"] == 600
