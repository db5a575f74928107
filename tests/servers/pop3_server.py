"""A small POP3 server (RFC 1939, 2449, 2595) whose mailbox a test can see and spoil."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field

from tests.servers.imap_server import PASSWORD, USER
from tests.servers.line_server import Conversation, DroppedError, LineServer


@dataclass
class Drop:
    mails: dict[str, bytes] = field(default_factory=dict)  # by UIDL
    following: int = 1

    def add(self, body: bytes) -> None:
        self.mails[f"uidl-{self.following}"] = body
        self.following += 1


class Pop3Server(LineServer):
    def __init__(self, tls: ssl.SSLContext | None = None, *, implicit: bool = False) -> None:
        self.drop = Drop()
        self.knows_top = True
        super().__init__(lambda: _Pop3(self), tls, implicit=implicit)


class _Pop3:
    def __init__(self, server: Pop3Server) -> None:
        self.server = server
        self.names = list(server.drop.mails)
        self.gone: set[str] = set()

    def greeting(self) -> bytes:
        return b"+OK ready"

    def answer(self, talk: Conversation, line: str) -> None:
        verb, _, rest = line.partition(" ")
        method = getattr(self, f"_{verb.lower()}", None)
        if method is None:
            talk.say(b"-ERR unknown command")
        else:
            method(talk, rest)

    def _capa(self, talk: Conversation, _rest: str) -> None:
        talk.say(b"+OK", *([b"STLS"] if self.server.tls else []), b"UIDL", b".")

    def _stls(self, talk: Conversation, _rest: str) -> None:
        talk.start_tls(injected=b"", reply=b"+OK go on")

    def _user(self, talk: Conversation, rest: str) -> None:
        talk.user = rest
        talk.say(b"+OK")

    def _pass(self, talk: Conversation, rest: str) -> None:
        good = (talk.user, rest) == (USER, PASSWORD)
        talk.say(b"+OK" if good else b"-ERR [AUTH] wrong password")

    def _uidl(self, talk: Conversation, _rest: str) -> None:
        lines = [f"{at} {name}".encode() for at, name in enumerate(self.names, 1)]
        talk.say(b"+OK", *lines, b".")

    def _list(self, talk: Conversation, rest: str) -> None:
        talk.say(b"+OK %d %d" % (int(rest), len(self._body(rest))))

    def _body(self, number: str) -> bytes:
        return self.server.drop.mails[self.names[int(number) - 1]]

    def _retr(self, talk: Conversation, rest: str) -> None:
        self._send(talk, self._body(rest).splitlines())

    def _top(self, talk: Conversation, rest: str) -> None:
        if not self.server.knows_top:
            talk.say(b"-ERR unknown command")
            return
        number, _, count = rest.partition(" ")
        lines = self._body(number).splitlines()
        self._send(talk, lines[: lines.index(b"") + 1 + int(count)])

    @staticmethod
    def _send(talk: Conversation, lines: list[bytes]) -> None:
        talk.say(b"+OK", *((b"." if one.startswith(b".") else b"") + one for one in lines), b".")

    def _dele(self, talk: Conversation, rest: str) -> None:
        self.gone.add(self.names[int(rest) - 1])
        talk.say(b"+OK")

    def _quit(self, talk: Conversation, _rest: str) -> None:
        for name in self.gone:
            del self.server.drop.mails[name]
        talk.say(b"+OK")
        raise DroppedError
