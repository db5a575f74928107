"""Commands on what came back: events list|show|replay."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.delivery.provider_events import EventKind
from newsletter_bot.errors import DataError

_DATE, _LONGEST_WORD = 10, 12  # 2026-11-26, unsubscribed
_MOST_SHOWN = 5000  # characters of a body in a terminal


@click.group()
def events() -> None:
    """What providers, mailboxes and relays told, and what came of it."""


@events.command("list")
@click.option("--issue", default="", help="Only of this issue.")
@click.option("--kind", type=click.Choice([one.value for one in EventKind]), help="Only these.")
@click.option("--last", default=50, type=click.IntRange(1, 10_000), help="How many at most.")
@pass_session
def list_(session: Session, issue: str, kind: str | None, last: int) -> None:
    """List the newest events, what they led to, and why."""
    name = session.bot.identity(issue) if issue else ""
    found = session.bot.feedback.heard(last, kind or "", name)
    waiting, broken = session.bot.feedback.unread()
    session.emit({"events": list(found), "waiting": waiting, "broken": list(broken)})
    session.console.print(_table(session, found) if found else "Nothing came back.")
    if waiting:
        session.console.print(f"{waiting} more wait to be read: `run` does it.")
    for one in broken:
        session.console.print(
            f"[red]✗[/] {one['source']} {one['id']} could not be read: {escape(one['reason'])}"
        )


@events.command()
@click.argument("raw_id", type=int)
@pass_session
def show(session: Session, raw_id: int) -> None:
    """Show the request or mail RAW_ID as it came, while it is kept."""
    found = session.bot.feedback.raw(raw_id)
    if found is None:
        raise _gone(raw_id)
    body = bytes(found["body"]).decode("utf-8", errors="replace")
    session.emit({**found, "body": body})
    told = f"{found['source']}, {_time(session, found['received_at'])}: {found['state']}"
    session.console.print(" ".join(filter(None, (told, escape(found["reason"])))))
    session.console.print(escape(_visible(body[:_MOST_SHOWN])))


@events.command()
@click.argument("raw_id", type=int, required=False)
@pass_session
def replay(session: Session, raw_id: int | None) -> None:
    """Read again what could not be read, or RAW_ID; what was done once is not done twice."""
    feedback = session.bot.feedback
    count = feedback.replay(raw_id)
    if raw_id is not None and not count:
        raise _gone(raw_id)
    feedback.work()
    waiting, broken = feedback.unread()
    session.emit({"replayed": count, "waiting": waiting, "broken": list(broken)})
    session.console.print(f"[green]✓[/] {count} read again, {len(broken)} of all cannot be read")


def _gone(raw_id: int) -> DataError:
    return DataError(
        f"There is no request or mail {raw_id}.",
        "It may be deleted: feedback.keep_raw in newsletter.toml says for how long it is kept.",
    )


def _table(session: Session, found: Any) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("When", "From", "Raw", "What", "Issue", "Reader", "What was said", "Led to"):
        wide = _LONGEST_WORD if column in {"What", "Led to"} else None
        table.add_column(column, overflow="fold", min_width=wide)
    table.columns[0].max_width = _DATE
    for one in found:
        table.add_row(*_row(session, one))
    return table


def _row(session: Session, one: Mapping[str, Any]) -> list[str]:
    what = " ".join(filter(None, (one["kind"], one["class"], one["status"])))
    said = " ".join(filter(None, (one["reason"][:120], one["why"] and f"({one['why']})")))
    cells = (
        _time(session, one["at"]),
        one["source"],
        one["raw_id"],
        what,
        one["issue"],
        one["subscriber_id"],
        said,
        one["consequence"],
    )
    return [escape(_visible("-" if cell in {None, ""} else str(cell))) for cell in cells]


def _time(session: Session, at: int) -> str:
    return f"{datetime.fromtimestamp(at, session.bot.settings.newsletter.zone):%Y-%m-%d %H:%M}"


def _visible(text: str) -> str:
    """Leave out what could command a terminal."""
    return "".join(one if one.isprintable() or one == "\n" else "·" for one in text)
