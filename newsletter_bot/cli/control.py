"""What an operator decides about an issue being sent: pause, resume, cancel, retry, resolve."""

from __future__ import annotations

import click
from rich.markup import escape

from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.cli.status import show_tally
from newsletter_bot.delivery.model import Tally
from newsletter_bot.errors import UsageError
from newsletter_bot.service.newsroom import Newsroom


@click.command()
@click.argument("issue")
@pass_session
def pause(session: Session, issue: str) -> None:
    """Send nothing more of ISSUE until `resume`; a process that sends it stops by itself."""
    identity = session.bot.identity(issue)
    _show(session, session.bot.mailroom.pause(identity))
    session.console.print(f"Next: newsletter-bot resume {escape(identity)}")


@click.command()
@click.argument("issue")
@pass_session
def resume(session: Session, issue: str) -> None:
    """Let a paused ISSUE be sent again."""
    identity = session.bot.identity(issue)
    _show(session, session.bot.mailroom.resume(identity))
    session.console.print(f"Next: newsletter-bot send {escape(identity)} --yes")


@click.command()
@click.argument("issue")
@pass_session
def cancel(session: Session, issue: str) -> None:
    """Skip, for good, whatever of ISSUE was not sent yet; before its time nothing is lost."""
    identity = session.bot.identity(issue)
    if session.bot.mailroom.issue(identity) is None and Newsroom(session.bot).call_off(identity):
        session.emit(session.bot.status(identity).to_json())
        session.console.print(
            f"[green]✓[/] {escape(identity)} does not go out. Nothing is lost: to send it after"
            f" all, newsletter-bot approve {escape(identity)}"
        )
        return
    _show(session, session.bot.mailroom.cancel(identity))


@click.command()
@click.argument("issue")
@click.option("--failed", is_flag=True, help="Those that were refused or expired.")
@pass_session
def retry(session: Session, issue: str, *, failed: bool) -> None:
    """Owe ISSUE again to readers whose delivery failed."""
    if not failed:
        raise UsageError(
            "Say what to try again.", "Add --failed: those that were refused or expired."
        )
    identity = session.bot.identity(issue)
    count = session.bot.mailroom.retry(identity)
    session.emit({"issue": identity, "retried": count})
    session.console.print(f"{count:,} failed deliveries of {escape(identity)} are owed again")
    if count:
        session.console.print(f"Next: newsletter-bot send {escape(identity)} --yes")


@click.command()
@click.argument("issue")
@click.option("--unknown", type=click.Choice(["skip", "resend"]), required=True)
@pass_session
def resolve(session: Session, issue: str, unknown: str) -> None:
    """Settle the deliveries of ISSUE whose outcome nobody knows: skip or resend them."""
    identity = session.bot.identity(issue)
    count = session.bot.mailroom.resolve(identity, resend=unknown == "resend")
    session.emit({"issue": identity, "resolved": count, "as": unknown})
    session.console.print(f"{count} unknown deliveries of {escape(identity)} settled: {unknown}")
    if count and unknown == "resend":
        session.console.print(f"Next: newsletter-bot send {escape(identity)} --yes")


def _show(session: Session, tally: Tally) -> None:
    session.emit(tally.to_json())
    show_tally(session, tally)
