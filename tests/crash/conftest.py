"""A newsletter with readers, ready to be sent by a process that will be killed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.crash.aftermath import READERS, Aftermath, Prepare
from tests.crash.nursery import Nursery
from tests.servers.outside import Newsletter, people


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Where runs begin that will be killed."""
    loaded = Nursery()
    yield loaded
    loaded.close()


@pytest.fixture
def prepare(outside: Newsletter, smtp_server: Any, nursery: Nursery) -> Iterator[Prepare]:
    """Prepare a newsletter: `prepare(connections=2, database="sqlite:///ledger.db")`."""

    def ready(
        *faults: str,
        connections: int = 2,
        database: str = "",
        readers: int = READERS,
        **settings: Any,
    ) -> Aftermath:
        server = smtp_server(*faults)
        if database:
            _keep_in(outside, database)
        outside.readers(*people(readers))
        outside.relay(server.port, connections=connections, **settings)
        return Aftermath(outside, server, nursery, connections, readers)

    yield ready
    for child in nursery.children:
        child.kill(signal.SIGKILL)
    nursery.children.clear()


def _keep_in(outside: Newsletter, database: str) -> None:
    toml = outside.folder / "newsletter.toml"
    table = f'[database]\nurl = "{database}"\n\n[transport]'
    toml.write_text(toml.read_text().replace("[transport]", table))
