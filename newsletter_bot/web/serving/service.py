"""The public web's server: in a thread of the service, stopped gracefully."""

from __future__ import annotations

import asyncio
import errno
import functools
import socket
import threading
from typing import Any

import anyio.to_thread
import uvicorn
from starlette.types import ASGIApp

from newsletter_bot.errors import ConfigurationError, TryAgainError
from newsletter_bot.settings.service import WebTable
from newsletter_bot.web.serving.clients import Client
from newsletter_bot.web.serving.crowd import Bounds, Crowd, TrustedProxies
from newsletter_bot.web.serving.forwarded import Believing

_STOP = 8  # seconds that answers under way get
_THREADS = 24  # for what waits for the database; more would wait for each other


class PublicServer:
    """Serves an app of `make_public`; raises TryAgainError when its port is taken."""

    def __init__(self, app: ASGIApp, table: WebTable, bounds: Bounds | None = None) -> None:
        trusted = _trusted(table)
        self._socket = _listen(table)
        crowd = Crowd(bounds or Bounds(), trusted)
        protocol: Any = functools.partial(Client, crowd=crowd)
        config = uvicorn.Config(
            Believing(app, trusted),
            http=protocol,
            loop="uvloop",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,  # addresses of pages are tokens
            server_header=False,
            proxy_headers=False,  # Believing does it
            timeout_keep_alive=crowd.bounds.idle_time,
            timeout_graceful_shutdown=_STOP,
        )
        self._server = _Server(config, crowd)
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


class _Server(uvicorn.Server):
    """Minds, several times a second, that nobody takes too long."""

    def __init__(self, config: uvicorn.Config, crowd: Crowd) -> None:
        super().__init__(config)
        self._crowd = crowd

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        anyio.to_thread.current_default_thread_limiter().total_tokens = _THREADS
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        self._crowd.drop_all()
        await asyncio.sleep(0)  # in which they are closed

    async def on_tick(self, counter: int) -> bool:
        self._crowd.look(asyncio.get_running_loop().time())
        return await super().on_tick(counter)


def _trusted(table: WebTable) -> TrustedProxies:
    try:
        return TrustedProxies(table.trusted_proxies)
    except ValueError as error:
        raise ConfigurationError(
            f"web.trusted_proxies: {error}.",
            "Write addresses and networks, such as 127.0.0.1 or 10.0.0.0/8.",
        ) from error


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
