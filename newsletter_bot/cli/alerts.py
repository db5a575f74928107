"""What operators are told: alerts test."""

from __future__ import annotations

import click

from newsletter_bot.alerts import Alerts
from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.errors import ConfigurationError, TryAgainError


@click.group()
def alerts() -> None:
    """Messages to operators when something needs them."""


@alerts.command()
@pass_session
def test(session: Session) -> None:
    """Send a test alert to every address of [alerts]."""
    bot = session.bot
    told = Alerts(bot.engine, bot.settings.alerts, bot.settings.folder)
    addresses = told.addresses()
    if not addresses:
        raise ConfigurationError(
            "There is nobody to tell.",
            "Set NEWSLETTER_BOT_ALERTS__URLS or alerts.urls_file: see docs/operations.md.",
        )
    name = bot.settings.newsletter.name
    if not told.send(addresses, f"A test from {name}", "If you read this, alerts arrive."):
        raise TryAgainError(
            f"Not all of {len(addresses)} addresses took the test alert.",
            "Check them one by one: https://appriseit.com lists how each service is written.",
        )
    session.emit({"told": len(addresses)})
    session.console.print(f"[green]✓[/] handed over to {len(addresses)}")
