"""Commands on transports: list."""

from __future__ import annotations

import click
from rich.markup import escape
from rich.table import Table

from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.delivery.transports import kinds


@click.group()
def transports() -> None:
    """Ways to hand messages over."""


@transports.command(name="list")
@pass_session
def list_(session: Session) -> None:
    """List every transport with its options."""
    found = kinds()
    session.emit(
        {
            "transports": [
                {
                    "kind": name,
                    "description": kind.description,
                    "options": sorted(kind.Options.model_fields),
                }
                for name, kind in found.items()
            ]
        }
    )
    table = Table(box=None, header_style="bold")
    for column in ("Kind", "What it is", "Options"):
        table.add_column(column)
    for name, kind in found.items():
        table.add_row(name, escape(kind.description), ", ".join(kind.Options.model_fields))
    session.console.print(table)
