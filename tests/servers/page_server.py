"""A web server for pages and feeds, which behaves badly when it is told to."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Page:
    content: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    endless: bool = False  # its content again and again, for ever
    slow: float = 0.0  # seconds between two bytes


class PageServer:
    """Pages by path; `asked` are the requests' paths and headers."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: list[tuple[str, Mapping[str, str]]] = []
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def page_server() -> Iterator[PageServer]:
    server = PageServer()
    try:
        yield server
    finally:
        server.stop()


class _Handler(BaseHTTPRequestHandler):
    owner: PageServer

    def do_GET(self) -> None:
        self.owner.asked.append((self.path, dict(self.headers)))
        page = self.owner.pages.get(self.path, Page(status=404))
        etag = page.headers.get("ETag")
        if etag and self.headers.get("If-None-Match") == etag:
            self.send_response(304)
            self.end_headers()
            return
        self.send_response(page.status)
        for name, value in page.headers.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self._write(page)

    def _write(self, page: Page) -> None:
        if page.slow:
            for byte in page.content:
                self.wfile.write(bytes([byte]))
                time.sleep(page.slow)
        while page.endless:
            self.wfile.write(page.content)
        if not page.slow:
            self.wfile.write(page.content)

    def log_message(self, *_arguments: object) -> None:
        pass
