"""Commands on the archive: build."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from newsletter_bot.archive.site import SiteReport
from newsletter_bot.cli.session import Session, pass_session

_SHOWN = 12


@click.group()
def archive() -> None:
    """Publish issues on the web."""


@archive.command()
@click.argument("issues", metavar="[ISSUE]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every issue file that has no errors.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="The site's folder; by default [archive] folder of newsletter.toml.",
)
@pass_session
def build(session: Session, issues: tuple[str, ...], out: Path | None, *, everything: bool) -> None:
    """Write the static site: issues that were sent, those dated in the past, and each ISSUE."""
    report = session.bot.build_archive(issues, everything=everything, out=out)
    session.emit(report.to_json())
    _show(session, report)


def _show(session: Session, report: SiteReport) -> None:
    show = session.console.print
    for mark, names in (("[green]+[/]", report.written), ("[red]-[/]", report.removed)):
        for name in names[:_SHOWN]:
            show(f"{mark} {escape(name)}")
        if len(names) > _SHOWN:
            show(f"{mark} and {len(names) - _SHOWN} more")
    if not report.written and not report.removed:
        show("Nothing changed.")
    show(f"{report.pages} {_issues(report.pages)} in {escape(str(report.folder / 'index.html'))}")
    if not report.pages:
        show(
            "Nothing is published yet: no issue was sent, and none has a `date` in the past."
            " Next: newsletter-bot archive build ISSUE, or --all"
        )


def _issues(count: int) -> str:
    return "issue" if count == 1 else "issues"
