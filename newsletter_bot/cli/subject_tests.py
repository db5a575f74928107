"""How a test of an issue's subjects stands, for `status` and `send`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.markup import escape
from rich.table import Table

from newsletter_bot.cli.session import Session
from newsletter_bot.delivery.planning.subject_test_store import Waiting


def waiting_for_test(session: Session, identity: str) -> Waiting:
    """Count who waits for the decision: nobody, where there is none to come."""
    row = session.bot.mailroom.issue(identity)
    return Waiting() if row is None else session.bot.mailroom.subject_tests.waiting(row.id)


def subject_test_json(session: Session, identity: str) -> dict[str, Any] | None:
    """Return a test as it is kept, with how many wait; None where an issue has one subject."""
    row = session.bot.mailroom.issue(identity)
    test = {} if row is None else session.bot.mailroom.subject_tests.read(row.id)
    return {**test, "waiting": waiting_for_test(session, identity).count} if test else None


def show_subject_test(session: Session, identity: str) -> None:
    """Print a test's figures, its decision, and who waits for it."""
    test = subject_test_json(session, identity)
    if test is None:
        return
    table = Table(title="subjects", title_justify="left", box=None, header_style="bold")
    table.add_column("")
    for column in ("sent", "clicked", "rate", "at 95 %"):
        table.add_column(column, justify="right")
    for one in test["variants"]:
        won = "[green]✓[/] " if one["variant"] == test["winner"] else ""
        subject = f"{won}{escape(test['subjects'][one['variant']])}"
        ends = f"{100 * one['low']:.1f} to {100 * one['high']:.1f} %"
        counts = f"{one['sent']:,}", f"{one['clicked']:,}"
        table.add_row(subject, *counts, f"{100 * one['rate']:.1f} %", ends)
    session.console.print(table)
    if test["why"]:
        session.console.print(escape(test["why"]))
    if test["waiting"]:
        when = datetime.fromtimestamp(test["wait_until"], session.bot.settings.newsletter.zone)
        session.console.print(f"[yellow]{test['waiting']:,} wait for it[/] until {when:%a %H:%M}")
