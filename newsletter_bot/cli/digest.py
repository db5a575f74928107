"""The command that drafts a month's digest: digest."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click
from rich.markup import escape

from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.errors import UsageError


@click.command()
@click.option("--month", metavar="MONTH", help="Like 2026-11; by default the last that is over.")
@click.option("--list", "list_id", metavar="ID", help="The mailing list.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
@pass_session
def digest(session: Session, month: str | None, list_id: str | None, out: Path | None) -> None:
    """Draft an issue for those who want one mail a month, from the issues of that month."""
    from newsletter_bot.bot.digest import Month, usual_list, write_digest

    bot = session.bot
    chosen = list_id or usual_list(bot)
    if chosen not in bot.settings.list_ids:
        said = f"There is no list {chosen!r}." if chosen else "Say which list: --list ID."
        raise UsageError(said, f"Known lists: {', '.join(sorted(bot.settings.list_ids))}.")
    now = datetime.now(bot.settings.newsletter.zone)
    made = write_digest(bot, Month.read(month) if month else Month.before(now), chosen, out)
    session.emit(
        {
            "issue": made.identity,
            "path": str(made.path),
            "issues": made.issues,
            "items": made.items,
            "notes": made.notes,
        }
    )
    session.console.print(
        f"Wrote {escape(str(made.path))}: {made.items} items of {len(made.issues)} issues."
    )
    for note in made.notes:
        session.console.print(f"  left out: {escape(note)}")
    session.console.print(f"Next: newsletter-bot preview {escape(made.identity)}")
