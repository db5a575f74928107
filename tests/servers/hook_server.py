"""Endpoints that take webhooks, and behave badly when they are told to: one for each path."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.servers.certificates import Identity


@dataclass(frozen=True)
class Reply:
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    # "endless": content for ever; "drip": headers for ever, byte by byte; "reset": none at all;
    # "hang": nothing, until the server is told to `release`
    manner: str = ""


@dataclass(frozen=True)
class Call:
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class HookServer:
    """`calls` are what arrived; `replies` what a path answers, one after the other, then 200."""

    def __init__(self, tls: Identity | None = None) -> None:
        self.calls: list[Call] = []
        self.replies: dict[str, list[Reply]] = defaultdict(list)
        self.always: dict[str, Reply] = {}
        self.delay: dict[str, float] = {}
        self.most_at_once: dict[str, int] = defaultdict(int)
        self.under_way: dict[str, int] = defaultdict(int)
        self.lock = threading.Lock()
        self.release = threading.Event()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.certificate, tls.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._scheme = "http" if tls is None else "https"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"{self._scheme}://{host}:{self._server.server_port}/{path}"

    def to(self, path: str) -> list[Call]:
        return [one for one in self.calls if one.path == f"/{path}"]

    def stop(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def hook_server(tls: Identity | None = None) -> Iterator[HookServer]:
    server = HookServer(tls)
    try:
        yield server
    finally:
        server.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 100

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a caller who hangs up, or will not have our certificate


class _Handler(BaseHTTPRequestHandler):
    owner: HookServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        owner, path = self.owner, self.path.lstrip("/")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        call = Call(self.path, dict(self.headers), body, time.time())
        with owner.lock:
            owner.calls.append(call)
            owner.under_way[path] += 1
            now = owner.under_way[path]
            owner.most_at_once[path] = max(now, owner.most_at_once[path])
            waiting = owner.replies[path]
            reply = waiting.pop(0) if waiting else owner.always.get(path, Reply())
        try:
            time.sleep(owner.delay.get(path, 0))
            self._answer(reply)
        except OSError:
            self.close_connection = True
        finally:
            with owner.lock:
                owner.under_way[path] -= 1

    def _answer(self, reply: Reply) -> None:
        if reply.manner == "hang":
            self.owner.release.wait(60)
        if reply.manner == "reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
            self.close_connection = True
            return
        if reply.manner == "drip":
            self._drip()
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.manner != "endless":
            self.send_header("Content-Length", str(len(reply.content)))
        self.end_headers()
        while reply.manner == "endless" and not self.owner.release.is_set():
            self.wfile.write(b"x" * 10_000)
        self.wfile.write(reply.content)

    def _drip(self) -> None:
        for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Slow: x\r\n" * 1000:
            self.wfile.write(bytes([byte]))
            if self.owner.release.wait(0.1):
                return

    def log_message(self, *_arguments: object) -> None:
        pass
