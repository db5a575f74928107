"""A rehearsal of weeks to come, with every kind of bad luck."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from pathlib import Path

import click
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.errors import NewsletterError, UsageError
from newsletter_bot.service.simulation import Report, Simulation, counting_server

_COLOURS = {"sent": "green", "missed": "red", "skipped": "yellow"}


@click.command()
@click.option("--weeks", default=52, show_default=True, help="How many weeks.")
@click.option("--seed", default=1, show_default=True, help="Another number, other bad luck.")
@pass_session
def simulate(session: Session, weeks: int, seed: int) -> None:
    """Rehearse your slots for weeks in fake time, in a copy, with kills and careless editors.

    Mail goes to a server on this machine, channels get nothing. Exits 1 when a promise was broken.
    """
    settings = session.bot.settings
    if not settings.slots:
        raise UsageError("There are no slots to rehearse.", "Add [[slots]] to newsletter.toml.")
    arrived: Counter[tuple[str, str]] = Counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        counting_server(arrived) as port,
        Progress(console=session.console, transient=True) as progress,
    ):
        task = progress.add_task("Rehearsing", total=100)
        simulation = Simulation(
            settings, Path(folder), port, arrived, weeks, int(time.time()), seed
        )
        report = simulation.run(lambda done: progress.update(task, completed=done))
    session.emit(_as_json(report))
    _show(session, report)
    if report.broken:
        raise NewsletterError(
            f"{len(report.broken)} promises were broken.", "Please report this with the seed."
        )


def _as_json(report: Report) -> dict[str, object]:
    return {
        "occurrences": [
            {
                "slot": one.week.planned.slot,
                "occurrence": one.week.planned.date,
                "state": one.state,
                "issue": one.issue,
                "reason": one.reason,
                "editor": one.week.editor,
                "machine": one.week.machine,
            }
            for one in report.outcomes
        ],
        "broken": list(report.broken),
        "kills": report.kills,
    }


def _show(session: Session, report: Report) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("Slot", "Occurrence", "The editor", "The machine", "State", "Why"):
        table.add_column(column)
    for one in report.outcomes:
        colour = _COLOURS.get(one.state, "default")
        table.add_row(
            escape(one.week.planned.slot),
            one.week.planned.date,
            one.week.editor,
            one.week.machine,
            f"[{colour}]{one.state}[/]",
            escape(one.reason),
        )
    session.console.print(table)
    states = Counter(one.state for one in report.outcomes)
    words = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    kept = "every promise was kept" if not report.broken else "promises were broken"
    session.console.print(f"{words}; killed {report.kills} times; {kept}.")
    for why in report.broken:
        session.console.print(f"[red]broken:[/] {escape(why)}")
