"""Notes of what went beyond its final dot that cannot be believed: then anything may have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.aftermath import READERS, Aftermath, Prepare
from tests.servers.outside import ISSUE

CONNECTIONS = 3


def _file(scene: Aftermath) -> Path:
    return scene.outside.folder / f".sending-{ISSUE}"


def missing(scene: Aftermath) -> None:
    _file(scene).unlink()


def empty(scene: Aftermath) -> None:
    _file(scene).write_bytes(b"")


def truncated(scene: Aftermath) -> None:
    _file(scene).write_bytes(_file(scene).read_bytes()[:4096])


def overwritten(scene: Aftermath) -> None:
    _file(scene).write_bytes(b"\xff" * _file(scene).stat().st_size)


def of_the_run_before(scene: Aftermath) -> None:
    old = _file(scene).read_bytes()
    scene.kill("claim committed")
    _file(scene).write_bytes(old)


def of_another_boot(scene: Aftermath) -> None:
    (scene.outside.folder / "boot-another").write_text("00000000-0000-0000-0000-000000000000")
    scene.boot = "another"


def where_nothing_tells_boots_apart(scene: Aftermath) -> None:
    scene.boot = "untold"


@pytest.mark.parametrize(
    "lose",
    [
        missing,
        empty,
        truncated,
        overwritten,
        of_the_run_before,
        of_another_boot,
        where_nothing_tells_boots_apart,
    ],
)
def test_without_notes_whatever_was_under_way_is_unknown_and_not_sent_again(
    prepare: Prepare, lose: Callable[[Aftermath], None]
) -> None:
    scene = prepare(connections=CONNECTIONS)
    scene.kill("claim committed", READERS // 2)
    lose(scene)
    before = scene.outside.status()
    under_way = before["sending"]
    assert under_way > 0
    scene.go_on()
    tally = scene.outside.counted(scene.server)
    assert tally["balanced"]
    assert tally["unknown"] == before["unknown"] + under_way
    assert tally["unknown"] <= 2 * CONNECTIONS * scene.kills
    assert len(scene.server.recipients()) >= READERS - tally["unknown"]


def test_with_its_notes_the_same_kill_leaves_unknown_only_what_may_have_arrived(
    prepare: Prepare,
) -> None:
    scene = prepare(connections=CONNECTIONS)
    scene.kill("claim written, not committed", READERS // 2)
    left = scene.left
    scene.go_on()
    assert scene.proven()["unknown"] <= len(left)
    assert scene.unknown() <= left
