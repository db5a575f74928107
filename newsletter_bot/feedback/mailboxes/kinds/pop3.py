"""POP3 (RFC 1939): mails are known again by their UIDL; they stay, unless you have them deleted."""

from __future__ import annotations

import contextlib
import poplib
import re
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from newsletter_bot.feedback.mailboxes import (
    LONGEST_KEPT,
    PORTION,
    Cursor,
    Desk,
    Found,
    MailboxError,
    cursor_of,
    names_at,
)
from newsletter_bot.feedback.mailboxes.mail_servers import (
    ANSWER,
    RefusedError,
    Server,
    ServerOptions,
    Wire,
    doubting,
    is_lasting,
    secret_of,
    server_of,
)

description = "A mailbox of a POP3 server; IMAP is better where there is a choice."

_PORTS = {"implicit": 995, "starttls": 110, "none": 110}
_LISTED = re.compile(rb"(\d{1,10}) ([!-~]{1,70})\s*")
_LISTING = 10_000_000  # bytes: some 200,000 mails
_WHOLE = 100_000_000  # bytes of a mail that are let pass by, where a server knows no TOP
_LINES = 13_000  # of a large mail: a megabyte in lines of base64


class Options(ServerOptions):
    """[[mailboxes]] kind = "pop3"."""

    delete: bool = False


def open_mailbox(options: Options, folder: Path) -> Pop3Mailbox:
    """Check what the options say together; raises ConfigurationError."""

    def password() -> str:
        return secret_of(options.password, options.password_file, folder, "password")

    return Pop3Mailbox(server_of(options, _PORTS), password, delete=options.delete)


class _Careful(poplib.POP3):
    """The standard library's client, whose lines may be long and whose answers may not.

    It knows no public way to read otherwise (Python 3.11 to 3.14): it refuses lines above 2048
    bytes, which bounces have, and takes answers without measure.
    """

    wire: Wire
    sock: Any
    kept = ANSWER

    def _getline(self) -> tuple[bytes, int]:
        line = self.wire.line(self.sock)
        if not line:
            raise poplib.error_proto("the server hung up")
        return line.rstrip(b"\r\n"), len(line)

    def _getlongresp(self) -> tuple[bytes, list[bytes], int]:
        first: bytes = self._getresp()  # type: ignore[attr-defined] # it has no public name
        lines: list[bytes] = []
        size = 0
        while (line := self._getline()[0]) != b".":
            if size < self.kept:
                lines.append(line[1:] if line.startswith(b"..") else line)
                size += len(lines[-1]) + 2
        return first, lines, size


class _Plain(_Careful):
    def __init__(self, server: Server) -> None:
        self.wire = Wire(server.timeout)
        super().__init__(server.host, server.port, timeout=server.timeout)


class _Tls(_Careful, poplib.POP3_SSL):
    def __init__(self, server: Server) -> None:
        self.wire = Wire(server.timeout)
        poplib.POP3_SSL.__init__(
            self,
            server.host,
            server.port,
            timeout=server.timeout,
            context=ssl.create_default_context(),
        )


@dataclass(frozen=True, slots=True)
class Pop3Mailbox:
    """A mailbox on a server; it has no folders to move mails into."""

    server: Server
    password: Callable[[], str]
    delete: bool

    def visit(self, cursor: Cursor, desk: Desk) -> None:
        """Keep what was not kept before; deleting, where it is configured, comes after."""
        with self._session() as client:
            listed = self._listing(client)
            known = names_at(cursor) & set(listed)
            for done, name in enumerate([one for one in listed if one not in known], 1):
                if done > desk.most or desk.ended():
                    desk.found.more = True
                    break
                body = self._body(client, listed[name], desk.found)
                if body is not None:
                    desk.take(body)
                    known.add(name)
                if done % PORTION == 0:
                    desk.save(cursor_of(known))
            desk.save(cursor_of(known))
            if self.delete:
                self._delete(client, [listed[one] for one in known], desk.found)

    def _ask(
        self, client: _Careful, step: str, command: Callable[..., Any], *words: Any, most: int
    ) -> Any:
        """Give a command; raises RefusedError for -ERR, MailboxError for anything unforeseen."""
        client.wire.allow(most)
        try:
            with doubting(self.server.where, step, poplib.error_proto):
                return command(*words)
        except MailboxError as error:
            said = getattr(error.__cause__, "args", None) or [b""]
            if isinstance(said[0], bytes) and said[0].startswith(b"-ERR"):
                raise RefusedError(error.reason) from error
            raise

    def _listing(self, client: _Careful) -> dict[str, int]:
        """Return the numbers of all mails by their UIDL; of doubles, the first."""
        client.kept = _LISTING
        _, lines, _ = self._ask(client, "UIDL", client.uidl, most=_LISTING)
        client.kept = LONGEST_KEPT
        found: dict[str, int] = {}
        for one in filter(None, map(_LISTED.fullmatch, lines)):
            found.setdefault(one[2].decode(), int(one[1]))
        return found

    def _body(self, client: _Careful, number: int, found: Found) -> bytes | None:
        """Return a mail, its beginning if it is large; None when the server says no."""
        step = f"mail {number}"
        try:
            told = self._ask(client, step, client.list, number, most=ANSWER).split()[-1]
            if told.isdigit() and int(told[:12]) > LONGEST_KEPT:
                with contextlib.suppress(RefusedError):  # TOP is not in every server
                    answer = self._ask(client, step, client.top, number, _LINES, most=_WHOLE)
                    return _joined(answer[1])
            return _joined(self._ask(client, step, client.retr, number, most=_WHOLE)[1])
        except RefusedError as error:
            found.missed += 1
            found.remark = error.reason
            return None

    def _delete(self, client: _Careful, numbers: Sequence[int], found: Found) -> None:
        """Have kept mails deleted; the server does it when we say goodbye, or not at all."""
        for number in numbers:
            try:
                self._ask(client, "DELE", client.dele, number, most=ANSWER)
            except RefusedError as error:
                found.remark = error.reason
            else:
                found.moved += 1

    @contextlib.contextmanager
    def _session(self) -> Iterator[_Careful]:
        server = self.server
        password = self.password()
        with doubting(server.where, "connecting", poplib.error_proto):
            client = _Tls(server) if server.tls == "implicit" else _Plain(server)
        try:
            if server.tls == "starttls":
                context = ssl.create_default_context()
                self._ask(client, "STLS", client.stls, context, most=ANSWER)
            self._log_in(client, password)
            yield client
            self._ask(client, "goodbye", client.quit, most=ANSWER)
        finally:
            client.close()

    def _log_in(self, client: _Careful, password: str) -> None:
        try:
            self._ask(client, "login", client.user, self.server.username, most=ANSWER)
            self._ask(client, "login", client.pass_, password, most=ANSWER)
        except RefusedError as error:
            raise MailboxError(error.reason, lasting=is_lasting(error.reason)) from error


def _joined(lines: Sequence[bytes]) -> bytes:
    return (b"\r\n".join(lines) + b"\r\n")[:LONGEST_KEPT]
