"""A process killed around the draw and the decision of a test: nobody gets two mails or none."""

from __future__ import annotations

import time
from pathlib import Path

from tests.crash.aftermath import READERS, Prepare

TABLES = """\
[tracking]
clicks = "individual"

[subject_test]
share = 0.5
wait = "1s"
least = 5

[transport]
"""


def _two_subjects(folder: Path) -> None:
    toml = folder / "newsletter.toml"
    toml.write_text(toml.read_text().replace("[transport]\n", TABLES))
    path = folder / "issues" / "2026-W01.md"
    line = next(one for one in path.read_text().splitlines() if one.startswith("subject:"))
    path.write_text(path.read_text().replace(line, "subjects: [First, Second]"))


def test_a_draw_and_a_decision_killed_at_any_point_double_and_lose_nobody(
    prepare: Prepare, database_url: str
) -> None:
    scene = prepare(database=database_url, connections=2)
    _two_subjects(scene.outside.folder)
    scene.kill("draw written, not committed")
    scene.kill("plan committed")
    scene.kill("outcome committed", 3)
    run = scene.send()
    assert "wait for the test of the subjects" in run.ended()
    assert run.code == 75
    begun = scene.outside.status()
    test = begun["subject_test"]
    assert test["waiting"] == begun["remaining"] > 0
    time.sleep(1.1)
    scene.kill("decision written, not committed")
    assert scene.outside.status()["subject_test"]["decided_at"] is None
    scene.kill("decision committed")
    decided = scene.outside.status()["subject_test"]
    assert (decided["why"], decided["waiting"]) == ("No winner: nobody clicked.", 0)
    assert [one["sent"] for one in decided["variants"]] == [one["sent"] for one in test["variants"]]
    scene.kill("outcome committed", 3)
    scene.go_on()
    tally = scene.proven()
    assert tally["planned"] == READERS
    assert tally["subject_test"]["decided_at"] == decided["decided_at"]
    second = [one for one in scene.server.messages() if one["Subject"] == "Second"]
    assert abs(len(second) - test["variants"][1]["sent"]) <= tally["unknown"]
