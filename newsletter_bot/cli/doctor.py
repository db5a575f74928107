"""One look at everything an operator can break, with what to do about it."""

from __future__ import annotations

from collections import Counter

import click
from rich.markup import escape
from rich.table import Table

from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.service.doctor import examine
from newsletter_bot.service.doctor.model import Check, Level
from newsletter_bot.service.doctor.names import Resolver

_MARKS = {
    Level.OK: "[green]✓[/]",
    Level.WARNING: "[yellow]![/]",
    Level.ERROR: "[bold red]✗[/]",
}


@click.command()
@click.option("--offline", is_flag=True, help="Ask nobody over the network.")
@click.option(
    "--dns", "server", metavar="ADDRESS", default="", help="Ask this name server, as in 9.9.9.9."
)
@pass_session
def doctor(session: Session, *, offline: bool, server: str) -> None:
    """Look whether everything is in order that mail depends on; exits 1 when something is not."""
    names = None if offline else Resolver(server)
    with session.console.status("Looking …"):
        found = list(examine(session.folder, names))
    count = Counter(one.level for one in found)
    session.emit({"ok": not count[Level.ERROR], "checks": [one.to_json() for one in found]})
    session.console.print(_table(found))
    session.console.print(_summary(count, offline=offline))
    if count[Level.ERROR]:
        raise SystemExit(1)


def _table(found: list[Check]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("", overflow="fold")
    for one in found:
        said = escape(one.message)
        if one.next_step:
            said += f"\n[bold]next:[/] {escape(one.next_step)}"
        table.add_row(_MARKS[one.level], escape(one.name), said)
    return table


def _summary(count: Counter[Level], *, offline: bool) -> str:
    left_out = "; nobody was asked over the network" if offline else ""
    if not count[Level.ERROR] and not count[Level.WARNING]:
        return f"[green]✓[/] All is in order{left_out}."
    errors, warnings = count[Level.ERROR], count[Level.WARNING]
    return f"{errors} to mend, {warnings} to know of{left_out}."
