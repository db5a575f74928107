"""Commands on people: import, export, add, show, unsubscribe, suppress, stats."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

import click
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.errors import DataError, UsageError
from newsletter_bot.subscribers.address import AddressError, has_control, parse_address
from newsletter_bot.subscribers.csv_columns import CSV_FIELDS
from newsletter_bot.subscribers.csv_in import ImportOptions, ImportReport, Rejected, import_csv
from newsletter_bot.subscribers.csv_out import neutral, write_csv
from newsletter_bot.subscribers.model import (
    AddOutcome,
    NewSubscriber,
    Person,
    SubscriptionState,
)

_SHOWN = 10
_OUTCOMES = {
    AddOutcome.ADDED: "added",
    AddOutcome.UPDATED: "updated",
    AddOutcome.UNCHANGED: "there already",
    AddOutcome.UNSUBSCRIBED: "[yellow]not added[/], they unsubscribed",
    AddOutcome.SUPPRESSED: "[yellow]not added[/], the address is suppressed",
    AddOutcome.PENDING: "not confirmed yet",
}

_STATES = click.Choice([one.value for one in SubscriptionState])  # of an enum, click reads names
_list_option = click.option("--list", "list_id", metavar="ID", help="The mailing list.")


@click.group()
def subscribers() -> None:
    """People: who gets the newsletter, and who must not."""


@subscribers.command(name="import")
@click.argument("file", type=click.Path(path_type=Path))
@_list_option
@click.option("--map", "maps", multiple=True, metavar="COLUMN=FIELD", help="Which column is what.")
@click.option(
    "--rejected", type=click.Path(path_type=Path), help="Write refused rows to this CSV file."
)
@pass_session
def import_(
    session: Session, file: Path, list_id: str | None, maps: tuple[str, ...], rejected: Path | None
) -> None:
    """Add the people of a CSV file; importing it again changes nothing.

    Nobody who unsubscribed or is suppressed is subscribed again. Refused rows are written beside
    FILE as FILE.rejected.csv.
    """
    own = session.bot.settings.subscribers.fields
    # A column's name may hold "=", a field's cannot: the last one divides.
    mapping = dict(_divided(one.rpartition("=")) for one in maps)
    options = ImportOptions(_list(session, list_id), own, mapping)
    _known_fields(options.mapping.values(), {*CSV_FIELDS, *own})
    target = rejected or file.with_name(f"{file.name}.rejected.csv")
    if target.resolve() == file.resolve():
        raise UsageError("--rejected names the file that is imported.")
    with _progress(session, file) as advance, _rejections(target) as reject:
        report = import_csv(session.bot.subscribers, file, options, progress=advance, reject=reject)
    session.emit(report.to_json())
    _show_report(session, report, target)
    if report.read and report.rejections == report.read:
        raise DataError(
            f"No row of {file} could be imported.", f"The reasons are told above and in {target}."
        )


@subscribers.command()
@_list_option
@click.option("--state", type=_STATES, help="Only in this state.")
@click.option("--out", type=click.Path(path_type=Path), help="The file; - is standard output.")
@pass_session
def export(session: Session, list_id: str | None, state: str | None, out: Path | None) -> None:
    """Write a list's people as CSV, safe to open in a spreadsheet.

    With --state, nobody who is suppressed is among them: `active` is who gets mail.
    """
    wanted = SubscriptionState(state) if state else None
    people = session.bot.subscribers.export(_list(session, list_id), wanted)
    fields = ("first_name", *session.bot.settings.subscribers.fields)
    if out is None or out == Path("-"):
        if session.json:
            raise UsageError("--json needs --out FILE: standard output holds the JSON document.")
        sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]
        write_csv(people, fields, sys.stdout)
        return
    with _written(out) as file:
        count = write_csv(people, fields, file)
    session.emit({"exported": count, "path": str(out)})
    session.console.print(f"{count:,} people written to {escape(str(out))}")


@subscribers.command()
@click.argument("address")
@click.option("--name", default="", help="The person's name.")
@_list_option
@click.option("--field", "fields", multiple=True, metavar="NAME=VALUE", help="A field of yours.")
@pass_session
def add(
    session: Session, address: str, name: str, list_id: str | None, fields: tuple[str, ...]
) -> None:
    """Add one person to a list."""
    own = dict(_divided(one.partition("=")) for one in fields)
    _known_fields(own, {"first_name", *session.bot.settings.subscribers.fields})
    if any(map(has_control, (name, *own.values()))):
        raise DataError("A line break or control character in a name or field.")
    with _explained():
        person = NewSubscriber(parse_address(address), name, "", own)
    consent = {"source": "added by the operator"}
    chosen = _list(session, list_id)
    outcome = session.bot.subscribers.add([person], chosen, consent)[0]
    session.emit({"address": person.address.text, "list": chosen, "outcome": outcome})
    session.console.print(f"{escape(person.address.text)}: {_OUTCOMES[outcome]} ({escape(chosen)})")


@subscribers.command()
@click.argument("address")
@pass_session
def show(session: Session, address: str) -> None:
    """Show what is known about one address."""
    with _explained():
        person = session.bot.subscribers.find(address)
        reason = session.bot.subscribers.suppression_of(address)
    session.emit(_person_json(address, person, reason))
    if person is None:
        words = f"suppressed: {reason}" if reason is not None else "unknown"
        session.console.print(f"{escape(address)}: {escape(words)}")
        return
    zone = session.bot.settings.newsletter.zone
    table = Table(box=None, show_header=False)
    table.add_row("address", escape(person.subscriber.address))
    table.add_row("name", escape(person.subscriber.name))
    if person.subscriber.language:
        table.add_row("language", escape(person.subscriber.language))
    for name, value in person.subscriber.fields.items():
        table.add_row(escape(name), escape(value))
    for one in person.subscriptions:
        since = datetime.fromtimestamp(one.changed_at, zone)
        source = one.consent.get("source", "")
        table.add_row(
            escape(one.list), f"{one.state} since {since:%Y-%m-%d %H:%M}, {escape(source)}"
        )
    if reason is not None:
        table.add_row("suppressed", f"[red]{escape(reason)}[/]")
    session.console.print(table)


@subscribers.command()
@click.argument("address")
@_list_option
@pass_session
def unsubscribe(session: Session, address: str, list_id: str | None) -> None:
    """End an address's subscription to one list, or to all."""
    lists = [_list(session, list_id)] if list_id else []
    with _explained():
        count = session.bot.subscribers.unsubscribe(address, lists)
    session.emit({"address": address, "unsubscribed": count})
    session.console.print(f"{escape(address)}: {count} subscription{'s' * (count != 1)} ended")


@subscribers.command()
@click.argument("address")
@click.option("--reason", required=True, help="Why, for those who ask later.")
@pass_session
def suppress(session: Session, address: str, reason: str) -> None:
    """Never mail an address again, whatever the lists say; it need not be known."""
    if not reason.strip() or has_control(reason):
        raise UsageError("--reason: write one line of text.")
    with _explained():
        session.bot.subscribers.suppress(address, reason)
    session.emit({"address": address, "suppressed": reason})
    session.console.print(f"{escape(address)}: suppressed ({escape(reason)})")


@subscribers.command()
@pass_session
def stats(session: Session) -> None:
    """Count people by list and state."""
    found = session.bot.subscribers.stats()
    session.emit(
        {
            "subscribers": found.subscribers,
            "suppressed": found.suppressed,
            "lists": {name: dict(states) for name, states in found.lists.items()},
            "domains": dict(found.domains),
        }
    )
    table = Table(box=None, header_style="bold")
    table.add_column("List")
    for state in SubscriptionState:
        table.add_column(state, justify="right")
    for name, states in found.lists.items():
        table.add_row(escape(name), *(f"{states.get(state, 0):,}" for state in SubscriptionState))
    session.console.print(table)
    session.console.print(
        f"{found.subscribers:,} people, {found.suppressed:,} suppressed addresses"
    )
    if found.domains:
        most = ", ".join(f"{escape(name)} {count:,}" for name, count in found.domains)
        session.console.print(f"Most are at {most}")


def _list(session: Session, name: str | None) -> str:
    known = [one.id for one in session.bot.settings.lists]
    if name is None and (len(known) == 1 or "weekly" in known):
        return known[0] if len(known) == 1 else "weekly"
    if name not in known:
        said = f"There is no list {name!r}." if name else "Say which list: --list ID."
        raise UsageError(said, f"Known lists: {', '.join(known)}.")
    return name


def _divided(pair: tuple[str, str, str]) -> tuple[str, str]:
    name, equals, value = pair
    if not equals or not name:
        raise UsageError(f"{''.join(pair)!r}: write NAME=VALUE.")
    return name, value


def _known_fields(names: Iterable[str], known: set[str]) -> None:
    if unknown := set(names) - known:
        raise UsageError(
            f"There is no field {min(unknown)!r}.",
            f"Fields: {', '.join(sorted(known))}; more in [subscribers] fields.",
        )


@contextmanager
def _written(path: Path) -> Iterator[IO[str]]:
    try:
        file = path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}.", "Name another file."
        ) from error
    with file:
        yield file


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except AddressError as error:
        raise DataError(f"That is no address: {error}.") from error


@contextmanager
def _progress(session: Session, file: Path) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("importing"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    total = file.stat().st_size if file.is_file() else 0
    quiet = not session.console.is_terminal
    with Progress(*columns, console=session.console, transient=True, disable=quiet) as bar:
        task = bar.add_task("importing", total=total)
        yield lambda count: bar.update(task, completed=count)


@contextmanager
def _rejections(path: Path) -> Iterator[Callable[[Rejected, Sequence[str]], None]]:
    """Write refused rows as they come, under the file's own header; no file without any."""
    with ExitStack() as stack:
        writers: list[Callable[[Sequence[str]], object]] = []

        def write(row: Rejected, columns: Sequence[str]) -> None:
            if not writers:
                writers.append(csv.writer(stack.enter_context(_written(path))).writerow)
                writers[0](["line", "reason", *map(neutral, columns)])
            writers[0]([str(row.line), row.reason, *map(neutral, row.cells)])

        yield write


def _show_report(session: Session, report: ImportReport, target: Path) -> None:
    console = session.console
    console.print(f"{report.read:,} rows: {report.added:,} added, {report.updated:,} updated")
    for reason, count in report.skips.items():
        console.print(f"  {count:,} skipped: {reason}")
    for column in report.ignored_columns:
        console.print(f"  column {escape(column)!r} was ignored; name it in \\[subscribers] fields")
    for row in report.rejected[:_SHOWN]:
        console.print(f"  [yellow]line {row.line}[/]: {escape(row.reason)}")
    if report.rejections > _SHOWN:
        console.print(f"  … and {report.rejections - _SHOWN:,} more")
    if report.rejections:
        console.print(f"{report.rejections:,} rows refused: {escape(str(target))}")


def _person_json(address: str, person: Person | None, reason: str | None) -> dict[str, object]:
    if person is None:
        return {"address": address, "known": False, "suppressed": reason}
    return {
        "address": person.subscriber.address,
        "known": True,
        "name": person.subscriber.name,
        "language": person.subscriber.language,
        "fields": dict(person.subscriber.fields),
        "subscriptions": [
            {
                "list": one.list,
                "state": one.state,
                "changed_at": one.changed_at,
                "consent": dict(one.consent),
            }
            for one in person.subscriptions
        ],
        "suppressed": reason,
    }
