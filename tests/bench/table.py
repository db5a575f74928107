"""The table that `make bench` prints: what was seen, beside what was wanted."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


def say(text: str = "") -> None:
    """Print a line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@dataclass
class Table:
    """Ratios against what was wanted; `missed` counts those that fell short."""

    missed: int = 0
    rows: list[str] = field(default_factory=list)

    def at_least(self, name: str, seen: float, wanted: float, detail: str) -> None:
        """Add a ratio that should be that large."""
        self._add(name, f"{seen:6.2f} ×", f"≥ {wanted:g} ×", detail, good=seen >= wanted)

    def at_most(self, name: str, seen: float, wanted: float, unit: str, detail: str) -> None:
        """Add a figure that should be no larger."""
        self._add(name, f"{seen:6.2f} {unit}", f"≤ {wanted:g} {unit}", detail, good=seen <= wanted)

    def note(self, name: str, seen: str, detail: str) -> None:
        """Add a figure that nothing was wanted of."""
        self.rows.append(f"  {name:<44} {seen:>12}   {'':<10}     {detail}")

    def show(self) -> None:
        """Print all rows."""
        say()
        say(f"  {'against':<44} {'seen':>12}   {'wanted':<10}     figures")
        for row in self.rows:
            say(row)

    def _add(self, name: str, seen: str, wanted: str, detail: str, *, good: bool) -> None:
        self.missed += not good
        mark = "✓" if good else "✗"
        self.rows.append(f"  {name:<44} {seen:>12}   {wanted:<10} {mark}   {detail}")


def in_turn(rounds: int, *measures: Callable[[], float]) -> list[float]:
    """Measure each in turn, several rounds, and return the medians.

    In turn, because what a shared machine has to spare changes from one minute to the next.
    """
    seen: list[list[float]] = [[] for _ in measures]
    for _ in range(rounds):
        for at, measure in enumerate(measures):
            seen[at].append(measure())
    return [statistics.median(one) for one in seen]


def rates(values: Sequence[float]) -> str:
    """Write messages a second."""
    return " : ".join(f"{one:,.0f}/s" for one in values)
