"""Commands that hand messages over: proof and send."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text
from sqlalchemy.exc import DBAPIError

from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.cli.status import show_reasons, show_tally
from newsletter_bot.cli.subject_tests import show_subject_test, waiting_for_test
from newsletter_bot.delivery.model import DeliveryState, Tally
from newsletter_bot.delivery.planning.dry_run import DryRun
from newsletter_bot.delivery.run import Run
from newsletter_bot.errors import NewsletterError, TryAgainError, UsageError
from newsletter_bot.issues.model import Issue
from newsletter_bot.service.reception import Reception


@click.command()
@click.argument("issue")
@click.option("--to", required=True, metavar="ADDRESS", help="Whom to send the copy.")
@pass_session
def proof(session: Session, issue: str, to: str) -> None:
    """Send one copy of ISSUE to ADDRESS, outside the ledger."""
    outcome = session.bot.proof(session.bot.read(session.bot.find(issue)), to)
    session.emit({"to": to, "outcome": outcome.state, "reason": outcome.reason})
    if outcome.state is not DeliveryState.ACCEPTED:
        raise TryAgainError(
            f"The proof to {to} was {outcome.state}: {outcome.reason}.",
            "Read the server's words above; then send the proof again.",
        )
    session.console.print(
        f"[green]✓[/] proof handed over for {escape(to)}: {escape(outcome.reason)}"
    )


@click.command()
@click.argument("issue")
@click.option("--yes", is_flag=True, help="Do not ask; this is the issue's approval.")
@click.option("--dry-run", is_flag=True, help="Show what would be sent, and send nothing.")
@click.option("--wait", is_flag=True, help="Stay until nothing is owed, or until the deadline.")
@pass_session
def send(session: Session, issue: str, *, yes: bool, dry_run: bool, wait: bool) -> None:
    """Send ISSUE to everybody it is owed; run again, it goes on where it stopped."""
    found = session.bot.read(session.bot.find(issue))
    if dry_run:
        _show_dry_run(session, found, _dry_run(session, found))
        return
    if not yes:
        _ask(session, found)
    run = Run(wait=wait)
    try:
        with stopping_gently(run), progress_bar(session, run) as advance:
            if found.is_sequence:
                tally = Reception(session.bot, warner(session)).send(found, run, advance)
            else:
                tally = session.bot.send(found, run, advance, warner(session))
    except TryAgainError:
        _show_what_was_done(session, found.identity)
        raise
    session.emit(tally.to_json())
    show_tally(session, tally)
    show_reasons(session, tally.issue)
    show_subject_test(session, tally.issue)
    _conclude(session, tally, run)


def _show_what_was_done(session: Session, identity: str) -> None:
    """Print how an issue stands after a run that ended early; of a broken database, nothing."""
    with contextlib.suppress(NewsletterError, DBAPIError):
        tally = session.bot.status(identity)
        session.emit(tally.to_json())
        if tally.planned:
            show_tally(session, tally)
            show_reasons(session, identity)


def _conclude(session: Session, tally: Tally, run: Run) -> None:
    if tally.unknown:
        session.console.print(
            f"[yellow]{tally.unknown} with an unknown outcome:[/] look whether they arrived, then"
            f" newsletter-bot resolve {escape(tally.issue)} --unknown skip|resend"
        )
    zone = session.bot.settings.newsletter.zone
    waiting = waiting_for_test(session, tally.issue)
    if waiting.count and not run.stopped:
        raise TryAgainError(
            f"{waiting.count:,} wait for the test of the subjects until"
            f" {datetime.fromtimestamp(waiting.until, zone):%a %H:%M}.",
            f"Run `newsletter-bot send {tally.issue} --yes` again then; a running"
            " `newsletter-bot run` does it by itself.",
        )
    if tally.deferred:
        due = session.bot.mailroom.next_deferred(tally.issue)
        when = "" if due is None else f" from {datetime.fromtimestamp(due, zone):%H:%M}"
        raise TryAgainError(
            f"{tally.deferred} were put off by the server{when}.",
            f"Run `newsletter-bot send {tally.issue} --yes` again then, or add --wait to stay.",
        )
    if run.stopped and not tally.balanced:
        raise TryAgainError(
            f"Stopped as asked; {tally.remaining} are still owed, nothing is lost.",
            f"Run `newsletter-bot send {tally.issue} --yes` to go on.",
        )
    if not tally.balanced:
        raise SystemExit(1)


def _dry_run(session: Session, issue: Issue) -> DryRun:
    bot = session.bot
    return Reception(bot).dry_run(issue) if issue.is_sequence else bot.dry_run(issue)


def _ask(session: Session, issue: Issue) -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            "Sending needs an approval, and nobody is here to ask.",
            "Add --yes to approve, or --dry-run to see what would be sent.",
        )
    count = _dry_run(session, issue).count
    click.confirm(f"Send {issue.identity} “{issue.subject}” to {count:,} readers?", abort=True)


def _show_dry_run(session: Session, issue: Issue, plan: DryRun) -> None:
    session.emit(
        {
            "issue": issue.identity,
            "count": plan.count,
            "lists": list(plan.lists),
            "frequency": plan.selection.frequency,
            "segment": plan.selection.segment.name if plan.selection.segment else "",
            "segments": plan.segments,
            "skips": plan.skips,
            "subjects": [{"to": to, "subject": subject} for to, subject in plan.subjects],
            "sample": list(plan.sample),
            "no_test": plan.no_test,
        }
    )
    console = session.console
    console.print(f"Would send [bold]{plan.count:,}[/] to {_whom(plan)}; nothing was sent.")
    for name, count in plan.segments.items():
        console.print(f"  only {escape(name)}: {count:,} readers see it")
    for reason, count in plan.skips.items():
        console.print(f"  [yellow]skip[/] {count:,}: {escape(reason)}")
    if plan.no_test:
        console.print(f"  [yellow]no test of the subjects:[/] {escape(plan.no_test)}")
    elif plan.sample:
        first, waiting = sum(plan.sample), plan.count - sum(plan.sample)
        console.print(f"  {first:,} get a subject each at once, {waiting:,} the one that won")
    for to, subject in plan.subjects:
        console.print(f"  {escape(to)}  {escape(subject)}")


def _whom(plan: DryRun) -> str:
    segment = plan.selection.segment
    among = f", of those in the segment {escape(segment.name)}" if segment else ""
    digest = ", to who asked for a monthly digest" if plan.selection.frequency == "monthly" else ""
    return f"{', '.join(plan.lists)}{among}{digest}"


class _Rate(ProgressColumn):
    """Messages a second, as measured over the last seconds."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="dim")


def warner(session: Session) -> Callable[[str], None]:
    """Return what prints a note."""
    return lambda sentence: session.console.print(f"[yellow]note:[/] {escape(sentence)}")


@contextmanager
def progress_bar(session: Session, run: Run) -> Iterator[Callable[[], None]]:
    """Show how far a run has come; yields what to call after each outcome."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=session.console, transient=True) as bar:
        task = bar.add_task("sending", total=None)
        yield lambda: bar.update(
            task, completed=run.done, total=run.due, description=run.waiting or "sending"
        )


@contextmanager
def stopping_gently(run: Run) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM finish the messages in flight; a second one ends at once."""

    def stop(number: int, _frame: Any) -> None:
        if run.stopping:
            sys.exit(128 + number)
        run.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
