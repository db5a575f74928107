"""What a report of a million deliveries and a million events costs, as the command prints it.

Beside it a naive one in the same run: it loads an issue's rows into Python and counts the same
outcomes, times, domains, words and clicks there. It leaves out growth and who unsubscribed, draws
nothing and folds nothing. Both are processes of their own, so that starting Python counts for both.
"""

from __future__ import annotations

import json
import resource
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from newsletter_bot.cli.newsletter import scaffold
from newsletter_bot.delivery.relaying.replies import without_identifiers
from tests.bench.report_data import LARGEST, make
from tests.bench.table import Table, in_turn, say

WANTED = 5.0  # seconds

_DELIVERIES = """\
SELECT deliveries.*, subscribers.address FROM deliveries
JOIN subscribers ON subscribers.id = subscriber_id WHERE issue_id = ?
"""
_EVENTS = "SELECT * FROM events WHERE issue_id = ?"


def naive(database: sqlite3.Connection, issue: str) -> dict[str, Any]:
    """Count an issue's numbers row by row."""
    database.row_factory = sqlite3.Row
    query = "SELECT id, planned_at FROM issues WHERE identity = ?"
    number, planned_at = database.execute(query, (issue,)).fetchone()
    states: Counter[str] = Counter()
    minutes: Counter[int] = Counter()
    domains: Counter[tuple[str, str]] = Counter()
    words: Counter[tuple[str, str]] = Counter()
    for row in database.execute(_DELIVERIES, (number,)):
        states[row["state"]] += 1
        domains[row["address"].rpartition("@")[2], row["state"]] += 1
        if row["state"] == "accepted":
            minutes[(row["changed_at"] - planned_at) // 60] += 1
        else:
            words[row["state"], without_identifiers(row["reason"])] += 1
    clicks: Counter[tuple[int, str]] = Counter()
    people: dict[str, set[int]] = {"clicked": set(), "bounced": set(), "complained": set()}
    for row in database.execute(_EVENTS, (number,)):
        if row["kind"] == "clicked":
            clicks[row["link"], row["actor"]] += 1
        if row["kind"] == "bounced":
            words["bounced", without_identifiers(row["reason"])] += 1
        if row["kind"] in people and row["actor"] in {"", "human"}:
            people[row["kind"]].add(row["delivery_id"])
    largest = Counter({key[0]: 0 for key in domains})
    for (domain, _), count in domains.items():
        largest[domain] += count
    return {
        "accepted": states["accepted"],
        "bounced": len(people["bounced"]),
        "clickers": len(people["clicked"]),
        "complaints": len(people["complained"]),
        "domains": largest.most_common(15),
        "human": sum(count for (_, actor), count in clicks.items() if actor == "human"),
        "minutes": len(minutes),
        "words": len(words),
    }


def _agree(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Make sure that both counted the same."""
    assert ours["outcomes"]["accepted"] == theirs["accepted"]
    assert ours["bounced"]["count"] == theirs["bounced"]
    assert ours["clickers"]["count"] == theirs["clickers"]
    assert ours["complaints"]["count"] == theirs["complaints"]
    assert ours["clicks"]["human"] == theirs["human"]
    counts = [one["readers"] for one in ours["domains"] if one["domain"]]
    assert counts == [count for _, count in theirs["domains"]]


@dataclass
class ReportBench:
    """A newsletter with so many deliveries and events, and what is asked of it."""

    place: Path
    total: int
    rounds: int
    table: Table
    spent: dict[str, list[float]] = field(default_factory=dict)  # seconds of the processor

    def run(self) -> None:
        """Measure, and add what was seen to the table."""
        folder = self.place / "report"
        scaffold(folder, sample=True)
        say(f"\nMaking {self.total:,} deliveries and {self.total:,} events of a dozen issues")
        make(folder, self.total)
        self._disagreement(folder)
        page = folder / "page.html"
        seen = in_turn(
            self.rounds,
            {
                "report": self._command("report", folder, "report", LARGEST),
                "page": self._command("page", folder, "report", LARGEST, "--html", page),
                "compare": self._command("compare", folder, "report", "--compare"),
                "naive": lambda: self._timed("naive", "tests.bench.report", folder),
            },
        )
        for name, what in (
            ("report", "report ISSUE"),
            ("page", "report ISSUE --html"),
            ("compare", "report --compare"),
        ):
            ratio = seen.ratio("naive", name)
            detail = f"{min(self.spent[name]):.2f} s of the processor; rows counted in Python:"
            detail += f" {seen.median('naive'):.2f} s, {ratio:.1f} times as long"
            detail += seen.spread("naive", name)
            self.table.at_most(what, seen.median(name), WANTED, "s", detail)

    def _disagreement(self, folder: Path) -> None:
        ours = json.loads(_run("newsletter_bot", "-C", folder, "--json", "report", LARGEST))
        _agree(ours, json.loads(_run("tests.bench.report", folder)))

    def _command(self, name: str, folder: Path, *words: str | Path) -> Callable[[], float]:
        return lambda: self._timed(name, "newsletter_bot", "-C", folder, *words)

    def _timed(self, name: str, module: str, *words: str | Path) -> float:
        begun, before = time.perf_counter(), _spent()
        _run(module, *words)
        self.spent.setdefault(name, []).append(_spent() - before)
        return time.perf_counter() - begun


def _spent() -> float:
    """Return the seconds of the processor that ended processes took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(module: str, *words: str | Path) -> str:
    command = [sys.executable, "-m", module, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    with closing(sqlite3.connect(Path(sys.argv[1]) / "newsletter.db")) as opened:
        say(json.dumps(naive(opened, LARGEST)))
