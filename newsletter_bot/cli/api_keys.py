"""Keys for programs: api-key add, list, revoke."""

from __future__ import annotations

import re
import time
from datetime import datetime

import click
from rich.markup import escape
from rich.table import Table

from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.errors import UsageError
from newsletter_bot.settings.tables import seconds
from newsletter_bot.web.api.keys import ApiKey, Scope
from newsletter_bot.web.api.keys_store import KeyStore

_NAME = re.compile("[a-z0-9][a-z0-9-]{0,62}")


@click.group(name="api-key")
def api_key() -> None:
    """Keys with which programs use the REST API."""


@api_key.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([one.value for one in Scope]),
    help="What the key may do; may be given several times.",
)
@click.option("--expires", metavar="TIME", help="When it ends by itself, like 90d.")
@pass_session
def add(session: Session, name: str, scopes: tuple[str, ...], expires: str | None) -> None:
    """Make a key called NAME and show it, this once: it is kept as a hash."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r}: small letters, digits and hyphens, please, 63 at most.")
    ends = None if expires is None else int(time.time()) + _seconds(expires)
    wanted = {Scope(one) for one in scopes}
    key = _store(session).add(name, wanted, ends)
    session.emit({"name": name, "key": key, "scopes": sorted(wanted), "expires_at": ends})
    if not session.json:
        click.echo(key)
    # Not on standard output, where a script finds the key and nothing else.
    click.echo("Keep it where secrets are kept: it cannot be shown again.", err=True)


@api_key.command(name="list")
@pass_session
def list_(session: Session) -> None:
    """Show the keys: what they may do, and when they were last used."""
    keys = _store(session).all()
    session.emit({"keys": [_json(one) for one in keys]})
    if not keys:
        session.console.print("There is no key. Next: newsletter-bot api-key add NAME --scope read")
        return
    table = Table(box=None, header_style="bold")
    for column in ("Name", "State", "Scopes", "Made", "Used", "Expires"):
        table.add_column(column, overflow="fold")
    for one in keys:
        times = (_day(session, at) for at in (one.made_at, one.used_at, one.expires_at))
        table.add_row(escape(one.name), _state(one), ", ".join(sorted(one.scopes)), *times)
    session.console.print(table)


@api_key.command()
@click.argument("name")
@pass_session
def revoke(session: Session, name: str) -> None:
    """Let the key NAME open nothing any more, from the next request on."""
    revoked = _store(session).revoke(name)
    session.emit({"name": name, "revoked": revoked})
    words = "revoked" if revoked else "was revoked already"
    session.console.print(f"{escape(name)}: {words}")


def _store(session: Session) -> KeyStore:
    return KeyStore(session.bot.engine, session.bot.writer)


def _seconds(duration: str) -> int:
    try:
        return seconds(duration)
    except ValueError as error:
        raise UsageError(f"--expires: {error}.") from error


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "active" if key.is_good(time.time()) else "expired"


def _day(session: Session, at: int | None) -> str:
    zone = session.bot.settings.newsletter.zone
    return "" if at is None else f"{datetime.fromtimestamp(at, zone):%Y-%m-%d %H:%M}"


def _json(key: ApiKey) -> dict[str, object]:
    return {
        "name": key.name,
        "state": _state(key),
        "scopes": sorted(key.scopes),
        "made_at": key.made_at,
        "used_at": key.used_at,
        "expires_at": key.expires_at,
    }
