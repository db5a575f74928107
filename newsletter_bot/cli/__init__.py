"""The command line: click commands, one file per noun; rich for tables and progress."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from newsletter_bot import __version__
from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.errors import NewsletterError

# name → "module:attribute"; imported when the command runs, so that `--help` stays quick
COMMANDS = {
    "alerts": "alerts:alerts",
    "api-key": "api_keys:api_key",
    "approve": "schedule:approve",
    "archive": "archive:archive",
    "bounces": "bounces:bounces",
    "calendar": "schedule:calendar_",
    "cancel": "control:cancel",
    "channels": "channels:channels",
    "check": "issues:check",
    "clip": "collect:clip",
    "collect": "collect:collect",
    "crosspost": "crosspost:crosspost",
    "demo": "demo:demo",
    "digest": "digest:digest",
    "dkim": "dkim:dkim",
    "doctor": "doctor:doctor",
    "events": "events:events",
    "import": "issues:import_",
    "inbox": "collect:inbox",
    "init": "newsletter:init",
    "instance": "instance:instance",
    "new": "issues:new",
    "pause": "control:pause",
    "preview": "preview:preview",
    "proof": "sending:proof",
    "render": "issues:render",
    "report": "report:report",
    "resolve": "control:resolve",
    "resume": "control:resume",
    "retry": "control:retry",
    "run": "run:run",
    "schedule": "schedule:schedule",
    "segments": "segments:segments",
    "send": "sending:send",
    "sequences": "sequences:sequences",
    "simulate": "simulate:simulate",
    "status": "status:status",
    "subscribers": "subscribers:subscribers",
    "transports": "transports:transports",
    "unschedule": "schedule:unschedule",
    "webhooks": "webhooks:webhooks",
}


class LazyGroup(click.Group):
    """Commands found by name in `COMMANDS`, each module imported only when used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List what can be run."""
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module and return the command."""
        del ctx
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        found: click.Command = getattr(
            importlib.import_module(f"newsletter_bot.cli.{module}"), attribute
        )
        return found

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; an option of ours that was written behind it is told as such."""
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            name = error.option_name
            if not any(name in one.opts for one in self.params):
                raise
            place = f"It stands before the command: {ctx.info_name} {name} {ctx.invoked_subcommand}"
            raise click.UsageError(f"{error.message} {place} …", error.ctx) from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="newsletter-bot")
@click.option(
    "-C", "folder", type=click.Path(path_type=Path), default=Path(), help="The newsletter's folder."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
@pass_session
def app(session: Session, folder: Path, *, as_json: bool) -> None:
    """Check, render, send and archive a newsletter kept as files."""
    session.folder = folder
    session.json = as_json


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; every error we know becomes a sentence and an exit code."""
    try:
        app.main(arguments, prog_name="newsletter-bot", standalone_mode=True)
    except NewsletterError as error:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print(f"[bold red]error:[/] {escape(error.message)}")
        if error.next_step:
            console.print(f"[bold]next:[/]  {escape(error.next_step)}")
        sys.exit(error.exit_code)
