"""A real name server on this machine, which answers from a table or not at all."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

_TTL = 60


class NameServer:
    """`zone` holds records by name and type, as a zone file writes them; `asked` is what came."""

    def __init__(self) -> None:
        self.zone: dict[tuple[str, str], list[str]] = {}
        self.asked: list[tuple[str, str]] = []
        self.failing = False  # SERVFAIL, as a resolver says whose own question failed
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = socketserver.ThreadingUDPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def text(self, name: str, *values: str) -> None:
        """Publish TXT records, each in strings of at most 255 characters."""
        cut = [[one[at : at + 255] for at in range(0, len(one), 255)] for one in values]
        lines = [" ".join(f'"{part}"' for part in parts) for parts in cut]
        self.zone[name, "TXT"] = lines

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, query: dns.message.Message) -> dns.message.Message:
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        made = dns.message.make_response(query)
        made.flags |= dns.flags.RA
        if self.failing:
            made.set_rcode(dns.rcode.SERVFAIL)
        elif values := self.zone.get((name, kind)):
            made.answer.append(dns.rrset.from_text(question.name, _TTL, "IN", kind, *values))
        elif not any(known == name for known, _ in self.zone):
            made.set_rcode(dns.rcode.NXDOMAIN)
        return made


@contextlib.contextmanager
def name_server() -> Iterator[NameServer]:
    server = NameServer()
    try:
        yield server
    finally:
        server.stop()


class _Handler(socketserver.BaseRequestHandler):
    owner: NameServer

    def handle(self) -> None:
        data, sock = self.request
        made: Any = self.owner.answer(dns.message.from_wire(data))
        sock.sendto(made.to_wire(), self.client_address)
