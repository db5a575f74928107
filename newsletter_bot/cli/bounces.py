"""Commands on mails that came back: bounces explain|ingest|poll."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import click
from rich.markup import escape
from rich.table import Table

from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.feedback.mails.decode import LONGEST
from newsletter_bot.feedback.mails.model import Affected, Fault, Kind, Reading
from newsletter_bot.feedback.mails.read import read_mail

_COLOURS = {
    Fault.HARD: "red",
    Fault.SOFT: "yellow",
    Fault.BLOCK: "magenta",
    Fault.TECHNICAL: "cyan",
}
_OF_A_BOUNCE = {
    Fault.HARD: "the address is wrong or closed: no more mail to it",
    Fault.SOFT: "the mailbox cannot take it now: counted, and forgotten after a success",
    Fault.BLOCK: "we were refused, not the reader: nothing changes for them; look at our own side",
    Fault.TECHNICAL: "something between us is out of order: nothing changes for the reader",
}
_OF_A_KIND = {
    Kind.COMPLAINT: "the reader is unsubscribed and never mailed again",
    Kind.DELAY: "nothing changes: delivery is still being tried",
    Kind.AUTO_REPLY: "nothing changes: nobody wrote it",
    Kind.UNSUBSCRIBE: "the reader is unsubscribed",
    Kind.OTHER: "nothing changes: a person may want to read it",
}


@click.group()
def bounces() -> None:
    """Mails that came back."""


@bounces.command()
@click.argument("file", type=click.File("rb"))
@pass_session
def explain(session: Session, file: BinaryIO) -> None:
    """Say what FILE, a mail (`-`: standard input), is, and what decided it; nothing is changed."""
    reading = read_mail(file.read(LONGEST + 1))
    session.emit(_to_json(reading))
    session.console.print(_head(reading))
    if reading.recipients:
        session.console.print(_table(reading))
    session.console.print(f"[bold]ties:[/] {escape(_ties(reading))}")


@bounces.command()
@click.argument("file", type=click.Path(exists=True, allow_dash=True, path_type=Path))
@pass_session
def ingest(session: Session, file: Path) -> None:
    """Take in FILE, a mail, an mbox or a Maildir (`-`: standard input), and act on it."""
    from newsletter_bot.cli import bounces_in

    bounces_in.ingest(session, file)


@bounces.command()
@click.argument("name", required=False)
@pass_session
def poll(session: Session, name: str | None) -> None:
    """Read the mailbox NAME, or all of them, now, and say what was found."""
    from newsletter_bot.cli import bounces_in

    bounces_in.poll(session, name)


def _to_json(reading: Reading) -> dict[str, Any]:
    return {
        "kind": reading.kind,
        "recipients": [
            {
                "address": one.address,
                "status": one.status,
                "class": one.fault,
                "reason": one.reason,
                "rule": one.rule,
                "found": one.found,
                "final": one.final,
                "means": _means(reading, one),
            }
            for one in reading.recipients
        ],
        "reason": reading.reason,
        "found": reading.found,
        "feedback": reading.feedback,
        "means": _means(reading, None),
        "ties": {
            "bounce_tokens": list(reading.ties.bounce_tokens),
            "unsubscribe_tokens": list(reading.ties.unsubscribe_tokens),
            "envelope_ids": list(reading.ties.envelope_ids),
            "message_ids": list(reading.ties.message_ids),
        },
        "cut": reading.cut,
    }


def _head(reading: Reading) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_row("kind", f"[bold]{reading.kind}[/]: {escape(reading.reason)}")
    table.add_row("read in", escape(reading.found))
    table.add_row("from", escape(reading.sender or "nobody"))
    table.add_row("subject", escape(reading.subject or "none"))
    table.add_row("means", escape(_means(reading, None)))
    if reading.cut:
        table.add_row("cut", f"only the first {LONGEST:,} bytes were read")
    return table


def _table(reading: Reading) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("Address", "Status", "Class", "Rule", "Read in", "What was said"):
        table.add_column(column, overflow="fold")
    for one in reading.recipients:
        table.add_row(
            escape(one.address + (f" (in the end {one.final})" if one.final else "")),
            escape(one.status or "-"),
            f"[{_COLOURS[one.fault]}]{one.fault}[/]",
            escape(one.rule),
            escape(one.found),
            escape(one.reason[:200]),
        )
    return table


def _means(reading: Reading, one: Affected | None) -> str:
    """Say what comes of it for the reader, once its token is found to be ours."""
    if reading.kind is not Kind.BOUNCE:
        return _OF_A_KIND[reading.kind]
    about = one or reading.about("")
    return _OF_A_BOUNCE[about.fault] if about else "nobody is named: only a token could tell whom"


def _ties(reading: Reading) -> str:
    ties = reading.ties
    told = [
        f"{len(values)} {name}"
        for name, values in (
            ("bounce token(s)", ties.bounce_tokens),
            ("unsubscribe token(s)", ties.unsubscribe_tokens),
            ("envelope id(s)", ties.envelope_ids),
            ("message id(s)", ties.message_ids),
        )
        if values
    ]
    return ", ".join(told) if told else "none: nothing in it names a delivery of ours"
