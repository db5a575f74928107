"""A web server for this machine alone, which stops at once even while event streams are open."""

from __future__ import annotations

import errno
import socket

import uvicorn
from fastapi import FastAPI

from newsletter_bot.errors import TryAgainError, UsageError

_HOST = "127.0.0.1"


def listen(port: int) -> socket.socket:
    """Open a port of this machine's own address (0: any free one); browsers may connect from here.

    Raises TryAgainError for a busy port, UsageError for one that may not be used.
    """
    try:
        return socket.create_server((_HOST, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise TryAgainError(
                f"Port {port} is in use, perhaps by another preview.",
                "Stop that one, or take any free port with --port 0.",
            ) from error
        raise UsageError(
            f"Port {port} cannot be used: {error.strerror}.", "Take any free port with --port 0."
        ) from error


def address(listening: socket.socket) -> str:
    """Return the address to open in a browser."""
    return f"http://{_HOST}:{listening.getsockname()[1]}/"


class PreviewServer(uvicorn.Server):
    """Serves an app of `make_app` until told to stop; `run` in the main thread minds Ctrl-C."""

    def __init__(self, app: FastAPI) -> None:
        quiet = uvicorn.Config(
            app, ws="none", lifespan="off", log_config=None, access_log=False, server_header=False
        )
        super().__init__(quiet)
        self._watch = app.state.watch

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End event streams first: the library waits for open answers without a limit."""
        self._watch.stop()
        await super().shutdown(sockets)
