"""Which copy of a newsletter acts by itself: instance status and adopt."""

from __future__ import annotations

import click
from rich.markup import escape

from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.storage.instance import Instance, state_folder


@click.group()
def instance() -> None:
    """Tell the newsletter from its copies: a backup put back, a cloned disk."""


@instance.command()
@pass_session
def status(session: Session) -> None:
    """Tell whether `run` may send from this machine; exits 1 when it may not."""
    why = Instance(session.bot.engine, state_folder(session.bot.settings)).objection()
    session.emit({"quarantine": bool(why), "reason": why})
    if why:
        session.console.print(f"[red]In quarantine:[/] {escape(why)}.")
        session.console.print("If this is the one to go on: newsletter-bot instance adopt")
        raise SystemExit(1)
    session.console.print("[green]✓[/] `run` may send from this machine.")


@instance.command()
@pass_session
def adopt(session: Session) -> None:
    """Say that this copy is the one to go on; make sure that no other one runs."""
    Instance(session.bot.engine, state_folder(session.bot.settings)).adopt()
    session.emit({"quarantine": False, "reason": ""})
    session.console.print("[green]✓[/] This copy goes on. Let no other one of it run.")
