"""When issues go out: approve, schedule, unschedule, calendar."""

from __future__ import annotations

from datetime import datetime

import click
from rich.markup import escape
from rich.table import Table

from newsletter_bot.bot import refuse_sequence
from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.errors import UsageError
from newsletter_bot.schedule.calendar import Entry, away, calendar
from newsletter_bot.schedule.model import ONCE
from newsletter_bot.schedule.slots import Planned, between, read_time
from newsletter_bot.service.newsroom import Newsroom

_WEEK = 7 * 86_400
_COLOURS = {"sent": "green", "missed": "red", "skipped": "yellow", "announced": "cyan"}


@click.command()
@click.argument("issue")
@click.option("--without-proof", is_flag=True, help="Approve what no proof was sent of.")
@pass_session
def approve(session: Session, issue: str, *, without_proof: bool) -> None:
    """Let ISSUE go out on its slot as it is now; an edit asks for another approval."""
    bot = session.bot
    found = bot.read(bot.find(issue))
    rendering = Newsroom(bot).approve(found, proof=not without_proof)
    session.emit({"issue": found.identity, "approved": rendering})
    session.console.print(f"[green]✓[/] {escape(found.identity)} is approved as it is now.")
    going = [one for one in _entries(session, 0, 5) if one.issue == found.identity]
    for one in going:
        session.console.print(f"It goes out {escape(one.away)}: {_local(one)}.")
    if not going:
        session.console.print(
            f"No slot takes it. Next: newsletter-bot schedule {escape(found.identity)}"
        )


@click.command()
@click.argument("issue")
@click.option("--at", metavar="TIME", help='"2026-11-29 08:00" in the newsletter\'s zone.')
@pass_session
def schedule(session: Session, issue: str, at: str | None) -> None:
    """Give ISSUE the next free occurrence of a slot, or a time of its own with --at."""
    bot = session.bot
    found = bot.read(bot.find(issue))
    refuse_sequence(found)
    identity, newsroom = found.identity, Newsroom(bot)
    if newsroom.is_planned(identity):
        raise UsageError(f"{identity} was planned already: it cannot be scheduled.")
    zone = bot.settings.newsletter.zone
    newsroom.occurrences.unbind(identity)
    taken = _at(newsroom, identity, at, session) if at else _next(newsroom, identity, session)
    local = datetime.fromtimestamp(taken.due_at, zone)
    due = away(taken.due_at - newsroom.occurrences.now())
    session.emit({"issue": identity, "slot": taken.slot, "occurrence": taken.date})
    session.console.print(
        f"[green]✓[/] {escape(identity)} goes out {due}, {local:%a %Y-%m-%d %H:%M} {zone.key}."
    )
    if newsroom.approvals.approval(identity) is None:
        session.console.print(f"It waits for: newsletter-bot approve {escape(identity)}")


@click.command()
@click.argument("issue")
@pass_session
def unschedule(session: Session, issue: str) -> None:
    """Take ISSUE from its occurrence; its approval stays."""
    bot = session.bot
    identity = bot.identity(issue)
    count = Newsroom(bot).occurrences.unbind(identity)
    if not count:
        raise UsageError(
            f"{identity} is not scheduled.", "See `newsletter-bot calendar` for what is."
        )
    session.emit({"issue": identity, "removed": count})
    session.console.print(f"[green]✓[/] {escape(identity)} is not scheduled any more.")


@click.command(name="calendar")
@click.option("--weeks", default=5, show_default=True, help="How far to look ahead.")
@click.option("--back", default=2, show_default=True, help="How many weeks to look back.")
@pass_session
def calendar_(session: Session, weeks: int, back: int) -> None:
    """Show what goes out when, and what became of what was due."""
    entries = _entries(session, back, weeks)
    session.emit({"occurrences": [one.to_json() for one in entries]})
    if not entries:
        session.console.print("There are no slots: add [[slots]] to newsletter.toml.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("When", "", "UTC", "Slot", "Issue", "State"):
        table.add_column(column, no_wrap=True)
    table.add_column("Why")
    for one in entries:
        colour = _COLOURS.get(one.state, "default")
        table.add_row(
            _local(one),
            one.away,
            f"{datetime.fromisoformat(one.utc):%H:%M}",
            escape(one.slot),
            escape(one.issue or "-"),
            f"[{colour}]{one.state}[/]",
            escape(one.reason),
        )
    session.console.print(table)


def _entries(session: Session, back: int, weeks: int) -> list[Entry]:
    newsroom = Newsroom(session.bot)
    return calendar(
        newsroom.occurrences,
        session.bot.settings,
        newsroom.candidates(),
        before=back * _WEEK,
        ahead=weeks * _WEEK,
    )


def _local(one: Entry) -> str:
    return f"{datetime.fromisoformat(one.local):%a %Y-%m-%d %H:%M}"


def _next(newsroom: Newsroom, identity: str, session: Session) -> Planned:
    settings = session.bot.settings
    now = newsroom.occurrences.now()
    for one in between(settings.slots, settings.newsletter.zone, now, now + 10 * _WEEK):
        if newsroom.occurrences.bind(one, identity):
            return one
    raise UsageError(
        "No slot has a free occurrence in the next ten weeks.",
        "Add [[slots]] to newsletter.toml, or give a time with --at.",
    )


def _at(newsroom: Newsroom, identity: str, at: str, session: Session) -> Planned:
    zone = session.bot.settings.newsletter.zone
    due = read_time(at, zone)
    if due < newsroom.occurrences.now():
        raise UsageError(f"{at} is over.", "Give a time that is to come.")
    local = datetime.fromtimestamp(due, zone)
    one = Planned(ONCE, f"{local:%Y-%m-%d %H:%M}", due)
    if not newsroom.occurrences.bind(one, identity):
        raise UsageError(
            f"Another issue goes out at {local:%Y-%m-%d %H:%M}.",
            "See `newsletter-bot calendar`, and take another minute.",
        )
    return one
