"""Webhooks that go out: webhooks list|secret|test|events|replay|enable."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.errors import TryAgainError, UsageError
from newsletter_bot.hooks.model import HookState, utc
from newsletter_bot.hooks.report_store import Standing, Told, Wish
from newsletter_bot.settings.people import HookType, WebhookTable


@click.group()
def webhooks() -> None:
    """Endpoints of yours that are told what happens."""


# ── how they stand ───────────────────────────────────────────────────────────────────────────


@webhooks.command("list")
@pass_session
def list_(session: Session) -> None:
    """List the endpoints: what each wants, what it was given, what it answered last."""
    found = session.bot.webhooks.standings()
    session.emit({"webhooks": [_standing(one, standing) for one, standing in found]})
    table = Table(box=None, header_style="bold")
    for column in ("Name", "Events", "Delivered", "Waiting", "Failed", "Last answer"):
        table.add_column(column, overflow="fold")
    for one, standing in found:
        counts = (standing.delivered, standing.waiting, standing.failed)
        some = " ".join(kind.value for kind in one.events)
        events = "all" if set(one.events) == set(HookType) else some
        said = escape(_last(session, standing))
        table.add_row(one.name, events, *(f"{count:,}" for count in counts), said)
    session.console.print(table if found else escape("newsletter.toml has no [[webhooks]]."))


def _standing(one: WebhookTable, standing: Standing) -> dict[str, Any]:
    return {
        "name": one.name,
        "url": one.url,
        "events": [kind.value for kind in one.events],
        "delivered": standing.delivered,
        "waiting": standing.waiting,
        "failed": standing.failed,
        "last_at": _iso(standing.last_at),
        "last_status": standing.last_status,
        "last_answer": standing.last_reason,
        "switched_off_at": _iso(standing.off_at),
        "rests_until": _iso(standing.rests_until),
    }


def _last(session: Session, standing: Standing) -> str:
    words = []
    if standing.off_at is not None:
        words.append(f"switched off {_clock(session, standing.off_at)};")
    elif standing.rests_until is not None:
        words.append(f"asked to be left alone until {_clock(session, standing.rests_until)};")
    if standing.last_at is not None:
        words.append(f"{_clock(session, standing.last_at)}: {standing.last_reason}")
    return " ".join(words) or "nothing yet"


@webhooks.command()
@click.argument("name")
@pass_session
def secret(session: Session, name: str) -> None:
    """Print what signs the events for NAME; keep it as you keep a password."""
    found = session.bot.webhooks.secrets(name)
    session.emit({"name": name, "secrets": found})
    if not session.json:
        for one in found:
            click.echo(one)


@webhooks.command()
@click.argument("name")
@pass_session
def test(session: Session, name: str) -> None:
    """Send NAME an event of the type `webhook.test` now, and say what came back."""
    answer = session.bot.webhooks.test(name)
    session.emit(
        {"name": name, "ok": answer.taken, "status": answer.status, "answer": answer.reason}
    )
    if not answer.taken:
        raise TryAgainError(
            f"{name} did not take the test: {answer.reason}.",
            "See docs/webhooks.md for what an endpoint has to answer.",
        )
    session.console.print(f"[green]✓[/] {name} took it: {escape(answer.reason)}")


# ── what was told ────────────────────────────────────────────────────────────────────────────


@webhooks.command()
@click.option("--failed", is_flag=True, help="Only what was given up.")
@pass_session
def events(session: Session, *, failed: bool) -> None:
    """List the newest 100 events, and where each stands with each endpoint."""
    found = session.bot.webhooks.events(failed=failed)
    session.emit({"events": [_told(one) for one in found]})
    table = Table(box=None, header_style="bold")
    table.add_column("Event", no_wrap=True)  # to be copied
    for column in ("Type", "When", "Endpoint", "State", "Attempts", "Answer"):
        table.add_column(column, overflow="fold")
    for one in found:
        table.add_row(
            one.uid,
            one.kind,
            _clock(session, one.at),
            one.endpoint or "",
            one.state or "",
            "" if one.attempts is None else str(one.attempts),
            escape(_answer(session, one)),
        )
    session.console.print(table if found else "There are no such events.")


def _told(one: Told) -> dict[str, Any]:
    waiting = one.state is HookState.PLANNED
    return {
        "id": one.uid,
        "type": one.kind,
        "at": _iso(one.at),
        "endpoint": one.endpoint,
        "state": one.state,
        "attempts": one.attempts,
        "not_before": _iso(one.not_before) if waiting else None,
        "status": one.status,
        "answer": one.reason,
    }


def _answer(session: Session, one: Told) -> str:
    if one.state is HookState.PLANNED and one.not_before is not None and one.attempts:
        return f"{one.reason} (again from {_clock(session, one.not_before)})"
    return one.reason or ""


@webhooks.command()
@click.argument("name")
@click.option("--event", metavar="ID", help="This event.")
@click.option("--since", metavar="DATE", help="All that it wants since then, given or not.")
@click.option("--failed", is_flag=True, help="All that was given up.")
@pass_session
def replay(
    session: Session, name: str, event: str | None, since: str | None, *, failed: bool
) -> None:
    """Give NAME events again, under the same webhook-id; `run` delivers them."""
    if sum((event is not None, since is not None, failed)) != 1:
        raise UsageError("Say which events.", "Add one of --event ID, --since DATE and --failed.")
    at = None if since is None else _read(session, since)
    count = session.bot.webhooks.replay(name, Wish(uid=event, since=at, failed=failed))
    session.emit({"name": name, "replayed": count})
    session.console.print(f"{count:,} events are owed to {name} again; `run` delivers them")


@webhooks.command()
@click.argument("name")
@pass_session
def enable(session: Session, name: str) -> None:
    """Give NAME events again, after it answered 410 and was switched off."""
    changed = session.bot.webhooks.enable(name)
    session.emit({"name": name, "enabled": changed})
    if not changed:
        session.console.print(f"{name} is not switched off")
        return
    session.console.print(f"[green]✓[/] {name} is given what happens from now on")
    session.console.print(
        f"What it missed: newsletter-bot webhooks replay {name} --failed, or --since DATE"
    )


# ── times ────────────────────────────────────────────────────────────────────────────────────


def _read(session: Session, written: str) -> int:
    """Read a date, or a date and time, on the newsletter's wall clock."""
    zone = session.bot.settings.newsletter.zone
    try:
        found = datetime.fromisoformat(written)
        at = found if found.tzinfo is not None else found.replace(tzinfo=zone)
        return int(at.astimezone(UTC).timestamp())
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"{written} is no date.", "Write it like 2026-11-23 or 2026-11-23T08:00."
        ) from error


def _clock(session: Session, at: int) -> str:
    zone = session.bot.settings.newsletter.zone
    return f"{datetime.fromtimestamp(at, zone):%Y-%m-%d %H:%M}"


def _iso(at: int | None) -> str | None:
    return None if at is None else utc(at)
