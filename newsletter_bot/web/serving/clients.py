"""One connection to the public web: nothing is heard before it has arrived whole, and in time.

uvicorn's protocol (0.54, httptools) has no limit on the size of a request's head and none on the
time that head or body may take, and it starts an app before the body is there. Here a request is
read to its end first, so that a slow client costs a socket and nothing else, and what is longer,
slower or stranger than any browser, mail program or proxy would send ends in an answer that says
so. What could be read in two ways (RFC 9112 sections 3.2, 5.2, 6.3 and 11.2) is refused: llhttp
does most of it, `_refusal_of` the rest.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from http import HTTPStatus
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from newsletter_bot.web.serving.corked import Corked
from newsletter_bot.web.serving.crowd import Crowd

_RESET = struct.pack("ii", 1, 0)  # linger, for no time
_VERSIONS = frozenset({"1.0", "1.1"})


class _RefusedError(Exception):
    """Ends the parser's work within one of its callbacks."""


class Client(HttpToolsProtocol):
    """A connection, bounded by what its crowd allows."""

    def __init__(self, *arguments: Any, crowd: Crowd, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._crowd = crowd
        self._corked: Corked
        self._bounds = crowd.bounds
        self.peer = ""
        self.url = b""  # nothing was asked for yet
        self._since = 0.0  # when it began to wait for what it waits for
        self._late_at: float | None = None  # when what is being read must have arrived
        self._stalled_at: float | None = None  # since when an answer does not get away
        self._refused = False
        self._status = HTTPStatus.BAD_REQUEST  # of a refusal
        self._in_head = False
        self._in_body = False
        self._head = 0  # bytes of the head that is being read, at least
        self._fields = 0
        self._given = 0  # bytes of its fields
        self._body = 0
        self._held: tuple[RequestResponseCycle, Any] | None = None  # until its body is there

    # ── the connection ───────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, when there is room."""
        self._corked = Corked(transport)
        super().connection_made(cast("asyncio.Transport", self._corked))
        self.peer = self.client[0] if self.client else ""
        self._wait(self._bounds.head_time)
        if not self._crowd.admit(self):
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._crowd.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; a request that has arrived whole is answered."""
        self._unset_keepalive_if_required()
        if self._refused:
            return
        if self._late_at is None and not self._is_answering():
            self._wait(self._bounds.head_time)
        self._head += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._ignore_upgrade()
        except httptools.HttpParserError:
            self._refuse(self._status)
        else:
            if self._in_head and self._head > self._bounds.head:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def shutdown(self) -> None:
        """End after the answers that are under way; a request that is half here gets none."""
        if self._is_answering():
            super().shutdown()
        else:
            self.drop()

    def drop(self) -> None:
        """Close at once, without an answer; what was not sent yet is thrown away."""
        connection = self.transport.get_extra_info("socket")
        if connection is not None:
            # Otherwise the kernel goes on offering it, and keeps it in memory, for minutes.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    # ── times ────────────────────────────────────────────────────────────────────────────────

    def look(self, now: float) -> None:
        """End what takes too long."""
        if self._late_at is not None and now > self._late_at:
            self._be_late()
        elif self.transport.is_closing() and self._stalled_at is None:
            self._stalled_at = now
        elif self._stalled_at is not None and now > self._stalled_at + self._bounds.stall_time:
            self.drop()

    def pause_writing(self) -> None:
        """Remember since when the client does not take what it asked for."""
        super().pause_writing()
        self._stalled_at = self.loop.time()

    def resume_writing(self) -> None:
        """Begin to count anew."""
        super().resume_writing()
        self._stalled_at = None

    def on_response_complete(self) -> None:
        """Wait for the next request, unless it is here already."""
        self._corked.flush()
        self._crowd.shorten(self)
        super().on_response_complete()
        if self._late_at is None and not self._is_answering():
            self._since = self.loop.time()

    @property
    def waiting_since(self) -> float | None:
        """When it began to wait for a request, or for more of it; None while it answers."""
        return None if self._is_answering() else self._since

    def _wait(self, patience: float) -> None:
        self._since = self.loop.time()
        self._late_at = self._since + patience

    def _be_late(self) -> None:
        if self._refused or not (self._in_head or self._in_body):
            self.drop()
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)

    def _is_answering(self) -> bool:
        """Tell whether an app works on an answer."""
        newest: RequestResponseCycle | None = self.cycle
        if newest is None or (self._held and newest is self._held[0]):
            return bool(self.pipeline)
        return bool(self.pipeline) or not newest.response_complete

    # ── a request, as the parser reads it ────────────────────────────────────────────────────

    def on_message_begin(self) -> None:
        """Begin to read a head."""
        super().on_message_begin()
        if self._fields or self._body or self._in_body:
            self._head = 0  # what arrived with it belongs to the request before
        self._in_head, self._in_body = True, False
        self._fields = self._given = self._body = 0
        self._wait(self._bounds.head_time)

    def on_url(self, url: bytes) -> None:
        """Read a piece of the target."""
        super().on_url(url)
        if len(self.url) > self._bounds.target:
            self._stop(HTTPStatus.REQUEST_URI_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Read a header; fields behind the body are for nobody here, and must not pass for one."""
        self._fields += 1
        self._given += len(name) + len(value)
        if self._fields > self._bounds.fields or self._given > self._bounds.head:
            self._stop(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if not self._in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Look at the head before anything is done about it."""
        refusal = self._refusal_of()
        if refusal is not None:
            self._stop(refusal)
        self._in_head, self._in_body = False, True
        self._wait(self._bounds.body_time)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Read a piece of the body."""
        self._body += len(body)
        if self._body > self._longest:
            self._stop(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if self._body > self._bounds.body and not self._crowd.admit_long(self, self._body):
            self._stop(HTTPStatus.SERVICE_UNAVAILABLE)
        super().on_body(body)
        self.flow.resume_reading()  # the library waits for an app, which waits for the whole body

    def on_message_complete(self) -> None:
        """Answer what has arrived whole."""
        super().on_message_complete()
        self._in_body = False
        self._late_at = None
        if self._held is not None and self._held[0] is self.cycle:
            (cycle, app), self._held = self._held, None
            super()._start_asgi_task(cycle, app)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if not cycle.more_body:
            super()._start_asgi_task(cycle, app)
            return
        self._held = (cycle, app)
        if cycle.waiting_for_100_continue:
            cycle.waiting_for_100_continue = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _refusal_of(self) -> HTTPStatus | None:
        """Return why this head is refused: it has two readings, or its body is too long."""
        fields = [(name, value) for name, value in self.headers if name in _FRAMING]
        version = self.parser.get_http_version()
        hosts = sum(name == b"host" for name, _ in fields)
        codings = [value.lower() for name, value in fields if name == b"transfer-encoding"]
        if version not in _VERSIONS or hosts > 1 or (version == "1.1" and not hosts):
            return HTTPStatus.BAD_REQUEST
        if codings and (codings != [b"chunked"] or version == "1.0"):
            return HTTPStatus.BAD_REQUEST
        if len(self.pipeline) >= self._bounds.queue:
            return HTTPStatus.TOO_MANY_REQUESTS
        lengths = [int(value) for name, value in fields if name == b"content-length"]
        if self.parser.should_upgrade() and (codings or any(lengths)):
            return HTTPStatus.BAD_REQUEST  # llhttp would not read its body
        too_long = any(length > self._longest for length in lengths)
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE if too_long else None

    @property
    def _longest(self) -> int:
        """How long this request's body may be."""
        to_hook = self.url.startswith(_HOOKS)
        return self._bounds.long_body if to_hook else self._bounds.body

    def _ignore_upgrade(self) -> None:
        # Answered as if it had asked for nothing; the parser reads no further request after it.
        if self.cycle is not None:
            self.cycle.keep_alive = False

    # ── refusals ─────────────────────────────────────────────────────────────────────────────

    def _stop(self, status: HTTPStatus) -> None:
        self._status = status
        raise _RefusedError

    def _refuse(self, status: HTTPStatus) -> None:
        """Say why, and close once the client has had time to read it."""
        self._refused = True
        if self._is_answering() or self.transport.is_closing():
            self.drop()
            return
        self._late_at = self.loop.time() + self._bounds.linger_time
        self.transport.write(_refusal(status, to_program=self.url.startswith(_API)))
        # Closing now would make the kernel throw away what the client has not read yet.
        self.transport.write_eof()


_API = b"/api/"  # where programs ask
_HOOKS = b"/hooks/"  # where providers tell
_FRAMING = frozenset({b"host", b"content-length", b"transfer-encoding"})


def _refusal(status: HTTPStatus, *, to_program: bool) -> bytes:
    kind, words = "text/plain; charset=utf-8", f"{status.phrase}\n"
    if to_program:  # RFC 9457 section 4.2.1: no more to say than the status does
        problem = {
            "type": "about:blank",
            "title": status.phrase,
            "status": status.value,
            "detail": status.description or status.phrase,
        }
        kind, words = "application/problem+json", json.dumps(problem)
    return (
        f"HTTP/1.1 {status} {status.phrase}\r\n"
        f"content-type: {kind}\r\n"
        f"content-length: {len(words)}\r\n"
        "content-security-policy: default-src 'none'; frame-ancestors 'none'\r\n"
        "x-content-type-options: nosniff\r\n"
        "cache-control: no-store\r\n"
        "retry-after: 10\r\n"
        f"connection: close\r\n\r\n{words}"
    ).encode("ascii")
