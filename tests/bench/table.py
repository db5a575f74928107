"""The table that `make bench` prints: what was seen, beside what was wanted."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


def say(text: str = "") -> None:
    """Print a line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@dataclass
class Table:
    """Figures beside what was wanted; `missed` counts those that fell short.

    A run too short to mean anything is not `judging`: it prints its figures without a mark.
    """

    judging: bool = True
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
        self.rows.append(_row(name, seen, "", "", detail))

    def show(self) -> None:
        """Print all rows."""
        say()
        say(_row("against", "seen", "wanted", "", "figures"))
        for row in self.rows:
            say(row)
        if not self.judging:
            say("\n  Too short to judge: run it without --quick or with the usual numbers.")

    def _add(self, name: str, seen: str, wanted: str, detail: str, *, good: bool) -> None:
        mark = ""
        if self.judging:
            self.missed += not good
            mark = "✓" if good else "✗"
        self.rows.append(_row(name, seen, wanted, mark, detail))


def _row(name: str, seen: str, wanted: str, mark: str, detail: str) -> str:
    return f"  {name:<44} {seen:>12}   {wanted:<10} {mark:<1}   {detail}"


@dataclass(frozen=True)
class Seen:
    """What each contestant did, round by round."""

    rounds: Mapping[str, Sequence[float]]

    def median(self, name: str) -> float:
        """Return the median of one contestant's rounds."""
        return statistics.median(self.rounds[name])

    def ratio(self, one: str, other: str) -> float:
        """Compare within each round, where the machine was equally busy; return the median."""
        return statistics.median(self._ratios(one, other))

    def rates(self, one: str, other: str) -> str:
        """Write both medians in messages a second, and the range of the rounds' ratios."""
        both = f"{self.median(one):,.0f}/s : {self.median(other):,.0f}/s"
        return both + self.spread(one, other)

    def spread(self, one: str, other: str) -> str:
        """Write the smallest and the largest ratio of a round; nothing for one round."""
        ratios = self._ratios(one, other)
        return f"  ({min(ratios):.2f} … {max(ratios):.2f})" if len(ratios) > 1 else ""

    def _ratios(self, one: str, other: str) -> list[float]:
        both = zip(self.rounds[one], self.rounds[other], strict=True)
        return [ours / theirs for ours, theirs in both]


def in_turn(rounds: int, contestants: Mapping[str, Callable[[], float]]) -> Seen:
    """Measure each in turn, several rounds, every second one backwards.

    In turn, because what a shared machine has to spare changes from one minute to the next;
    backwards, so that nobody always runs after the same neighbour.
    """
    seen: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds):
        names = list(contestants)
        for name in names if number % 2 == 0 else reversed(names):
            seen[name].append(contestants[name]())
    return Seen(seen)
