"""Commands on channels: list, connect."""

from __future__ import annotations

from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from newsletter_bot import settings as configuration
from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.crosspost.calls import ChannelError
from newsletter_bot.crosspost.channels import kinds
from newsletter_bot.errors import ConfigurationError, TryAgainError, UsageError


@click.group()
def channels() -> None:
    """Places other than mail."""


@channels.command(name="list")
@pass_session
def list_(session: Session) -> None:
    """List every channel with its price, and what a lost reply means."""
    found = kinds()
    session.emit(
        {
            "channels": [
                {
                    "name": name,
                    "description": kind.description,
                    "idempotency": kind.idempotency,
                    "price": kind.price,
                    "options": sorted(kind.Options.model_fields),
                }
                for name, kind in found.items()
            ]
        }
    )
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("Channel", no_wrap=True)
    for column in ("What it is", "When a reply is lost", "Price"):
        table.add_column(column)
    for name, kind in found.items():
        words = (kind.description, kind.idempotency, kind.price)
        table.add_row(name, *(escape(word) for word in words))
    session.console.print(table)
    session.console.print("Their options: docs/channels.md")


@channels.command()
@click.argument("name")
@pass_session
def connect(session: Session, name: str) -> None:
    """Let this newsletter post with an account of NAME: x."""
    way = _way(session, name)
    request = way.begin()
    session.console.print("Open this address, and grant access:\n")
    session.console.print(escape(request.url))
    session.console.print(
        "\nYour browser then goes to a page that may not exist. Its address is what is needed."
    )
    redirected = click.prompt("Paste that address", hide_input=False, err=session.json)
    try:
        way.finish(request, redirected)
    except ChannelError as error:
        raise TryAgainError(
            error.reason, "A code works once, for half a minute: run the command again."
        ) from error
    session.emit({"channel": name, "connected": True})
    session.console.print(f"[green]✓[/] {escape(name)} is connected")


def _way(session: Session, name: str) -> Any:
    known = {one: kind for one, kind in kinds().items() if hasattr(kind, "connection")}
    if name not in known:
        raise UsageError(
            f"{name!r} is not a channel that is connected this way.",
            f"Those that are: {', '.join(known)}. Others need a token: see docs/channels.md.",
        )
    bot = session.bot
    desk = bot.crossposts
    options = configuration.read_options(
        known[name].Options,
        bot.settings.channels.get(name, {}),
        f"channels.{name}",
        bot.settings.folder,
    )
    if getattr(options, "client_id", None) is None:
        raise ConfigurationError(
            f"newsletter.toml: channels.{name}.client_id is needed to connect.",
            "Copy it from Keys and tokens of your app, OAuth 2.0; and set redirect_uri to one"
            " of the app's callback addresses.",
        )
    kind: Any = known[name]
    return kind.connection(options, desk.means(name))
