"""Commands on what newcomers get: sequences list, sequences send."""

from __future__ import annotations

from datetime import datetime

import click
from rich.markup import escape
from rich.table import Table

from newsletter_bot.cli.sending import progress_bar, stopping_gently, warner
from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.cli.status import show_reasons, show_tally
from newsletter_bot.delivery.model import IssueState, Tally
from newsletter_bot.delivery.run import Run
from newsletter_bot.errors import NewsletterError, TryAgainError
from newsletter_bot.service.reception import Listed, Reception

_DAY, _HOUR, _MINUTE = 86_400, 3600, 60


@click.group()
def sequences() -> None:
    """Messages that newcomers get, each at their own time."""


@sequences.command(name="list")
@pass_session
def list_(session: Session) -> None:
    """List every sequence message: its file, delay, lists, and how it stands."""
    found = Reception(session.bot).listed()
    session.emit({"sequences": [_as_json(session, one) for one in found]})
    if not found:
        session.console.print(
            "There are none: write welcome.md, or files with a `delay:` into sequence/."
        )
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("File", "Sequence", "Delay", "Lists", "Status"):
        table.add_column(column)
    for column in ("Planned", "Accepted", "Owed"):
        table.add_column(column, justify="right")
    for one in found:
        counts = one.tally and (one.tally.planned, one.tally.accepted, one.tally.remaining)
        numbers = [f"{count:,}" for count in counts] if counts else []
        words = (one.file or "-", one.identity, _delay(one), ", ".join(one.lists), _status(one))
        table.add_row(*map(escape, words), *numbers)
    session.console.print(table)
    for one in found:
        if one.trouble:
            where = escape(one.file or one.identity)
            session.console.print(f"[yellow]{where}:[/] {escape(one.trouble)}")


@sequences.command(name="send")
@pass_session
def send_(session: Session) -> None:
    """Send newcomers what is due now: what `run` does by itself."""
    reception = Reception(session.bot, warner(session))
    planned = reception.plan()
    known = {row.identity for row in session.bot.mailroom.newcomers.sequences()}
    owed = [one for one in session.bot.mailroom.owed() if one in known or one in planned]
    tallies, troubles = [], []
    for identity in owed:
        tally, trouble = _carry_on(session, identity)
        if trouble is not None:
            troubles.append(trouble)
            session.console.print(f"[yellow]{escape(identity)}:[/] {escape(trouble.message)}")
        if tally is not None:
            tallies.append(tally)
            show_tally(session, tally)
            show_reasons(session, identity)
    session.emit({"sent": [one.to_json() for one in tallies], "refused": reception.refused})
    if not owed:
        session.console.print("Nothing is due.")
    _conclude(reception, tallies, troubles)


def _carry_on(session: Session, identity: str) -> tuple[Tally | None, NewsletterError | None]:
    run = Run()
    try:
        with stopping_gently(run), progress_bar(session, run) as advance:
            return session.bot.mailroom.carry_on(identity, run, advance), None
    except NewsletterError as error:
        return session.bot.mailroom.status(identity), error


def _conclude(reception: Reception, tallies: list[Tally], troubles: list[NewsletterError]) -> None:
    if troubles:
        raise troubles[0]
    if left := sum(one.remaining for one in tallies):
        raise TryAgainError(
            f"{left} are still owed.",
            "Run `newsletter-bot sequences send` again later; `newsletter-bot run` does it itself.",
        )
    if reception.refused:
        raise SystemExit(1)


def _delay(one: Listed) -> str:
    if one.delay is None:
        return "-"
    for unit, letter in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "m")):
        if one.delay and one.delay % unit == 0:
            return f"{one.delay // unit}{letter}"
    return f"{one.delay}s" if one.delay else "at once"


def _status(one: Listed) -> str:
    """Say what the file says, unless an operator halted the message."""
    if one.tally is not None and one.tally.state in (IssueState.PAUSED, IssueState.CANCELLED):
        return one.tally.state
    return one.status


def _as_json(session: Session, one: Listed) -> dict[str, object]:
    zone = session.bot.settings.newsletter.zone
    began = None if one.began_at is None else datetime.fromtimestamp(one.began_at, zone)
    return {
        "file": one.file,
        "sequence": one.identity,
        "status": one.status,
        "delay": one.delay,
        "lists": list(one.lists),
        "began": None if began is None else began.isoformat(),
        "tally": None if one.tally is None else one.tally.to_json(),
        "trouble": one.trouble,
    }
