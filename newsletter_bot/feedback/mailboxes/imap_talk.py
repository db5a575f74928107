"""One session with an IMAP server (RFC 3501): commands, and answers that are looked at first."""

from __future__ import annotations

import base64
import contextlib
import imaplib
import re
import ssl
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from newsletter_bot.feedback.mailboxes import LONGEST_KEPT, MailboxError
from newsletter_bot.feedback.mailboxes.mail_servers import (
    RefusedError,
    Server,
    Wire,
    doubting,
    is_lasting,
    words_of,
)

_UID = re.compile(rb"\bUID (\d{1,10})\b")
_BODY = re.compile(rb"\bBODY\[\](?:<0>)? ?(?:\"([^\"]*)\"|(NIL))?", re.IGNORECASE)
_COUNT = re.compile(r"\d{1,10}")
_RUN = re.compile(r"[^\x20-\x7e]+|&")


def quoted(text: str) -> str:
    """Write text as a quoted string; it holds no line breaks."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def folder_name(name: str) -> str:
    """Write a folder's name as IMAP4rev1 does: in modified UTF-7 (RFC 3501 section 5.1.3)."""
    return quoted(_RUN.sub(_shifted, name))


def _shifted(found: re.Match[str]) -> str:
    if found[0] == "&":
        return "&-"
    code = base64.b64encode(found[0].encode("utf-16-be")).decode().rstrip("=")
    return f"&{code.replace('/', ',')}-"


class _Client(Protocol):
    """An IMAP4 of the standard library whose answers come over a `Wire`."""

    wire: Wire
    capabilities: tuple[str, ...]
    untagged_responses: dict[str, list[Any]]

    def __getattr__(self, name: str) -> Any: ...


class _Plain(imaplib.IMAP4):
    def __init__(self, server: Server) -> None:
        self.wire = Wire(server.timeout)
        super().__init__(server.host, server.port, timeout=server.timeout)

    def read(self, size: int) -> bytes:
        return self.wire.exactly(self.sock, size)

    def readline(self) -> bytes:
        return self.wire.line(self.sock)


class _Tls(imaplib.IMAP4_SSL):
    def __init__(self, server: Server) -> None:
        self.wire = Wire(server.timeout)
        super().__init__(
            server.host,
            server.port,
            ssl_context=ssl.create_default_context(),
            timeout=server.timeout,
        )

    def read(self, size: int) -> bytes:
        return self.wire.exactly(self.sock, size)

    def readline(self) -> bytes:
        return self.wire.line(self.sock)


class Talk:
    """One session: commands, and answers that are looked at before they are believed."""

    def __init__(self, client: _Client, where: str) -> None:
        self._client = client
        self._where = where
        self._words = frozenset(client.capabilities)

    def ask(
        self, step: str, command: Callable[..., tuple[str, list[Any]]], *words: Any
    ) -> list[Any]:
        """Give a command; raises RefusedError for a NO, MailboxError for anything unforeseen."""
        self._client.untagged_responses.clear()  # what nobody asked for is not gathered
        self._client.wire.allow()
        with doubting(self._where, step, imaplib.IMAP4.error):
            kind, data = command(*words)
        if kind != "OK":
            said = words_of(data[-1] if data and data[-1] else kind)
            raise RefusedError(f"{self._where}: {step}: {said}")
        return data

    def can(self, word: str) -> bool:
        """Tell whether the server announced a capability."""
        return word in self._words

    # ── login ────────────────────────────────────────────────────────────────────────────────

    def log_in(self, user: str, password: str) -> None:
        """Log in by password: PLAIN (RFC 4616) takes every letter, LOGIN only ASCII."""
        if self.can("AUTH=PLAIN"):
            self._authenticate("PLAIN", f"\0{user}\0{password}")
        elif self.can("LOGINDISABLED"):
            raise MailboxError(f"{self._where}: it takes no passwords here", lasting=True)
        else:
            self._enter(self._client.login, quoted(user), password)

    def log_in_by_token(self, user: str, token: str) -> None:
        """Log in by an access token: what Google and Microsoft document as XOAUTH2 (2026-11)."""
        self._authenticate("XOAUTH2", f"user={user}\1auth=Bearer {token}\1\1")

    def _authenticate(self, mechanism: str, response: str) -> None:
        answers = iter([response.encode()])
        said: list[bytes] = []

        def answer(challenge: bytes) -> bytes:
            said.append(challenge)
            return next(answers, b"")  # an empty one asks for the NO behind the reason

        self._enter(self._client.authenticate, mechanism, answer, said=said)

    def _enter(
        self,
        command: Callable[..., tuple[str, list[Any]]],
        *words: Any,
        said: Sequence[bytes] = (),
    ) -> None:
        """Log in. The library raises for a NO what it raises for nonsense."""
        try:
            self.ask("login", command, *words)
        except MailboxError as error:
            refused = isinstance(error.__cause__, imaplib.IMAP4.error) and not isinstance(
                error.__cause__, imaplib.IMAP4.abort
            )
            more = f" ({words_of(said[-1])})" if said and said[-1] else ""
            lasting = error.lasting or (refused and is_lasting(error.reason))
            raise MailboxError(error.reason + more, lasting=lasting) from error
        # Dovecot tells all that it can only to whom it knows (2.3, 2026-11).
        data = self.ask("capabilities", self._client.capability)
        self._words = frozenset(words_of(data[-1]).upper().split())

    # ── a folder ─────────────────────────────────────────────────────────────────────────────

    def select(self, folder: str) -> tuple[str, int, bool]:
        """Open a folder; returns its UIDVALIDITY, how many mails it has, and if it is writable."""
        writable = True
        try:
            self.ask(f"folder {folder}", self._client.select, folder_name(folder))
        except RefusedError as error:
            raise MailboxError(error.reason, lasting=is_lasting(error.reason)) from error
        except MailboxError as error:
            if not isinstance(error.__cause__, imaplib.IMAP4.readonly):
                raise
            writable = False
        told = self._client.untagged_responses
        validity = words_of((told.get("UIDVALIDITY") or [b""])[-1])
        count = words_of((told.get("EXISTS") or [b""])[-1])
        if not (_COUNT.fullmatch(validity) and _COUNT.fullmatch(count)):
            raise MailboxError(f"{self._where}: folder {folder}: it tells no UIDVALIDITY or count")
        return validity, int(count), writable

    def uids(self, first: int, last: int) -> list[int]:
        """Return the UIDs of the mails at these places, in their order."""
        data = self.ask("list of mails", self._client.fetch, f"{first}:{last}", "(UID)")
        found = [_UID.search(one) for one in data if isinstance(one, bytes)]
        return sorted({int(one[1]) for one in found if one})

    def body(self, uid: int) -> bytes | None:
        """Return a mail, its first megabyte if it is longer; None when it is gone by now.

        Every mail is asked for in part: a size told before need not be true.
        """
        part = f"(BODY.PEEK[]<0.{LONGEST_KEPT}>)"
        data = self.ask(f"mail {uid}", self._client.uid, "FETCH", str(uid), part)
        for at, one in enumerate(data):
            head, literal = one if isinstance(one, tuple) else (one, None)
            tail = data[at + 1] if literal is not None and at + 1 < len(data) else b""
            found = _BODY.search(head or b"")
            named = _UID.search(head or b"") or (isinstance(tail, bytes) and _UID.search(tail))
            if found and named and int(named[1]) == uid:
                return bytes(found[1] or b"") if literal is None else bytes(literal)
        if any(self.ask(f"mail {uid}", self._client.uid, "FETCH", str(uid), "(UID)")):
            raise RefusedError(f"{self._where}: mail {uid}: it is listed and was not given")
        return None

    # ── out of the way ───────────────────────────────────────────────────────────────────────

    def move(self, uids: Sequence[int], folder: str) -> None:
        """Move mails into a folder (RFC 6851), which is made when it is missing."""
        chosen, name = ",".join(map(str, uids)), folder_name(folder)
        if not self.can("MOVE") and not self.can("UIDPLUS"):
            raise RefusedError(f"{self._where}: it can move no mails (no MOVE, no UIDPLUS)")
        word = "MOVE" if self.can("MOVE") else "COPY"
        step = f"moving into {folder}"
        try:
            self.ask(step, self._client.uid, word, chosen, name)
        except RefusedError:
            self.ask(f"making {folder}", self._client.create, name)
            self.ask(step, self._client.uid, word, chosen, name)
        if word == "COPY":
            # Not EXPUNGE: it would delete what others marked (RFC 4315).
            self.ask(step, self._client.uid, "STORE", chosen, "+FLAGS.SILENT", r"(\Deleted)")
            self.ask(step, self._client.uid, "EXPUNGE", chosen)


@contextlib.contextmanager
def talking(server: Server) -> Iterator[Talk]:
    """Connect, and say goodbye at the end; raises MailboxError."""
    with doubting(server.where, "connecting", imaplib.IMAP4.error):
        client: Any = _Tls(server) if server.tls == "implicit" else _Plain(server)
    try:
        if server.tls == "starttls":
            with doubting(server.where, "STARTTLS", imaplib.IMAP4.error):
                client.starttls(ssl.create_default_context())
        talk = Talk(client, server.where)
        yield talk
        with contextlib.suppress(MailboxError):
            talk.ask("goodbye", client.logout)
    finally:
        with contextlib.suppress(OSError):
            client.shutdown()
