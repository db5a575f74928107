"""A real HTTP server that behaves like a provider of mail, and badly when it is told to.

What one provider does stands in a file of its own, `tests/servers/providers/NAME.py`, found by the
contract kit (tests/delivery/transports/test_providers.py). It offers a class `Fake`, as `Behaviour`
says.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import pkgutil
import socket
import struct
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol


@dataclass(frozen=True)
class Call:
    """A request as it came; names of headers in lower case."""

    method: str
    path: str  # without the query
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    status: int = 200
    content: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)


def reply(status: int, document: object, **headers: str) -> Reply:
    return Reply(status, json.dumps(document).encode(), headers)


@dataclass(frozen=True)
class Taken:
    """One message that the provider took, in words of its own; it will be delivered."""

    recipient: str  # the bare address
    headers: Mapping[str, str]  # those a reader gets, lower case: subject and list-* among them
    text: str
    html: str
    reference: str  # what its events will carry back
    tracked: bool  # whether the provider would rewrite links or add a pixel


class Behaviour(Protocol):
    """One provider, as its document says; used by several threads, one call at a time.

    A recipient whose address begins with `refused` is one that it refuses for that reader alone,
    one that begins with `later` one that it puts off, where it can.
    """

    path: str
    """Where messages are handed over: only such calls meet a fault."""
    taken: list[Taken]

    def options(self, url: str) -> dict[str, Any]:
        """Return options of the transport that work with this server at `url`."""
        ...

    def wrong(self, url: str) -> dict[str, Any]:
        """Return options with a credential that is refused."""
        ...

    def secrets(self) -> list[str]:
        """Return all that must never be seen in a reason or a log, right and wrong ones."""
        ...

    def answer(self, call: Call) -> Reply:
        """Check who asks and what; take the messages; answer."""
        ...

    def too_many(self, seconds: int) -> Reply:
        """Say that the rate is exceeded, with the wait where this provider tells it."""
        ...

    def fewer(self, good: Reply) -> Reply | None:
        """Return a good answer that says one result too few; None where there is but one."""
        ...


class Fault(StrEnum):
    """What the next call that hands messages over meets."""

    TOO_MANY = "429"
    BROKEN = "500"  # taken all the same
    HANG_BEFORE = "hang before the body is read"
    HANG_AFTER = "hang once the messages are taken"
    CLOSE_BEFORE = "hang up before the body is read"
    CLOSE_AFTER = "hang up once the messages are taken"
    HTML = "a page"  # taken all the same, as all below
    TRUNCATED = "half an answer"
    FEWER = "one result too few"


class ProviderServer:
    """`calls` are all that arrived; `faults` what the next that hand messages over meet."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.calls: list[Call] = []
        self.faults: deque[Fault] = deque()
        self.wait = 1  # seconds that a 429 asks for
        self.lock = threading.Lock()
        self.release = threading.Event()  # ends all that hangs
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def handed_over(self) -> list[Call]:
        """The calls that handed messages over."""
        return [one for one in self.calls if self._counts(one.method, one.path)]

    @property
    def taken(self) -> list[Taken]:
        return self.behaviour.taken

    def stop(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()

    def fault(self, method: str, path: str) -> Fault | None:
        with self.lock:
            return self.faults.popleft() if self.faults and self._counts(method, path) else None

    def answer(self, call: Call) -> Reply:
        with self.lock:
            self.calls.append(call)
            return self.behaviour.answer(call)

    def _counts(self, method: str, path: str) -> bool:
        return method == "POST" and path == self.behaviour.path


@contextlib.contextmanager
def provider_server(behaviour: Behaviour) -> Iterator[ProviderServer]:
    server = ProviderServer(behaviour)
    try:
        yield server
    finally:
        server.stop()


def fakes() -> list[str]:
    """Return the names of the providers that there is a fake of."""
    return sorted(one.name for one in pkgutil.iter_modules(__path__))


def fake(name: str) -> Behaviour:
    made: Behaviour = importlib.import_module(f"{__name__}.{name}").Fake()
    return made


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 100

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a caller who hangs up


class _Handler(BaseHTTPRequestHandler):
    owner: ProviderServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        fault = self.owner.fault(self.command, path)
        try:
            if fault in {Fault.HANG_BEFORE, Fault.CLOSE_BEFORE}:
                self._vanish(hang=fault is Fault.HANG_BEFORE)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self._react(Call(self.command, path, query, headers, body), fault)
        except OSError:
            self.close_connection = True

    def _react(self, call: Call, fault: Fault | None) -> None:
        if fault is Fault.TOO_MANY:
            with self.owner.lock:
                self.owner.calls.append(call)
            self._answer(self.owner.behaviour.too_many(self.owner.wait))
            return
        good = self.owner.answer(call)
        if fault in {Fault.HANG_AFTER, Fault.CLOSE_AFTER}:
            self._vanish(hang=fault is Fault.HANG_AFTER)
        else:
            self._answer(self._spoilt(good, fault))

    def _spoilt(self, good: Reply, fault: Fault | None) -> Reply:
        match fault:
            case Fault.BROKEN:
                return reply(500, {"message": "Internal server error"})
            case Fault.HTML:
                return Reply(good.status, b"<!doctype html><title>Welcome</title>")
            case Fault.TRUNCATED:
                return Reply(good.status, good.content[: len(good.content) // 2])
            case Fault.FEWER:
                return self.owner.behaviour.fewer(good) or good
            case _:
                return good

    def _answer(self, found: Reply) -> None:
        self.send_response(found.status)
        for name, value in found.headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "content_type" not in found.headers:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(found.content)))
        self.end_headers()
        self.wfile.write(found.content)

    def _vanish(self, *, hang: bool) -> None:
        if hang:
            self.owner.release.wait(60)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, *_arguments: object) -> None:
        pass
