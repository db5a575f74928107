"""Files of people: import and export of CSV, and how many there are."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import click
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.cli.who import chosen_list, divided, known_fields, list_option
from newsletter_bot.errors import DataError, UsageError
from newsletter_bot.subscribers.csv_columns import CSV_FIELDS
from newsletter_bot.subscribers.csv_in import ImportOptions, ImportReport, Rejected, import_csv
from newsletter_bot.subscribers.csv_out import neutral, write_csv
from newsletter_bot.subscribers.model import SubscriptionState

_SHOWN = 10
_STATES = click.Choice([one.value for one in SubscriptionState])  # of an enum, click reads names


@click.command(name="import")
@click.argument("file", type=click.Path(path_type=Path))
@list_option
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
    mapping = dict(divided(one.rpartition("=")) for one in maps)
    options = ImportOptions(chosen_list(session, list_id), own, mapping)
    known_fields(options.mapping.values(), {*CSV_FIELDS, *own})
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


@click.command()
@list_option
@click.option("--state", type=_STATES, help="Only in this state.")
@click.option("--segment", help="Only those who match this segment.")
@click.option("--out", type=click.Path(path_type=Path), help="The file; - is standard output.")
@pass_session
def export(
    session: Session, list_id: str | None, state: str | None, segment: str | None, out: Path | None
) -> None:
    """Write a list's people as CSV, safe to open in a spreadsheet.

    With --state, nobody who is suppressed is among them: `active` is who gets mail.
    """
    wanted = SubscriptionState(state) if state else None
    segments = session.bot.segments
    only = (segments.load(segment).rule, segments.now()) if segment else None
    people = session.bot.subscribers.export(chosen_list(session, list_id), wanted, only)
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


@click.command()
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
