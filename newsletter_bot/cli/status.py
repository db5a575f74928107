"""How issues stand: numbers that add up, what is stuck, what servers said."""

from __future__ import annotations

import time
from collections import deque
from datetime import datetime, timedelta

import click
from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.cli.subject_tests import show_subject_test, subject_test_json
from newsletter_bot.delivery.model import IssueState, Tally
from newsletter_bot.delivery.report_store import AGES, Stuck

_SHOWN_REASONS = 12
_LOOK = 1.0  # seconds between two looks of --watch
_MEMORY = 10  # looks over which the rate is measured


@click.command()
@click.argument("issue", required=False)
@click.option("--watch", is_flag=True, help="Look again every second, until it is over.")
@click.option("--search", metavar="WORDS", help="Show what servers said that contains WORDS.")
@pass_session
def status(session: Session, issue: str | None, *, watch: bool, search: str | None) -> None:
    """Show how ISSUE stands, in numbers that add up; without ISSUE, every issue sent."""
    if issue is None:
        if watch or search is not None:
            raise click.UsageError("--watch and --search need an ISSUE.")
        _show_all(session)
    elif search is not None:
        _show_said(session, session.bot.identity(issue), search)
    else:
        _show_one(session, issue, watch=watch)


def _show_one(session: Session, issue: str, *, watch: bool) -> None:
    mailroom = session.bot.mailroom
    tally = session.bot.status(issue)
    planned = mailroom.issue(tally.issue) is not None
    if watch and planned:
        tally = _watch(session, tally.issue)
    stuck = mailroom.stuck(tally.issue) if planned else []
    stuck_json = [_stuck_json(one) for one in stuck]
    test = subject_test_json(session, tally.issue)
    session.emit({**tally.to_json(), "stuck": stuck_json, "subject_test": test})
    show_tally(session, tally)
    if planned:
        _show_why_halted(session, tally.issue)
        show_reasons(session, tally.issue)
        show_subject_test(session, tally.issue)
        if stuck:
            session.console.print(_histogram(stuck))


def _show_all(session: Session) -> None:
    mailroom = session.bot.mailroom
    tallies = [mailroom.status(row.identity) for row in mailroom.issues()]
    session.emit({"issues": [tally.to_json() for tally in tallies]})
    if not tallies:
        session.console.print("Nothing was sent yet. Next: newsletter-bot send ISSUE")
        return
    table = Table(box=None, header_style="bold")
    for column in ("Issue", "State", "Planned", "Accepted", "Refused", "Unknown", "Owed"):
        table.add_column(column, justify="left" if column in ("Issue", "State") else "right")
    for one in tallies:
        numbers = (one.planned, one.accepted, one.refused, one.unknown, one.remaining)
        table.add_row(escape(one.issue), one.state, *(f"{number:,}" for number in numbers))
    session.console.print(table)


def show_tally(session: Session, tally: Tally) -> None:
    """Print an issue's numbers as a table."""
    table = Table(title=f"{escape(tally.issue)}: {tally.state}", title_justify="left", box=None)
    table.add_column("", style="dim")
    table.add_column("", justify="right")
    for name in ("planned", "accepted", "deferred", "refused", "skipped", "unknown", "expired"):
        table.add_row(name, f"{getattr(tally, name):,}")
    session.console.print(table)
    if not tally.planned:
        session.console.print("nothing of it was sent")
    elif tally.balanced:
        session.console.print("[green]✓[/] the numbers add up")
    else:
        session.console.print(f"[yellow]{tally.remaining:,} still owed[/]")


def show_reasons(session: Session, identity: str) -> None:
    """Print why deliveries were not accepted, the most frequent reason first."""
    reasons = session.bot.mailroom.reasons(identity)
    for state, reason, count in reasons[:_SHOWN_REASONS]:
        if reason:
            session.console.print(f"  {state} {count:,}: {escape(reason)}")
    if len(reasons) > _SHOWN_REASONS:
        session.console.print(f"  … and {len(reasons) - _SHOWN_REASONS:,} other reasons")


def _show_why_halted(session: Session, identity: str) -> None:
    row = session.bot.mailroom.issue(identity)
    if row is not None and row.state is IssueState.PAUSED and row.reason:
        session.console.print(f"[yellow]paused:[/] {escape(row.reason)}")


def _show_said(session: Session, identity: str, words: str) -> None:
    found = session.bot.mailroom.search(identity, words)
    zone = session.bot.settings.newsletter.zone
    said = [
        {
            "address": one.address,
            "at": datetime.fromtimestamp(one.at, zone).isoformat(),
            "relay": one.relay,
            "state": one.state,
            "reason": one.reason,
        }
        for one in found
    ]
    session.emit({"issue": identity, "said": said})
    for one in said:
        session.console.print(
            f"{one['at'][:16].replace('T', ' ')}  {escape(one['address'])}  {one['state']}"
            f"  {escape(one['reason'])}"
        )
    if not found:
        session.console.print("Nobody said that.")


# ── watching ─────────────────────────────────────────────────────────────────────────────────


def _watch(session: Session, identity: str) -> Tally:
    mailroom = session.bot.mailroom
    seen: deque[tuple[float, int]] = deque(maxlen=_MEMORY)
    with Live(console=session.console, auto_refresh=False, transient=True) as live:
        while True:
            tally = mailroom.status(identity)
            seen.append((time.monotonic(), tally.settled))
            if tally.balanced or tally.state != IssueState.SENDING:
                return tally
            live.update(_picture(tally, seen, mailroom.stuck(identity)), refresh=True)
            try:
                time.sleep(_LOOK)
            except KeyboardInterrupt:
                return tally


def _picture(tally: Tally, seen: deque[tuple[float, int]], stuck: list[Stuck]) -> RenderableType:
    rate = _rate(seen)
    left = timedelta(seconds=round(tally.remaining / rate)) if rate else None
    words = f"{tally.settled:,} of {tally.planned:,}, {rate:,.1f}/s"
    line = Text(f"{tally.issue}: {words}" + (f", {left} to go" if left is not None else ""))
    return Group(line, _histogram(stuck)) if stuck else line


def _rate(seen: deque[tuple[float, int]]) -> float:
    """Deliveries that came to an end, a second."""
    (first, before), (last, now) = seen[0], seen[-1]
    return (now - before) / (last - first) if last > first else 0.0


def _histogram(stuck: list[Stuck]) -> Table:
    """Draw what is stuck by domain and minutes since the first attempt, as Postfix's qshape."""
    table = Table(
        title="tried and not arrived, by minutes", title_justify="left", box=None, padding=(0, 1)
    )
    table.add_column("domain")
    for name in ("all", *(f"<{age}" for age in AGES), f"{AGES[-1]}+"):
        table.add_column(name, justify="right")
    for one in stuck:
        table.add_row(escape(one.domain), *(f"{n}" if n else "·" for n in (one.total, *one.by_age)))
    return table


def _stuck_json(one: Stuck) -> dict[str, object]:
    ages = [f"under_{age}_minutes" for age in AGES] + ["older"]
    return {
        "domain": one.domain,
        "total": one.total,
        **dict(zip(ages, one.by_age, strict=True)),
    }
