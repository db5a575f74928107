"""A public server with an app that says what reached it, and clients that write raw bytes."""

from __future__ import annotations

import asyncio
import json
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from newsletter_bot.settings.service import WebTable
from newsletter_bot.web.serving.crowd import Bounds
from newsletter_bot.web.serving.service import PublicServer

LONG = 8 * 1024 * 1024  # bytes: more than the kernel's buffers on both sides take


class Echo:
    """Answers with what it was asked, and remembers how many requests it heard of."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.go_on = threading.Event()
        self.go_on.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.heard.append(scope["path"])
        message = await receive()
        assert not message.get("more_body"), "it was read to its end"
        await asyncio.to_thread(self.go_on.wait)
        shown = {
            "method": scope["method"],
            "path": scope["path"],
            "client": scope["client"][0],
            "scheme": scope["scheme"],
            "body": message.get("body", b"").decode("latin-1"),
            "headers": [name.decode() for name, _ in scope["headers"]],
        }
        body = b"x" * LONG if scope["path"] == "/long" else json.dumps(shown).encode()
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        for at in range(0, len(body), 65536):
            piece = body[at : at + 65536]
            more = at + 65536 < len(body)
            await send({"type": "http.response.body", "body": piece, "more_body": more})


class Connect:
    """Opens connections to a server: `connect()`, or `connect("127.0.0.2", window=4096)`."""

    def __init__(self, server: PublicServer) -> None:
        self.end = server.stop
        self.port = int(server.address.rsplit(":", 1)[1].rstrip("/"))
        self._opened: list[Wire] = []

    def __call__(self, source: str = "127.0.0.1", window: int = 0) -> Wire:
        self._opened.append(Wire(self.port, source, window))
        return self._opened[-1]

    def close(self) -> None:
        """Close them all."""
        for one in self._opened:
            one.close()


@contextmanager
def serving(
    app: ASGIApp, bounds: Bounds | None = None, trusted: tuple[str, ...] = ("127.0.0.1",)
) -> Iterator[Connect]:
    """Run a public server on a free port of this machine; yields what opens connections."""
    table = WebTable(port=0, trusted_proxies=trusted)
    server = PublicServer(app, table, bounds)
    server.start()
    connect = Connect(server)
    try:
        yield connect
    finally:
        server.stop()
        connect.close()


class Wire:
    """A connection that is written to, and read, byte by byte."""

    def __init__(self, port: int, source: str = "127.0.0.1", window: int = 0) -> None:
        self._socket = socket.socket()
        if window:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self._socket.settimeout(60)
        self._socket.bind((source, 0))
        self._buffer = b""
        try:
            self._socket.connect(("127.0.0.1", port))
        except OSError:
            self._socket.close()
            raise

    def send(self, data: bytes) -> Wire:
        """Write bytes; a server that has closed already is no error."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(data)
        return self

    def everything(self) -> bytes:
        """Read until the server closes; a reset is an end too."""
        while piece := self._receive():
            self._buffer += piece
        return self._buffer

    def answer(self) -> tuple[int, bytes]:
        """Read one answer; returns its status and body."""
        head, _, _ = self._until(b"\r\n\r\n").partition(b"\r\n\r\n")
        status = int(head.split()[1])
        found = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
        length = int(found[0].split(b":")[1]) if found else 0
        self._buffer = self._buffer[len(head) + 4 :]
        while len(self._buffer) < length and (piece := self._receive()):
            self._buffer += piece
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return status, body

    def said(self) -> Any:
        """Read one answer of Echo."""
        status, body = self.answer()
        assert status == 200, body
        return json.loads(body)

    def read(self, most: int) -> bytes:
        """Read a little."""
        return self._socket.recv(most)

    def wait_for_end(self) -> None:
        """Wait until the server has let go of the connection, reading nothing."""
        watch = select.poll()
        watch.register(self._socket, select.POLLHUP | select.POLLERR)
        assert watch.poll(60_000)

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            piece = self._receive()
            if not piece:
                raise EOFError(self._buffer)
            self._buffer += piece
        return self._buffer

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(65536)
        except ConnectionResetError:
            return b""
