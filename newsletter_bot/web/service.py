"""The public web's server: in a thread of the service, stopped gracefully."""

from __future__ import annotations

import errno
import socket
import threading

import uvicorn
from fastapi import FastAPI

from newsletter_bot.errors import ConfigurationError, TryAgainError
from newsletter_bot.settings.service import WebTable

_STOP = 8  # seconds that answers under way get
_HEAD = 16 * 1024  # bytes of a request's line and headers
_AT_ONCE = 500  # connections; one more is answered 503


class PublicServer:
    """Serves an app of `make_public`; raises TryAgainError when its port is taken."""

    def __init__(self, app: FastAPI, table: WebTable) -> None:
        self._socket = _listen(table)
        config = uvicorn.Config(
            app,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,  # addresses of pages are tokens
            server_header=False,
            proxy_headers=True,
            forwarded_allow_ips=list(table.trusted_proxies),
            timeout_keep_alive=10,
            timeout_graceful_shutdown=_STOP,
            h11_max_incomplete_event_size=_HEAD,
            limit_concurrency=_AT_ONCE,
        )
        self._server = uvicorn.Server(config)
        # A thread other than the main one: the library leaves signals alone there.
        self._thread = threading.Thread(target=self._serve, name="web", daemon=True)

    @property
    def address(self) -> str:
        """Where it listens."""
        host, port = self._socket.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def begin_to_stop(self) -> None:
        """Take no more requests; answers under way come to their end."""
        self._server.should_exit = True

    def stop(self) -> None:
        """Wait for answers under way, and close the port."""
        self.begin_to_stop()
        self._thread.join(_STOP + 2)
        self._socket.close()

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])


def _listen(table: WebTable) -> socket.socket:
    family = socket.AF_INET6 if ":" in table.host else socket.AF_INET
    try:
        return socket.create_server((table.host, table.port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise TryAgainError(
                f"Port {table.port} is in use, perhaps by another `run`.",
                "Stop that one, or set web.port in newsletter.toml.",
            ) from error
        raise ConfigurationError(
            f"web.host {table.host}, web.port {table.port}: {error.strerror or error}.",
            "Correct [web] in newsletter.toml.",
        ) from error
