"""The demo: a sample newsletter, checked, rendered, sent to a local mail server, published."""

from __future__ import annotations

import mailbox
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from newsletter_bot.bot import Bot
from newsletter_bot.cli.newsletter import scaffold
from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.delivery.model import Tally
from newsletter_bot.delivery.run import Run
from newsletter_bot.issues.find import issue_files
from newsletter_bot.service.mail_server import mail_server
from newsletter_bot.settings import load
from newsletter_bot.subscribers.csv_in import ImportOptions, ImportReport, import_csv


@click.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), default=Path("demo"))
@pass_session
def demo(session: Session, folder: Path) -> None:
    """Make a sample newsletter in DIR and send it through a mail server started for it."""
    scaffold(folder, sample=True)
    with _maildir_server(folder / "mail") as port:
        bot = _open(folder, port)
        try:
            people = _import(bot, folder)
            issue = bot.read(issue_files(folder)[0])
            problems = len(bot.check(issue))
            before = bot.status(issue.identity).accepted
            tally = bot.send(issue, Run())
            bot.build_archive()
        finally:
            bot.close()
    session.emit({**tally.to_json(), "folder": str(folder), "subscribers": people.to_json()})
    _show(session, folder, people, tally, (problems, tally.accepted - before))


@contextmanager
def _maildir_server(folder: Path) -> Iterator[int]:
    """Run a mail server that files mail into a Maildir, under names made from content."""
    folder.mkdir(parents=True, exist_ok=True)
    inbox = mailbox.Maildir(folder / "inbox")

    def take(sender: str, recipient: str, content: bytes) -> None:
        trace = f"Return-Path: <{sender}>\nDelivered-To: {recipient}\n"
        inbox.add(trace.encode() + content)

    with mail_server(take) as port:
        yield port


def _open(folder: Path, port: int) -> Bot:
    settings = load(folder)
    local = {"kind": "smtp", "host": "127.0.0.1", "port": port, "tls": "none"}
    transport = settings.transport.model_copy(update=local)
    return Bot(settings.model_copy(update={"transport": transport}))


def _import(bot: Bot, folder: Path) -> ImportReport:
    settings = bot.settings
    options = ImportOptions(settings.lists[0].id, settings.subscribers.fields)
    return import_csv(bot.subscribers, folder / "subscribers" / "sample.csv", options)


def _show(
    session: Session, folder: Path, people: ImportReport, tally: Tally, counts: tuple[int, int]
) -> None:
    problems, sent_now = counts
    title = f"[bold]{escape(tally.issue)}[/], from a file to {tally.accepted} mailboxes"
    session.console.print(title)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("Step", "What happened", "Where to look"):
        table.add_column(column)
    refused = f", {people.rejections} refused" if people.rejections else ""
    skipped = sum(people.skips.values())
    rows = (
        (
            "import",
            f"{people.added} added, {skipped} there already{refused}",
            "subscribers/sample.csv",
        ),
        ("check", f"{problems} problems", f"issues/{tally.issue}.md"),
        ("send", f"{sent_now} sent now, {tally.accepted} of {tally.planned} in all", "mail/inbox"),
        ("publish", "pages, Atom, RSS and JSON feeds", "site/index.html"),
    )
    for step, what, where in rows:
        table.add_row(step, what, escape(str(folder / where)))
    session.console.print(table)
    words = "add up" if tally.balanced else "do not add up"
    again = "Run it again: nobody gets a second copy." if sent_now else "Nobody got a second copy."
    session.console.print(f"The numbers {words}. {again}")
    session.console.print(f"Next: newsletter-bot -C {escape(str(folder))} preview {tally.issue}")
