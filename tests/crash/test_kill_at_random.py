"""Kills at moments nobody chose, one after another, and what may follow one."""

from __future__ import annotations

import random

import pytest

from tests.crash.aftermath import READERS, Prepare
from tests.servers.outside import ISSUE

WHILE_SENDING = [
    "claim written, not committed",
    "claim committed",
    "before MAIL",
    "before the body",
    "in the middle of the body",
    "after the dot",
    "outcome written, not committed",
    "outcome committed",
]


@pytest.mark.parametrize("seed", range(2))
def test_five_kills_at_random_moments_double_nobody(prepare: Prepare, seed: int) -> None:
    chance = random.Random(seed)
    scene = prepare(connections=chance.randint(1, 4), readers=120)
    for kill in range(5):
        # Within 120 readers at most 8 become unknown and some 8 more arrive at each kill.
        scene.kill_when(filed=kill * 20 + chance.randint(1, 12), later=chance.random() / 20)
    scene.go_on()
    scene.proven()


@pytest.mark.parametrize("seed", range(2))
def test_kills_at_random_steps_double_nobody(prepare: Prepare, seed: int) -> None:
    chance = random.Random(seed)
    scene = prepare(connections=2)
    for _ in range(4):
        scene.kill(chance.choice(WHILE_SENDING), chance.randint(1, 9))
    scene.go_on()
    scene.proven()


def test_an_issue_cancelled_after_a_kill_is_settled_at_once(prepare: Prepare) -> None:
    scene = prepare()
    scene.kill("after the dot", READERS // 2)
    assert scene.outside.status()["sending"]
    scene.command("cancel", ISSUE)
    tally = scene.outside.counted(scene.server)
    assert (tally["state"], tally["sending"], tally["balanced"]) == ("cancelled", 0, True)
    assert tally["unknown"] <= 2 * scene.connections
    assert scene.unknown() <= scene.left
    assert tally["skipped"] >= READERS - len(scene.left)


def test_a_killed_run_that_was_paused_before_is_resumed_without_doubling_anybody(
    prepare: Prepare,
) -> None:
    scene = prepare()
    scene.kill("after the dot", READERS // 2)
    scene.command("pause", ISSUE)
    run = scene.send()
    said = run.ended()
    assert run.code == 75
    assert f"newsletter-bot resume {ISSUE}" in said
    scene.command("resume", ISSUE)
    scene.go_on()
    scene.proven()


def test_unknown_deliveries_are_sent_again_only_where_the_settings_say_so(prepare: Prepare) -> None:
    scene = prepare(connections=1, unknown="resend")
    scene.kill("after the dot", READERS // 2)
    scene.go_on()
    tally = scene.outside.status()
    got = scene.server.recipients()
    assert (tally["accepted"], tally["unknown"], len(got)) == (READERS, 0, READERS)
    assert 1 <= sum(got.values()) - READERS <= 2
    assert {one for one, copies in got.items() if copies > 1} <= scene.left


@pytest.mark.parametrize(("choice", "copies"), [("skip", 1), ("resend", 2)])
def test_unknown_deliveries_are_settled_as_resolve_says(
    prepare: Prepare, choice: str, copies: int
) -> None:
    scene = prepare(connections=1)
    scene.kill("after the dot")
    scene.go_on()
    assert scene.proven()["unknown"] == 1
    scene.command("resolve", ISSUE, "--unknown", choice)
    scene.go_on()
    tally = scene.outside.status()
    assert (tally["unknown"], tally["balanced"]) == (0, True)
    got = scene.server.recipients()
    assert [got.pop(one) for one in scene.left & {"r0@example.com"}] == [copies]
    assert (len(got), set(got.values())) == (READERS - 1, {1})
