"""A process killed around a provider's call: nobody gets two messages, and nobody is lost.

Where the provider knows keys the next run makes the call again and settles all of it; where it does
not, one batch for each connection may stay unknown.
"""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.crash.nursery import Child, Nursery
from tests.crash.saboteur import NEVER
from tests.servers.outside import ISSUE, Newsletter, people
from tests.servers.providers import Fault, ProviderServer, fake, provider_server

READERS = 230  # two batches and a part of Resend's


@dataclass
class Scene:
    outside: Newsletter
    server: ProviderServer
    nursery: Nursery
    kind: str
    connections: int = 1

    def __post_init__(self) -> None:
        options = self.server.behaviour.options(self.server.url)
        table = {"kind": self.kind, "connections": self.connections, **options}
        _write(self.outside.folder, table)
        self.outside.readers(*people(READERS))

    def send(self, step: str = NEVER, count: int = 1) -> Child:
        words = ("send", ISSUE, "--yes")
        folder = self.outside.folder
        return self.nursery.start(*words, folder=folder, step=step, count=count, boot="")

    def kill(self, step: str, count: int = 1) -> None:
        run = self.send(step, count)
        said = run.ended()
        assert run.code == -signal.SIGKILL, (run.code, said)

    def kill_in_call(self) -> None:
        """Kill it once the provider has taken the messages, and says nothing."""
        self.server.faults.append(Fault.HANG_AFTER)
        before = len(self.server.taken)
        run = self.send()
        run.caught(lambda: len(self.server.taken) > before)
        run.kill(signal.SIGKILL)
        run.ended()

    def go_on(self) -> dict[str, Any]:
        run = self.send()
        said = run.ended()
        assert run.code == 0, said
        return self.counted()

    def counted(self) -> dict[str, Any]:
        """Return the tally, once it agrees with what the provider took."""
        got = Counter(one.recipient for one in self.server.taken)
        assert set(got.values()) <= {1}, "somebody got two"
        tally = self.outside.status()
        assert tally["balanced"], tally
        assert tally["accepted"] <= len(got) <= tally["accepted"] + tally["unknown"]
        return tally


def _write(folder: Path, table: dict[str, Any]) -> None:
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
    toml = folder / "newsletter.toml"
    before = toml.read_text(encoding="utf-8").partition("[transport]")[0]
    toml.write_text(f"{before}[transport]\n{lines}", encoding="utf-8")


@pytest.fixture
def resend() -> Iterator[ProviderServer]:
    with provider_server(fake("resend")) as server:
        yield server


@pytest.mark.parametrize(
    "step",
    [
        "before the chunk is frozen",
        "chunk frozen",
        "before the call's last byte",
        "call answered",
        "call understood",
        "outcome written, not committed",
        "outcome committed",
    ],
)
def test_with_keys_a_kill_leaves_nothing_unknown(
    outside: Newsletter, resend: ProviderServer, nursery: Nursery, step: str
) -> None:
    scene = Scene(outside, resend, nursery, "resend", connections=2)
    scene.kill(step)
    tally = scene.go_on()
    assert tally["accepted"] == READERS
    assert len(resend.taken) == READERS


def test_with_keys_a_kill_in_the_middle_of_a_call_is_settled_by_the_same_call(
    outside: Newsletter, resend: ProviderServer, nursery: Nursery
) -> None:
    scene = Scene(outside, resend, nursery, "resend")
    scene.kill_in_call()
    scene.kill("before the call", 1)  # of the next run, which makes it again
    assert scene.go_on()["accepted"] == READERS
    first, again = resend.handed_over[:2]
    assert (first.body, first.headers["idempotency-key"]) == (
        again.body,
        again.headers["idempotency-key"],
    )


def test_a_provider_of_single_messages_with_keys_is_asked_again_too(
    outside: Newsletter, nursery: Nursery
) -> None:
    with provider_server(fake("brevo")) as server:
        scene = Scene(outside, server, nursery, "brevo", connections=3)
        for step in ("call answered", "chunk frozen", "before the call's last byte"):
            scene.kill(step, 24)
        assert scene.go_on()["accepted"] == READERS


def test_without_keys_one_batch_of_each_connection_stays_unknown(
    outside: Newsletter, nursery: Nursery
) -> None:
    with provider_server(fake("postmark")) as server:
        scene = Scene(outside, server, nursery, "postmark")
        scene.kill_in_call()
        tally = scene.go_on()
        assert 0 < tally["unknown"] <= 500
        assert tally["accepted"] + tally["unknown"] == READERS
