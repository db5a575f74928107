"""A server of lines in threads of this process, which fails on order: see IMAP and POP3 beside."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol


class Fault(Enum):
    DROP = auto()  # the connection breaks off
    STALL = auto()  # nothing is said any more


class DroppedError(Exception):
    """This connection is over."""


@dataclass
class Rule:
    """What happens, so many times, instead of the answer to a command that matches.

    What is called, is called before the answer, which follows.
    """

    pattern: str
    replies: tuple[bytes | Fault | Callable[[], object], ...]
    times: int


class Protocolled(Protocol):
    def greeting(self) -> bytes: ...

    def answer(self, talk: Conversation, line: str) -> None: ...


class Conversation:
    """One connection."""

    def __init__(self, server: LineServer, connection: socket.socket) -> None:
        self.server = server
        self.connection = connection
        self.file = connection.makefile("rb")
        self.user = ""
        self.state: dict[str, str] = {}

    def say(self, *lines: bytes) -> None:
        self.connection.sendall(b"".join(line + b"\r\n" for line in lines))

    def hear(self) -> str:
        line = self.file.readline()
        if not line:
            raise DroppedError
        return line.decode("utf-8", "surrogateescape").rstrip("\r\n")

    def start_tls(self, *, injected: bytes, reply: bytes) -> None:
        self.connection.sendall(reply + b"\r\n" + injected)
        assert self.server.tls is not None
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.file = self.connection.makefile("rb")

    def obey(self, rule: Rule, tag: str) -> bool:
        """Do what the rule says; returns whether the command is answered by it."""
        for reply in rule.replies:
            if reply is Fault.STALL:
                self.server.ended.wait(60)
            if isinstance(reply, Fault):
                raise DroppedError
            if callable(reply):
                reply()
                return False
            self.connection.sendall(reply.replace(b"{tag}", tag.encode()))
        return True

    def run(self, protocol: Protocolled) -> None:
        self.say(protocol.greeting())
        while True:
            line = self.hear()
            self.server.heard.append(line)
            rule = self.server.rule_for(line)
            if rule is None or not self.obey(rule, line.partition(" ")[0]):
                protocol.answer(self, line)


class LineServer:
    """Listens on a free port of this machine until `close`."""

    def __init__(
        self,
        protocol: Callable[[], Protocolled],
        tls: ssl.SSLContext | None = None,
        *,
        implicit: bool = False,
    ) -> None:
        self.tls = tls
        self.rules: list[Rule] = []
        self.heard: list[str] = []
        self.ended = threading.Event()
        self._protocol = protocol
        self._implicit = implicit
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def fails(
        self,
        pattern: str,
        *replies: bytes | Fault | Callable[[], object],
        times: int = 10**9,
    ) -> None:
        self.rules.append(Rule(pattern, replies, times))

    def rule_for(self, line: str) -> Rule | None:
        for rule in self.rules:
            if rule.times > 0 and re.search(rule.pattern, line):
                rule.times -= 1
                return rule
        return None

    def close(self) -> None:
        if self.ended.is_set():
            return
        self.ended.set()
        self._socket.shutdown(socket.SHUT_RDWR)  # `accept` in the other thread would keep it open
        self._socket.close()

    def _listen(self) -> None:
        while not self.ended.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else 40 ms an answer
        try:
            if self._implicit:
                assert self.tls is not None
                connection = self.tls.wrap_socket(connection, server_side=True)
            talk = Conversation(self, connection)
            try:
                talk.run(self._protocol())
            finally:
                talk.file.close()
                talk.connection.close()
        except (DroppedError, OSError, ValueError):
            connection.close()
