"""The command that shows an issue in the browser while it is written: preview."""

from __future__ import annotations

import contextlib
import webbrowser

import click
from rich.markup import escape

from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.issues.find import find_issue
from newsletter_bot.web.previewing.preview import make_app
from newsletter_bot.web.previewing.server import PreviewServer, address, listen


@click.command()
@click.argument("issue")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8025,
    show_default=True,
    help="The port on this machine; 0 takes any free one.",
)
@click.option("--open", "in_browser", is_flag=True, help="Open the page in your browser.")
@pass_session
def preview(session: Session, issue: str, port: int, *, in_browser: bool) -> None:
    """Show ISSUE in the browser, anew after every save: mail, plain text, web page, checks."""
    # Not through the Bot: a broken newsletter.toml is shown in the page, where it can be mended.
    path = find_issue(session.folder, issue)
    with listen(port) as listening:
        url = address(listening)
        session.emit({"url": url})
        session.console.print(f"Preview of {escape(str(path))}: [link={url}]{url}[/link]")
        session.console.print("It follows every save. Stop it with Ctrl-C.")
        if in_browser:
            webbrowser.open(url)
        with contextlib.suppress(KeyboardInterrupt):  # which the server passes on, but not always
            PreviewServer(make_app(session.folder, path)).run(sockets=[listening])
        session.console.print("\nThe preview has stopped.")
