"""What every command shares: the newsletter's folder, the way of output, the Bot when asked for."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from newsletter_bot.bot import Bot


@dataclass
class Session:
    """One run of the command line; `bot` is opened on first use and closed at the end."""

    folder: Path = field(default_factory=Path)
    json: bool = False

    @cached_property
    def console(self) -> Console:
        """For people: standard output, or standard error when that belongs to a JSON document."""
        return Console(stderr=self.json, highlight=False, soft_wrap=True)

    @cached_property
    def bot(self) -> Bot:
        """The wired newsletter of this folder."""
        bot = Bot.open(self.folder)
        click.get_current_context().find_root().call_on_close(bot.close)
        return bot

    def emit(self, value: dict[str, Any]) -> None:
        """Print the command's one JSON document, when JSON was asked for."""
        if self.json:
            click.echo(json.dumps(value, ensure_ascii=False, indent=2))


pass_session = click.make_pass_decorator(Session, ensure=True)
