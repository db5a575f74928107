"""What a million readers cost: planning against a raw INSERT, and memory while sending.

    python -m tests.bench.scale [--people N] [--strict]

Raw is one `INSERT … SELECT 1, id, 'weekly', 'planned', 0, '', 1 FROM subscribers`: the same columns
of the same rows, into the same table with the same indexes, in a copy of the same file, with the
same durability. Constants stand in place of what planning asks: no join with subscriptions and
suppressions, no order, no foreign keys checked, no conflict expected, no issue or rendering
written. Messages are small here, 5 KB by a theme of one paragraph: what is measured is the ledger
and the memory, not the wire.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from newsletter_bot.bot import Bot
from newsletter_bot.cli.newsletter import scaffold
from newsletter_bot.delivery.planning.plan_store import PlanStore
from newsletter_bot.storage.engine import open_engine
from tests.bench.ours import ISSUE, send_in_child
from tests.bench.sink import sink
from tests.bench.table import Table, in_turn, say

FEW = 10_000
_MANY = 1_000_000  # what the figures are promised for
_ROUNDS = 3
_SMALL = f"""\
---
issue: {ISSUE}
title: "A small issue"
subject: "Small, for {{{{ first_name | you }}}}"
preheader: "Two lines, so that a million of them are quickly sent to a sink nearby"
status: ready
---
## Papers

### [Very deep networks can be trained](https://arxiv.org/abs/1512.03385)

Layers learn what to add to their input instead of all of it.
"""
_SMALL_THEME = """\
<mjml><mj-body><mj-section><mj-column><mj-text>
  {{ issue.title }}
  <a href="{{ mail.slot('unsubscribe_url') }}">{{ mail.word('unsubscribe') }}</a>
  {{ newsletter.postal_address }}
</mj-text></mj-column></mj-section></mj-body></mjml>
"""

_PEOPLE = """\
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
INSERT INTO subscribers
  (id, address, address_key, suppression_key, name, language, fields, added_at)
SELECT i, 'reader' || i || '@example.com', 'reader' || i || '@example.com',
       randomblob(32), 'Reader ' || i, '', '{}', 1 FROM n
"""
_SUBSCRIPTIONS = """\
INSERT INTO subscriptions (list, subscriber_id, state, consent, changed_at)
SELECT 'weekly', id, 'active', '{}', 1 FROM subscribers
"""
_RAW = """\
INSERT INTO deliveries
  (issue_id, subscriber_id, list, state, attempts, reason, changed_at)
SELECT 1, id, 'weekly', 'planned', 0, '', 1 FROM subscribers
"""


def newsletter(folder: Path, people: int, port: int) -> Path:
    """Make a newsletter with so many readers."""
    scaffold(folder, sample=True)
    toml = folder / "newsletter.toml"
    toml.write_text(re.sub(r"^port = \d+", f"port = {port}", toml.read_text(), flags=re.MULTILINE))
    for path in (folder / "issues").glob("*.md"):
        path.write_text(_SMALL)
    theme = folder / "templates" / "themes" / "weekly"
    theme.mkdir(parents=True)
    (theme / "issue.mjml.j2").write_text(_SMALL_THEME)
    bot = Bot.open(folder)
    bot.mailroom.issues()  # makes the tables
    bot.close()
    with sqlite3.connect(folder / "newsletter.db") as database:
        database.execute(_PEOPLE, (people,))
        database.execute(_SUBSCRIPTIONS)
    database.close()
    return folder


def planning(folder: Path, place: Path) -> Callable[[], float]:
    """Return what plans the issue in a fresh copy, and tells how many seconds it took."""

    def measure() -> float:
        copy = place / "plan.db"
        shutil.copy(folder / "newsletter.db", copy)
        bot = Bot.open(folder)
        rendering = bot.render(bot.read(bot.find(ISSUE)))
        bot.close()
        engine = open_engine("sqlite:///plan.db", place)
        begun = time.perf_counter()
        PlanStore(engine).plan(rendering, "A small issue", ["weekly"])
        spent = time.perf_counter() - begun
        engine.dispose()
        return spent

    return measure


def raw(folder: Path, place: Path) -> Callable[[], float]:
    """Return what inserts the same rows without a question, and tells how many seconds it took."""

    def measure() -> float:
        copy = place / "raw.db"
        shutil.copy(folder / "newsletter.db", copy)
        database = sqlite3.connect(copy)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        begun = time.perf_counter()
        with database:
            database.execute(_RAW)
        spent = time.perf_counter() - begun
        database.close()
        return spent

    return measure


def compare_planning(table: Table, many: Path, place: Path) -> None:
    """Plan for everybody, and insert the same rows without a question."""
    seen = in_turn(_ROUNDS, {"planned": planning(many, place), "raw": raw(many, place)})
    both = f"{seen.median('planned'):.2f} s : {seen.median('raw'):.2f} s"
    ratio = seen.ratio("planned", "raw")
    detail = both + seen.spread("planned", "raw")
    table.at_most("planning, against INSERT … SELECT", ratio, 3, "×", detail)


def compare_memory(table: Table, few: Path, many: Path) -> None:
    """Send to some and to all, each in a process of its own."""
    some, all_ = send_in_child(few), send_in_child(many)
    table.at_most(
        f"memory, more than for {some['sent']:,}",
        all_["memory"] - some["memory"],
        30,
        "MB",
        f"{all_['memory']:.0f} MB : {some['memory']:.0f} MB at their largest",
    )
    for one in (some, all_):
        table.note(
            "messages a second, small ones", f"{one['rate']:,.0f}/s", f"{one['sent']:,} sent"
        )


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=_MANY, metavar="N")
    parser.add_argument("--strict", action="store_true", help="fail when a figure falls short")
    options = parser.parse_args()
    people = options.people
    few = min(FEW, people)
    table = Table(judging=people >= _MANY)
    with tempfile.TemporaryDirectory() as folder, sink() as port:
        place = Path(folder)
        many = newsletter(place / "many", people, port)
        say(f"Planning {people:,} deliveries, then sending to {few:,} and to {people:,} readers")
        compare_planning(table, many, place)
        compare_memory(table, newsletter(place / "few", few, port), many)
    table.show()
    sys.exit(bool(options.strict and table.missed))


if __name__ == "__main__":
    main()
