"""The preview: serves one issue to the editor's browser until Ctrl-C."""

from __future__ import annotations

import errno
import socket
import webbrowser

import click
import uvicorn
from rich.markup import escape

from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.errors import TryAgainError
from newsletter_bot.web.preview import make_app


@click.command()
@click.argument("issue")
@click.option("--port", default=8025, show_default=True, help="Where to listen; 0 for any port.")
@click.option("--open", "open_browser", is_flag=True, help="Open it in a browser.")
@pass_session
def preview(session: Session, issue: str, port: int, *, open_browser: bool) -> None:
    """Show ISSUE as mail and page in a browser, anew after every save."""
    path = session.bot.find(issue)
    listening = _listen(port)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
    session.emit({"url": url})
    session.console.print(f"Preview of {escape(str(path))}: [bold]{url}[/]  (Ctrl-C ends it)")
    if open_browser:
        webbrowser.open(url)
    app = make_app(session.bot.settings.folder, path)
    server = _Server(
        uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1, lifespan="on")
    )
    server.run(sockets=[listening])
    session.console.print("Preview ended.")


class _Server(uvicorn.Server):
    """Ends the open event streams as soon as it is told to stop, so that Ctrl-C is quick."""

    def handle_exit(self, sig: int, frame: object) -> None:
        """Note the signal."""
        self.config.app.state.watch.stop()  # type: ignore[union-attr]
        self.should_exit = True
        del sig, frame


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        busy = error.errno == errno.EADDRINUSE
        reason = "is in use by another program" if busy else f"cannot be used ({error.strerror})"
        raise TryAgainError(
            f"Port {port} {reason}.", "End that program, or choose: preview ISSUE --port 0."
        ) from error
