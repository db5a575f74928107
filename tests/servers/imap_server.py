"""A small IMAP4rev1 server (RFC 3501, 4315, 6851) whose folders a test can see and spoil."""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.servers.line_server import Conversation, DroppedError, LineServer

USER, PASSWORD, TOKEN = "bounces@news.example.com", 'pass "word" \\ é', "ya29.token"
ALL = ("IMAP4rev1", "UIDPLUS", "MOVE", "AUTH=PLAIN", "AUTH=XOAUTH2")


@dataclass
class Mail:
    uid: int
    body: bytes
    deleted: bool = False


@dataclass
class Folder:
    validity: int = 1
    following: int = 1
    mails: list[Mail] = field(default_factory=list)

    def add(self, body: bytes) -> int:
        self.mails.append(Mail(self.following, body))
        self.following += 1
        return self.following - 1

    def bodies(self) -> list[bytes]:
        return [one.body for one in self.mails]


class ImapServer(LineServer):
    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        *,
        implicit: bool = False,
        can: Iterable[str] = ALL,
        injected: bytes = b"",
    ) -> None:
        self.can = list(can) + (["STARTTLS"] if tls and not implicit else [])
        self.injected = injected
        self.folders: dict[str, Folder] = {"INBOX": Folder()}
        self.read_only = False
        super().__init__(lambda: _Imap(self), tls, implicit=implicit)

    @property
    def inbox(self) -> Folder:
        return self.folders["INBOX"]


def _chosen(words: str, most: int) -> set[int]:
    found: set[int] = set()
    for one in words.split(","):
        first, _, last = one.partition(":")
        ends = [most if end == "*" else int(end) for end in (first, last or first)]
        found.update(range(min(ends), max(ends) + 1))
    return found


def _unquoted(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word[1:-1]) if word.startswith('"') else word


class _Imap:
    def __init__(self, server: ImapServer) -> None:
        self.server = server
        self.folder = Folder()

    def greeting(self) -> bytes:
        return b"* OK ready"

    def answer(self, talk: Conversation, line: str) -> None:
        tag, _, rest = line.partition(" ")
        words = re.findall(r'"(?:\\.|[^"])*"|\S+', rest)
        verb = " ".join(words[: 2 if words[0].upper() == "UID" else 1]).upper()
        method = getattr(self, f"_{verb.replace(' ', '_').lower()}", None)
        if method is None:
            talk.say(f"{tag} BAD unknown command".encode())
            return
        said = method(talk, words[len(verb.split()) :])
        if said != "":  # it was said already
            talk.say(f"{tag} {said or 'OK done'}".encode())
        if verb == "LOGOUT":
            raise DroppedError

    def _capability(self, talk: Conversation, _words: list[str]) -> None:
        talk.say(f"* CAPABILITY {' '.join(self.server.can)}".encode())

    def _login(self, talk: Conversation, words: list[str]) -> str:
        talk.user = _unquoted(words[0])
        good = [_unquoted(one) for one in words] == [USER, PASSWORD]
        return "OK welcome" if good else "NO [AUTHENTICATIONFAILED] wrong password"

    def _authenticate(self, talk: Conversation, words: list[str]) -> str:
        talk.say(b"+ ")
        said = base64.b64decode(talk.hear()).decode()
        if words[0] == "PLAIN":
            return "OK in" if said == f"\0{USER}\0{PASSWORD}" else "NO wrong password"
        if said == f"user={USER}\1auth=Bearer {TOKEN}\1\1":
            return "OK in"
        talk.say(b"+ " + base64.b64encode(b'{"status":"400","scope":"https://mail.google.com/"}'))
        assert talk.hear() == ""
        return "NO [AUTHENTICATIONFAILED] Invalid credentials"

    def _starttls(self, talk: Conversation, _words: list[str]) -> str:
        tag = self.server.heard[-1].partition(" ")[0]
        reply = f"{tag} OK go on".encode()
        talk.start_tls(injected=self.server.injected, reply=reply)
        return ""

    def _select(self, talk: Conversation, words: list[str]) -> str:
        name = _unquoted(words[0])
        if name not in self.server.folders:
            return "NO [NONEXISTENT] there is no such folder"
        self.folder = self.server.folders[name]
        talk.say(
            b"* FLAGS (\\Deleted \\Seen)",
            b"* %d EXISTS" % len(self.folder.mails),
            b"* 0 RECENT",
            b"* OK [UIDVALIDITY %d] valid" % self.folder.validity,
        )
        return "OK [READ-ONLY] look" if self.server.read_only else "OK [READ-WRITE] done"

    def _create(self, _talk: Conversation, words: list[str]) -> str:
        if _unquoted(words[0]) in self.server.folders:
            return "NO [ALREADYEXISTS] it is there"
        self.server.folders[_unquoted(words[0])] = Folder()
        return "OK made"

    def _fetch(self, talk: Conversation, words: list[str]) -> None:
        for at in sorted(_chosen(words[0], len(self.folder.mails))):
            if at <= len(self.folder.mails):
                self._show(talk, at, " ".join(words[1:]))

    def _uid_fetch(self, talk: Conversation, words: list[str]) -> None:
        uids = _chosen(words[0], self.folder.following - 1)
        for at, mail in enumerate(self.folder.mails, 1):
            if mail.uid in uids:
                self._show(talk, at, " ".join(words[1:]))

    def _show(self, talk: Conversation, at: int, what: str) -> None:
        mail = self.folder.mails[at - 1]
        head = b"* %d FETCH (UID %d" % (at, mail.uid)
        part = re.search(r"BODY\.PEEK\[\](?:<0\.(\d+)>)?", what)
        if part is None:
            talk.say(head + b")")
            return
        body = mail.body[: int(part[1])] if part[1] else mail.body
        place = b"<0>" if part[1] else b""
        talk.say(head + b" BODY[]%s {%d}\r\n%s)" % (place, len(body), body))

    def _uid_copy(self, _talk: Conversation, words: list[str]) -> str:
        name = _unquoted(words[1])
        if name not in self.server.folders:
            return "NO [TRYCREATE] there is no such folder"
        uids = _chosen(words[0], self.folder.following)
        for mail in self.folder.mails:
            if mail.uid in uids:
                self.server.folders[name].add(mail.body)
        return "OK copied"

    def _uid_move(self, talk: Conversation, words: list[str]) -> str:
        said = self._uid_copy(talk, words)
        if said.startswith("OK"):
            self._remove(talk, _chosen(words[0], self.folder.following))
        return said

    def _uid_store(self, _talk: Conversation, words: list[str]) -> None:
        for mail in self.folder.mails:
            mail.deleted |= mail.uid in _chosen(words[0], self.folder.following)

    def _uid_expunge(self, talk: Conversation, words: list[str]) -> None:
        uids = _chosen(words[0], self.folder.following)
        self._remove(talk, {one.uid for one in self.folder.mails if one.deleted} & uids)

    def _remove(self, talk: Conversation, uids: set[int]) -> None:
        for at in range(len(self.folder.mails), 0, -1):
            if self.folder.mails[at - 1].uid in uids:
                del self.folder.mails[at - 1]
                talk.say(b"* %d EXPUNGE" % at)

    def _logout(self, talk: Conversation, _words: list[str]) -> None:
        talk.say(b"* BYE see you")
