"""Commands on an issue file: new, import, check, render."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table
from sqlalchemy.exc import DBAPIError

from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.errors import DataError, IssueFileError, NewsletterError, Problem, Severity
from newsletter_bot.issues.model import Issue

_NEW_ISSUE = """\
---
issue: {identity}
title: "Week {week}, {year}"
subject: "Week {week}, {year}"
preheader: ""
status: draft
---
Hello {{{{ first_name | there }}}},

## Papers

### [Title of the first item](https://example.com/)

A few sentences about it.
"""


@click.command()
@click.argument("issue", required=False)
@pass_session
def new(session: Session, issue: str | None) -> None:
    """Write an empty issue file for this ISO week, or for ISSUE."""
    today = date.today().isocalendar()  # noqa: DTZ011 - the editor's own day
    identity = issue or f"{today.year}-W{today.week:02}"
    path = session.bot.settings.folder / "issues" / f"{identity}.md"
    if path.exists():
        raise DataError(f"{path} exists already.", "Edit that file, or name another issue.")
    path.parent.mkdir(parents=True, exist_ok=True)
    year, _, week = identity.partition("-W")
    text = _NEW_ISSUE.format(identity=identity, week=week.lstrip("0") or identity, year=year)
    path.write_text(text, encoding="utf-8")
    session.console.print(
        f"Wrote {escape(str(path))}. See it with: newsletter-bot preview {identity}"
    )
    session.emit({"issue": identity, "path": str(path)})


@click.command(name="import")
@click.argument("what", type=click.Choice(["issue"]))
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--from", "kind", required=True, help="What FILE was exported from: medium, markdown."
)
@click.option("--issue", "identity", help="The issue's identity, when FILE does not tell it.")
@pass_session
def import_(session: Session, what: str, file: Path, kind: str, identity: str | None) -> None:
    """Turn FILE, an issue published elsewhere, into our issue file."""
    from newsletter_bot.issues.importers import import_issue

    del what
    report = import_issue(file, kind, session.bot.settings.folder, identity)
    session.console.print(
        f"Wrote {escape(str(report.path))}: {report.sections} sections, {report.items} items,"
        f" {report.picks} picks."
    )
    for note in report.notes:
        session.console.print(f"  {escape(note)}")
    session.console.print(f"Next: newsletter-bot check {report.path.stem}")
    session.emit(
        {
            "path": str(report.path),
            "sections": report.sections,
            "items": report.items,
            "picks": report.picks,
            "notes": list(report.notes),
        }
    )


@click.command()
@click.argument("issue")
@pass_session
def check(session: Session, issue: str) -> None:
    """Find what is wrong with ISSUE; exits 1 when an error stops it from being sent."""
    path = session.bot.find(issue)
    code = 0
    try:
        found = session.bot.read(path)
        problems = tuple(sorted((*session.bot.check(found), *_check_readers(session, found))))
    except IssueFileError as error:
        problems, code = error.problems, error.exit_code
    errors = sum(one.severity is Severity.ERROR for one in problems)
    session.emit({"ok": not errors, "problems": [_as_json(one) for one in problems]})
    _print_problems(session, path, problems)
    if errors:
        raise SystemExit(code or 1)


@click.command()
@click.argument("issue")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="The folder."
)
@pass_session
def render(session: Session, issue: str, out: Path) -> None:
    """Write email.html, email.txt, message.eml and web.html of ISSUE into a folder."""
    from newsletter_bot.rendering.model import filled

    bot = session.bot
    found = bot.read(bot.find(issue))
    rendering, values = bot.render(found), bot.sample_values()
    message = bot.mailroom.proofs.sample(rendering, values, values["email"])
    files = {
        "email.html": filled(rendering.html, values).encode(),
        "email.txt": filled(rendering.text, values).encode(),
        "message.eml": message.content,
        "web.html": bot.web_page(found).encode(),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (out / name).write_bytes(content)
        session.console.print(f"{escape(str(out / name))}  {len(content) / 1024:.1f} KB")
    session.emit({"files": {name: len(content) for name, content in files.items()}})


def _check_readers(session: Session, issue: Issue) -> tuple[Problem, ...]:
    """Ask the list, where there is one: a file may be checked on a machine without it."""
    try:
        return session.bot.check_readers(issue)
    except (NewsletterError, DBAPIError):
        return ()


def _as_json(problem: Problem) -> dict[str, object]:
    return {
        "rule": problem.rule,
        "severity": problem.severity,
        "line": problem.line,
        "message": problem.message,
    }


def _print_problems(session: Session, path: Path, problems: tuple[Problem, ...]) -> None:
    if not problems:
        session.console.print(f"[green]✓[/] {escape(str(path))}: nothing to mend")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("Where", "", "Rule", "What"):
        table.add_column(column)
    for one in problems:
        colour = "red" if one.severity is Severity.ERROR else "yellow"
        table.add_row(
            escape(f"{path.name}:{one.line}"),
            f"[{colour}]{one.severity}[/]",
            one.rule,
            escape(one.message),
        )
    session.console.print(table)
    errors = sum(one.severity is Severity.ERROR for one in problems)
    warnings = len(problems) - errors
    words = "error" if errors == 1 else "errors", "warning" if warnings == 1 else "warnings"
    session.console.print(f"{errors} {words[0]}, {warnings} {words[1]}")
