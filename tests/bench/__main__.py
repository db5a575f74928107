"""Print compile times by stage, then what we do in a second against others, in the same run.

    python -m tests.bench [--messages N] [--rounds N] [--only NAME] [--quick] [--strict]

All senders send messages of the same size to the same Postfix smtp-sink process on this machine.
Ours keeps its ledger on disk as in production; the others keep none. `--only web` asks the public
web instead (tests/bench/web.py), `--only events` tells it what providers tell (events.py),
`--only report` what counting a million rows costs (report.py).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from newsletter_bot.bot import Bot
from newsletter_bot.cli.newsletter import scaffold
from tests.bench import peers
from tests.bench.compile import compile_times
from tests.bench.events import EventsBench
from tests.bench.ours import ISSUE, Ours
from tests.bench.report import ReportBench
from tests.bench.sink import delayed, sink
from tests.bench.table import Table, in_turn, say
from tests.bench.web import WebBench

SESSIONS = 8  # the default of [transport] connections
SIZE = 61_440  # bytes of a message, about
DELAY = 20  # milliseconds added to what the server says
COMPILE, LATENCY, WEB, EVENTS = "compile", "latency", "web", "events"
REPORT = "report"
WEB_SECONDS = 5  # that each contestant is asked in a round
WEB_READERS = 40_000  # more than can leave in that time
EVENT_COUNT = 50_000  # ten seconds of what is wanted
REPORT_ROWS, FEW_ROWS = 1_000_000, 3_000  # deliveries, and as many events


@dataclass(frozen=True)
class Pair:
    """Two contestants that a row of the table compares."""

    title: str
    ours: str
    theirs: str
    wanted: float | None  # how many times as fast; None where nothing is promised


PAIRS = {
    "smtp-source": Pair("smtp-source -d", "ours", "smtp-source", 0.9),
    "dkim": Pair("smtp-source -d, ours signing RSA-2048", "signing", "smtp-source", 0.5),
    "smtplib": Pair("EmailMessage + smtplib, one by one", "ours", "smtplib", 10),
    "aiosmtplib": Pair(
        f"EmailMessage + aiosmtplib, {SESSIONS} connections", "ours", "aiosmtplib", 8
    ),
    "synchronous": Pair("synchronous FULL, against NORMAL", "ours", "normal", None),
}
NAMES = (COMPILE, *PAIRS, LATENCY, WEB, EVENTS, REPORT)


@dataclass
class Bench:
    """One run: what of it, how much, against which server, and the table that comes of it."""

    place: Path
    port: int
    messages: int
    rounds: int
    table: Table
    names: Collection[str] = NAMES

    @property
    def few(self) -> int:
        """How many messages slow contestants send: their rate is constant."""
        return max(50, self.messages // 40)

    def run(self) -> None:
        """Measure what was asked for."""
        if COMPILE in self.names:
            self._compile()
        pairs = [pair for name, pair in PAIRS.items() if name in self.names]
        if pairs:
            self._nearby(pairs)
        if LATENCY in self.names:
            self._far_away()
        if WEB in self.names:
            self._web()
        if REPORT in self.names:
            rows = REPORT_ROWS if self.table.judging else FEW_ROWS
            ReportBench(self.place, rows, self.rounds, self.table).run()
        if EVENTS in self.names:
            count = EVENT_COUNT if self.table.judging else 1000
            EventsBench(self.place, count, self.rounds, self.table).run()
        if self.table.rows:
            self.table.show()

    def _compile(self) -> None:
        folder = self.place / "sample"
        scaffold(folder, sample=True)
        bot = Bot.open(folder)
        compile_times(bot, bot.find(ISSUE))
        bot.close()

    def _nearby(self, pairs: Collection[Pair]) -> None:
        """Compare side by side: a round holds everybody, each next to whom it is compared with."""
        ours = self._readers("large", self.messages)
        say(
            f"\nSending {self.messages:,} messages of {ours.size:,} bytes over {SESSIONS}"
            f" connections to smtp-sink on this machine; median of {self.rounds}, ours : theirs"
            "  (range)"
        )
        needed = {name for pair in pairs for name in (pair.ours, pair.theirs)}
        everybody = self._contestants(ours)
        seen = in_turn(
            self.rounds, {name: one for name, one in everybody.items() if name in needed}
        )
        for pair in pairs:
            ratio, rates = seen.ratio(pair.ours, pair.theirs), seen.rates(pair.ours, pair.theirs)
            if pair.wanted is None:
                self.table.note(pair.title, f"{ratio:6.2f} ×", rates)
            else:
                self.table.at_least(pair.title, ratio, pair.wanted, rates)

    def _contestants(self, ours: Ours) -> dict[str, Callable[[], float]]:
        port, rendering = self.port, ours.rendering()
        return {
            "aiosmtplib": lambda: peers.asynchronous(port, rendering, SESSIONS, self.few),
            "smtplib": lambda: peers.one_by_one(port, rendering, self.few),
            "normal": lambda: ours.rate(port, synchronous="NORMAL"),
            "ours": lambda: ours.rate(port),
            "smtp-source": lambda: peers.smtp_source(port, SESSIONS, ours.size, self.messages),
            "signing": lambda: ours.rate(port, dkim=True),
        }

    def _far_away(self) -> None:
        """Compare with a sender that waits for each reply, behind a slow line."""
        ours = self._readers("few", max(100, self.messages // 10))
        content = ours.content()
        with delayed(self.port, DELAY) as port:
            seen = in_turn(
                self.rounds,
                {
                    "ours": lambda: ours.rate(port),
                    "waiting": lambda: peers.without_pipelining(port, content, SESSIONS, self.few),
                },
            )
        self.table.at_least(
            f"no pipelining, {DELAY} ms added to replies",
            seen.ratio("ours", "waiting"),
            3,
            seen.rates("ours", "waiting"),
        )

    def _web(self) -> None:
        seconds, readers = (WEB_SECONDS, WEB_READERS) if self.table.judging else (1, 2000)
        WebBench(self.place, seconds, readers, self.rounds, self.table).run()

    def _readers(self, name: str, count: int) -> Ours:
        ours = Ours(self.place / name, SIZE)
        ours.add(count)
        return ours


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=20_000, metavar="N")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--only", choices=NAMES, action="append", help="may be given repeatedly")
    parser.add_argument("--quick", action="store_true", help="only show that it runs")
    parser.add_argument("--strict", action="store_true", help="fail when a ratio falls short")
    options = parser.parse_args()
    messages, rounds = (200, 1) if options.quick else (options.messages, options.rounds)
    table = Table(judging=not options.quick)
    with tempfile.TemporaryDirectory() as place, sink() as port:
        Bench(Path(place), port, messages, rounds, table, options.only or NAMES).run()
    sys.exit(bool(options.strict and table.missed))


if __name__ == "__main__":
    main()
