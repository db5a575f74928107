"""The bench runs: its short form, without a word about speed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.sink import postfix

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    not Path(postfix("smtp-sink")).exists(), reason="Postfix's smtp-sink is not installed"
)


def bench(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_bench_compares_with_everybody_it_should() -> None:
    said = bench("tests.bench", "--quick")
    for name in (
        "smtp-source -d ",
        "signing RSA-2048",
        "EmailMessage + smtplib",
        "EmailMessage + aiosmtplib",
        "no pipelining",
        "synchronous FULL",
        "StaticFiles",
        "nginx",
        "a transaction for each",
        "events: batches of 100 to 500",
        "events: one in each post",
    ):
        assert name in said
    assert not {"✓", "✗"} & set(said)  # a run this short judges nobody


def test_a_part_of_the_bench_can_be_run_alone() -> None:
    said = bench("tests.bench", "--quick", "--only", "smtplib")
    assert "EmailMessage + smtplib" in said
    assert "aiosmtplib" not in said
    assert "smtp-source" not in said


def test_the_bench_of_the_web_counts_that_nobody_who_left_was_forgotten() -> None:
    said = bench("tests.bench", "--quick", "--only", "web")
    assert "pages: p99" in said
    assert "one-click, the second time" in said
    assert "smtp-source" not in said


def test_the_bench_of_reports_compares_numbers_that_agree() -> None:
    said = bench("tests.bench", "--quick", "--only", "report")
    assert "report ISSUE --html" in said
    assert "rows counted in Python" in said


def test_the_bench_of_scale_measures_planning_and_memory() -> None:
    said = bench("tests.bench.scale", "--people", "2000")
    assert "planning, against INSERT" in said
    assert "memory, more than" in said
