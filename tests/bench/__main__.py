"""Print compile times by stage, then our messages a second against others, in the same run.

    python -m tests.bench [--messages N] [--rounds N] [--quick] [--strict]

All senders send messages of the same size to the same Postfix smtp-sink process on this machine.
Ours keeps its ledger on disk as in production; the others keep none.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from newsletter_bot.bot import Bot
from newsletter_bot.cli.newsletter import scaffold
from newsletter_bot.rendering.model import Rendering
from tests.bench import peers
from tests.bench.compile import compile_times
from tests.bench.ours import ISSUE, Ours
from tests.bench.sink import delayed, sink
from tests.bench.table import Table, in_turn, rates, say

SESSIONS = 8  # the default of [transport] connections
SIZE = 61_440  # bytes of a message, about
DELAY = 20  # milliseconds added to what the server says


@dataclass
class Bench:
    """One run: how much, against which server, and the table that comes of it."""

    place: Path
    port: int
    messages: int
    rounds: int
    table: Table
    plain: float = 0.0  # messages a second, ours

    def against_postfix(self, ours: Ours) -> None:
        """Compare with smtp-source, plain and with DKIM, and durability with less of it."""
        seen = in_turn(
            self.rounds,
            lambda: peers.smtp_source(self.port, SESSIONS, ours.size, self.messages),
            lambda: ours.rate(self.port),
            lambda: ours.rate(self.port, dkim=True),
            lambda: ours.rate(self.port, synchronous="NORMAL"),
        )
        source, plain, signed, careless = seen
        self.plain = plain
        self.table.at_least("smtp-source -d", plain / source, 0.9, rates((plain, source)))
        self.table.at_least(
            "smtp-source -d, ours signing RSA-2048", signed / source, 0.5, rates((signed, source))
        )
        self.table.note(
            "synchronous FULL, against NORMAL",
            f"{plain / careless:6.2f} ×",
            rates((plain, careless)),
        )

    def against_libraries(self, rendering: Rendering) -> None:
        """Compare with what Python offers; slow, so with fewer messages: their rate is constant."""
        few = max(50, self.messages // 40)
        plain, asynchronous = in_turn(
            self.rounds,
            lambda: peers.one_by_one(self.port, rendering, few),
            lambda: peers.asynchronous(self.port, rendering, SESSIONS, few),
        )
        self.table.at_least(
            "EmailMessage + smtplib, one by one", self.plain / plain, 10, rates((self.plain, plain))
        )
        self.table.at_least(
            f"EmailMessage + aiosmtplib, {SESSIONS} connections",
            self.plain / asynchronous,
            8,
            rates((self.plain, asynchronous)),
        )

    def with_delay(self, ours: Ours) -> None:
        """Compare with a sender that waits for each reply, behind a slow line."""
        content, few = ours.content(), max(50, self.messages // 40)
        with delayed(self.port, DELAY) as port:
            waiting, pipelining = in_turn(
                self.rounds,
                lambda: peers.without_pipelining(port, content, SESSIONS, few),
                lambda: ours.rate(port),
            )
        self.table.at_least(
            f"no pipelining, {DELAY} ms added to replies",
            pipelining / waiting,
            3,
            rates((pipelining, waiting)),
        )


def run(bench: Bench) -> None:
    """Measure everything."""
    folder = bench.place / "sample"
    scaffold(folder, sample=True)
    bot = Bot.open(folder)
    compile_times(bot, bot.find(ISSUE))
    bot.close()
    ours = Ours(bench.place / "large", SIZE)
    ours.add(bench.messages)
    say(
        f"\nSending {bench.messages:,} messages of {ours.size:,} bytes over {SESSIONS} connections"
        f" to smtp-sink on this machine; median of {bench.rounds}, ours : theirs"
    )
    bench.against_postfix(ours)
    bench.against_libraries(ours.rendering())
    few = Ours(bench.place / "few", SIZE)
    few.add(max(100, bench.messages // 10))
    bench.with_delay(few)
    bench.table.show()


def main() -> None:
    """Run the whole bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="only show that it runs")
    parser.add_argument("--strict", action="store_true", help="fail when a ratio falls short")
    options = parser.parse_args()
    messages, rounds = (200, 1) if options.quick else (options.messages, options.rounds)
    with tempfile.TemporaryDirectory() as place, sink() as port:
        bench = Bench(Path(place), port, messages, rounds, Table())
        run(bench)
    sys.exit(bool(options.strict and bench.table.missed))


if __name__ == "__main__":
    main()
