"""What issues came to: one report, or several issues side by side; the terminal, JSON, a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import click
from rich.console import JustifyMethod
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.errors import UnavailableError
from newsletter_bot.reports import tables
from newsletter_bot.reports.model import DAYS, Share, Timing, written
from newsletter_bot.reports.report import (
    BAD_RATE,
    GOOD_RATE,
    UNRELIABLE,
    Comparison,
    Figures,
    Report,
)
from newsletter_bot.reports.standing import standing
from newsletter_bot.reports.words import shortened, span

_BLOCKS = " ▏▎▍▌▋▊▉█"
_LEVELS = "▁▂▃▄▅▆▇█"
_WIDE = 28  # cells of the longest bar
_LABEL = 100
_NARROW = {"Came back": "Came\nback", "Unsubscribed": "Unsub-\nscribed"}
_WIDE_ENOUGH = 120  # columns of a terminal that takes counts and shares side by side
_MOST = 12  # rows of a table in the terminal; all are in the page
_COLOURS = {"good": "green", "high": "yellow", "bad": "red", "unknown": "default"}


@click.command()
@click.argument("issue", nargs=-1)
@click.option("--compare", is_flag=True, help="Show ISSUEs side by side, by default the last 12.")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a page for sharing: one file, with plots.",
)
@pass_session
def report(session: Session, issue: tuple[str, ...], *, compare: bool, html: Path | None) -> None:
    """Show what ISSUE came to, without anything about a person; or compare issues."""
    names = [_identity(session, one) for one in issue]
    if compare:
        _compare(session, names, html)
    elif len(names) == 1:
        _one(session, names[0], html)
    else:
        raise click.UsageError("Name one ISSUE, or compare several with --compare.")


def _identity(session: Session, name: str) -> str:
    # The bot would open the mailroom to know: half of what a small report costs.
    return name if session.bot.reports.is_planned(name) else session.bot.identity(name)


def _one(session: Session, name: str, html: Path | None) -> None:
    found = session.bot.reports.report(name)
    session.emit(found.to_json())
    if html is not None:
        _write(session, html, session.bot.report_pages.report(found))
    else:
        _show(session, found)


def _compare(session: Session, names: list[str], html: Path | None) -> None:
    found = session.bot.reports.compare(names)
    session.emit(found.to_json())
    if html is not None:
        _write(session, html, session.bot.report_pages.comparison(found))
    elif found.rows:
        _show_comparison(session, found)
    else:
        session.console.print("Nothing was sent yet. Next: newsletter-bot send ISSUE")


def _write(session: Session, path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UnavailableError(
            f"The page was not written: {path}: {error.strerror}.",
            "Name a file in a folder that there is, with --html.",
        ) from error
    session.console.print(f"Written: {escape(str(path))}")


# ── one issue ────────────────────────────────────────────────────────────────────────────────


def _show(session: Session, found: Report) -> None:
    about, figures = found.about, found.figures
    told, command = standing(found)
    planned = f"{about.planned_at:%Y-%m-%d %H:%M %Z}"
    session.console.print(f"[bold]{escape(about.title or about.issue)}[/]")
    session.console.print(f"[dim]{escape(about.issue)} · planned {planned}[/]")
    session.console.print(f"{escape(told)} {escape(command)}\n".replace(" \n", "\n"))
    _print(session, "What became of all deliveries", _outcomes(figures))
    if found.timing is not None:
        _show_timing(session, found.timing)
    if found.domains:
        _print(session, "Outcome by domain", _plain(tables.domains(found.domains)))
    if found.failures:
        _print(session, "Bounces by reason", _plain(tables.failures(found.failures)))
    _print(session, "What readers did", _readers(figures))
    if figures.clicks.total:
        _print(session, "Clicks by item", _barred(tables.items(found.items), 1))
    if found.opens.total:
        opens = found.opens
        counts = f"people {opens.human:,}, machines {opens.machine:,}, unknown {opens.unknown:,}"
        session.console.print(f"[dim]Opens: {counts}. {UNRELIABLE}[/]\n")
    if found.test is not None:
        title = found.test.why or "not decided yet"
        _print(session, f"Test of subjects: {title}", _barred(tables.subjects(found.test), 2))
    if found.growth:
        _print(session, "List growth, from each issue to the next", _growth(found))


def _outcomes(figures: Figures) -> Table:
    return _barred(tables.outcomes(figures), 1, figures.tally.planned)


def _show_timing(session: Session, timing: Timing) -> None:
    if len(timing.spans) == 1:
        session.console.print(f"[bold]Accepted within {span(timing.width)} of the plan: all[/]\n")
        return
    when = f"half within {span(timing.p50 or 1)}, 90 % within {span(timing.p90 or 1)}"
    title = f"Accepted since the plan: {when}, the last after {span(timing.last)}"
    _print(session, title, _times(timing))


def _times(timing: Timing) -> Table:
    table = _table(("", "", ""))
    most = max(timing.spans)
    bars = "".join(_level(one, most) for one in timing.spans)
    later = f"{timing.later:,} later" if timing.later else ""
    ends = span(timing.width * len(timing.spans))
    table.add_row(Text("plan", "dim"), Text(bars, "blue"), Text(f"{ends}  {later}".strip(), "dim"))
    return table


def _readers(figures: Figures) -> Table:
    table = _table(("", "", ""), (0, 2))
    table.columns[-1].no_wrap = False
    clicks = figures.clicks
    machines = "no clicks were counted"
    if clicks.total:
        machines = f"clicks of machines {clicks.machine:,}, unknown {clicks.unknown:,}"
    rows: list[tuple[str, Share | str, str]] = [
        ("delivered, of those it was for", figures.delivered, ""),
        ("came back, of those accepted", figures.bounces, ""),
        ("readers who clicked, of those delivered", figures.clickers or "not known", machines),
        (f"unsubscribed within {DAYS} days", figures.unsubscribed, _by(figures)),
        ("complaints", figures.complaints, f"Gmail: below {GOOD_RATE} %, never {BAD_RATE} %"),
    ]
    if clicks.human and figures.clickers is None:
        rows[2] = ("clicks of people", f"{clicks.human:,}", machines)
    for name, share, note in rows:
        colour = _COLOURS[figures.level] if name == "complaints" else "default"
        table.add_row(name, Text(str(share), colour), Text(note, "dim"))
    return table


def _by(figures: Figures) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in figures.left.items())


def _growth(found: Report) -> Table:
    return _plain(tables.list_growth(found.growth[-_MOST:]))


# ── several issues ───────────────────────────────────────────────────────────────────────────


def _show_comparison(session: Session, found: Comparison) -> None:
    head = (
        "Issue",
        "State",
        "Delivered",
        "Came back",
        "Clicked",
        "Unsubscribed",
        "Complaints",
        "Net",
    )
    narrow = session.console.width < _WIDE_ENOUGH
    table = _table([_NARROW.get(one, one) if narrow else one for one in head])
    for row in found.rows:
        one = row.figures
        shares = (one.delivered, one.bounces, one.clickers, one.unsubscribed, one.complaints)
        cells = [Text(_in_short(share) if narrow else str(share or "–")) for share in shares]
        cells[-1].stylize(_COLOURS[one.level])
        name, state = Text(row.about.issue), Text(row.about.state.value)
        table.add_row(name, state, *cells, f"{row.growth.all.net:+,}")
    if not narrow:
        table.add_row(Text("over issues", "dim"), "", *map(_line, _series(found)))
    session.console.print(table)


def _in_short(share: Share | None) -> str:
    if share is None:
        return "–"
    return str(share) if share.percent is None else written(share.percent)


def _series(found: Comparison) -> Iterable[list[float | None]]:
    figures = [row.figures for row in found.rows]
    yield [one.delivered.percent for one in figures]
    yield [one.bounces.percent for one in figures]
    yield [one.clickers.percent if one.clickers else None for one in figures]
    yield [one.unsubscribed.percent for one in figures]
    yield [one.complaints.percent for one in figures]
    yield [max(0, row.growth.all.net) for row in found.rows]


def _line(values: list[float | None]) -> Text:
    most = max((one or 0 for one in values), default=0)
    return Text("".join("·" if one is None else _level(one, most) for one in values), "blue")


# ── drawing with characters ──────────────────────────────────────────────────────────────────


def _print(session: Session, title: str, table: Table) -> None:
    session.console.print(f"[bold]{escape(title)}[/]")
    session.console.print(table)
    session.console.print()


def _table(head: Iterable[str], texts: Sequence[int] = (0,)) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for place, name in enumerate(head):
        side: JustifyMethod = "left" if place in texts else "right"
        table.add_column(name, justify=side, no_wrap=place > 0)
    table.show_header = any(head)
    return table


def _plain(found: tables.Table) -> Table:
    table = _table(found.head, found.texts)
    for row in found.rows[: _MOST + 4]:
        table.add_row(*(_cell(one) for one in row))
    return table


def _barred(found: tables.Table, by: int, most: int = 0) -> Table:
    """Draw rows with a bar of the numbers in one column."""
    table = _table((*found.head, ""), (*found.texts, len(found.head)))
    rows = found.rows[: _MOST + 4]
    numbers = [row[by] if isinstance(row[by], int) else 0 for row in rows]
    most = most or max((int(one) for one in numbers), default=0)
    for row, number in zip(rows, numbers, strict=True):
        table.add_row(*(_cell(one) for one in row), Text(_bar(int(number), most), "blue"))
    return table


def _cell(value: tables.Cell) -> Text:
    return Text(f"{value:,}" if isinstance(value, int) else shortened(value, _LABEL))


def _bar(number: int, most: int) -> str:
    eighths = round(8 * _WIDE * number / most) if most else 0
    if number:
        eighths = max(1, eighths)
    return "█" * (eighths // 8) + _BLOCKS[eighths % 8].strip()


def _level(number: float, most: float) -> str:
    if not number or not most:
        return " "
    return _LEVELS[min(len(_LEVELS) - 1, int(len(_LEVELS) * number / most))]
