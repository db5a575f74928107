"""Links through the week: collect, inbox, clip."""

from __future__ import annotations

import click
from rich.markup import escape
from rich.table import Table

from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.errors import DataError
from newsletter_bot.issues.model import Issue


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what is new, and keep nothing.")
@pass_session
def collect(session: Session, *, dry_run: bool) -> None:
    """Ask all sources of [collect] now, and add what is new to the inbox."""
    reports = session.bot.collect(dry_run=dry_run)
    session.emit(
        {
            "sources": [
                {"name": one.name, "new": one.new, "known": one.known, "reason": one.reason}
                for one in reports
            ]
        }
    )
    if not reports:
        session.console.print("No sources: add [collect] to newsletter.toml.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Source")
    table.add_column("New", justify="right")
    table.add_column("Known", justify="right")
    table.add_column("Why not")
    for one in reports:
        table.add_row(escape(one.name), str(one.new), str(one.known), escape(one.reason))
    session.console.print(table)


@click.group()
def inbox() -> None:
    """Links that were found, in a file of yours."""


@inbox.command(name="list")
@pass_session
def list_(session: Session) -> None:
    """Show the links that have not become items."""
    entries = [one for one in session.bot.inbox.entries() if not one.ticked]
    session.emit(
        {"links": [{"line": one.line, "title": one.title, "url": one.url} for one in entries]}
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Line", justify="right")
    table.add_column("Title")
    table.add_column("Address", overflow="fold")
    for one in entries:
        table.add_row(str(one.line), escape(one.title), escape(one.url))
    session.console.print(table if entries else "The inbox is empty.")


@inbox.command()
@click.argument("what", metavar="LINE|URL")
@click.option("--issue", "name", metavar="ISSUE", help="The draft that gets it.")
@pass_session
def promote(session: Session, what: str, name: str | None) -> None:
    """Make an item of a link in the next draft, and tick its line."""
    bot = session.bot
    entry = bot.inbox.find(what)
    issue, line = bot.clip(entry.url, _draft(session, name))
    bot.inbox.tick(entry)
    _tell(session, issue, line)


@click.command()
@click.argument("url")
@click.option("--issue", "name", metavar="ISSUE", help="The draft that gets it.")
@click.option("--card", is_flag=True, help="A card, with what the page says of itself.")
@pass_session
def clip(session: Session, url: str, name: str | None, *, card: bool) -> None:
    """Fetch a page and add an item for it to the next draft, for you to rewrite."""
    issue, line = session.bot.clip(url, _draft(session, name), card=card)
    _tell(session, issue, line)


def _tell(session: Session, issue: Issue, line: int) -> None:
    session.emit({"issue": issue.identity, "path": str(issue.path), "line": line})
    session.console.print(f"[green]✓[/] {escape(str(issue.path))}:{line}")


def _draft(session: Session, name: str | None) -> Issue:
    """Return the issue named, or the only draft there is; the newest of several."""
    bot = session.bot
    if name:
        return bot.read(bot.find(name))
    drafts = bot.drafts()
    if not drafts:
        raise DataError("There is no draft.", "Make one with `newsletter-bot new`.")
    return drafts[-1]
