"""The command that posts an issue elsewhere: crosspost."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from newsletter_bot.bot import refuse_sequence
from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.crosspost.model import CrossPost, CrossPostState, Draft, Posted
from newsletter_bot.crosspost.page import why_silent
from newsletter_bot.errors import ConfigurationError, TryAgainError
from newsletter_bot.issues.model import Issue

_LONGEST_SHOWN = 1000  # characters: an article is not printed whole
_COLOURS = {
    CrossPostState.POSTED: "green",
    CrossPostState.FAILED: "red",
    CrossPostState.UNKNOWN: "yellow",
}


@click.command()
@click.argument("issue")
@click.option("--channel", metavar="NAME", help="This channel alone.")
@click.option("--dry-run", is_flag=True, help="Show what would be posted, and post nothing.")
@click.option("--retry", is_flag=True, help="Try again what failed or was skipped.")
@click.option(
    "--unknown",
    type=click.Choice(["post", "skip"]),
    help="Settle posts whose outcome nobody knows.",
)
@click.option("--no-check", is_flag=True, help="Do not ask whether the issue's page is there.")
@pass_session
def crosspost(
    session: Session, /, issue: str, channel: str | None, *, dry_run: bool, **wishes: Any
) -> None:
    """Post ISSUE on the channels of newsletter.toml; run again, it goes on where it stopped."""
    bot, desk = session.bot, session.bot.crossposts
    found = bot.read(bot.find(issue))
    refuse_sequence(found)
    _need_channels(session)
    page = bot.page_url(found.identity)
    if dry_run:
        _show_drafts(session, found, desk.drafts(found, page, channel))
        return
    desk.plan(found, page, channel)
    if not wishes["no_check"] and (silence := why_silent(page)):
        session.console.print(
            f"[yellow]warning:[/] {escape(page)} {escape(silence)}; posts link to it"
        )
    if wishes["retry"]:
        desk.retry(found, page, channel)
    if wishes["unknown"]:
        desk.resolve_unknown(found.identity, channel, post=wishes["unknown"] == "post")
    posted = desk.post(found.identity, channel)
    rows = [row for row in desk.rows(found.identity) if channel in (None, row.channel)]
    _show(session, found.identity, rows, posted)
    _conclude(found.identity, rows, posted)


def _need_channels(session: Session) -> None:
    if not session.bot.settings.channels:
        raise ConfigurationError(
            "newsletter.toml names no channel to post on.",
            "Add a table like [channels.mastodon]: see `newsletter-bot channels list`.",
        )


# ── what would be posted ─────────────────────────────────────────────────────────────────────


def _show_drafts(session: Session, issue: Issue, drafts: list[Draft]) -> None:
    session.emit({"posts": [draft.to_json() for draft in drafts]})
    say = session.console.print
    for draft in drafts:
        head = f"[bold]{escape(draft.channel)}[/] {escape(draft.item)}".rstrip()
        if draft.problem:
            say(f"{head}  [red]{escape(draft.problem)}[/]\n")
            continue
        price = f"  ${draft.cost_usd:.3f}" if draft.cost_usd else ""
        say(f"{head}  {draft.weight} of {draft.limit}{price}")
        say(escape(_shown(draft.text)))
        if draft.url and draft.url not in draft.text:
            say(f"[dim]link:[/] {escape(draft.url)}")
        say("")
    total = sum(draft.cost_usd for draft in drafts)
    cost = f" for ${total:.3f}" if total else ""
    say(f"Would post {len(drafts)} of {escape(issue.identity)}{cost}; nothing was posted.")


def _shown(text: str) -> str:
    if len(text) <= _LONGEST_SHOWN:
        return text
    return f"{text[:_LONGEST_SHOWN]}\n… and {len(text) - _LONGEST_SHOWN:,} more characters"


# ── what was posted ──────────────────────────────────────────────────────────────────────────


def _show(session: Session, identity: str, rows: list[CrossPost], posted: Posted) -> None:
    session.emit(
        {
            "issue": identity,
            "posted": posted.posted,
            "failed": posted.failed,
            "unknown": posted.unknown,
            "skipped": posted.skipped,
            "owed": posted.owed,
            "rows": [row.to_json() for row in rows],
        }
    )
    table = Table(box=None, header_style="bold")
    for column in ("Channel", "Item", "State", "Where, or why not"):
        table.add_column(column, overflow="fold")
    for row in rows:
        colour = _COLOURS.get(row.state, "default")
        place = "" if row.remote_url in row.reason else row.remote_url
        where = " ".join(one for one in (place, row.reason, _when(session, row)) if one)
        state = f"[{colour}]{row.state}[/]"
        table.add_row(escape(row.channel), escape(row.item or "the issue"), state, escape(where))
    session.console.print(table)
    for failure in posted.failures:
        if failure.next_step:
            session.console.print(
                f"[bold]next:[/]  {escape(failure.channel)}: {escape(failure.next_step)}"
            )


def _when(session: Session, row: CrossPost) -> str:
    if row.not_before is None or row.state is not CrossPostState.PLANNED:
        return ""
    zone = session.bot.settings.newsletter.zone
    return f"(again from {datetime.fromtimestamp(row.not_before, zone):%H:%M})"


def _conclude(identity: str, rows: list[CrossPost], posted: Posted) -> None:
    again = f"Run `newsletter-bot crosspost {identity}` again"
    if posted.busy:
        raise TryAgainError("Another process is posting this issue.", f"{again} later.")
    owed = [row for row in rows if row.state in (CrossPostState.PLANNED, CrossPostState.POSTING)]
    if owed:
        times = [row.not_before for row in owed if row.not_before is not None]
        later = " when its time has come" if times else ""
        raise TryAgainError(f"{len(owed)} are still to be posted.", f"{again}{later}.")
    if any(row.state in (CrossPostState.FAILED, CrossPostState.UNKNOWN) for row in rows):
        raise SystemExit(1)
