"""Mailboxes of every kind, filled and looked at from the other side."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from newsletter_bot.feedback.events.intake import Intake
from newsletter_bot.feedback.mailboxes.visits import MailboxVisits
from newsletter_bot.settings import Settings, load
from newsletter_bot.settings.mailboxes import MailboxTable
from newsletter_bot.storage.tables import raw_events
from newsletter_bot.storage.writer import Writer
from tests.servers import dovecot
from tests.servers.certificates import Authority, Identity
from tests.servers.imap_server import PASSWORD, USER, ImapServer
from tests.servers.pop3_server import Pop3Server

NAME = "returns"


def mail(number: int) -> bytes:
    return f"From: MAILER-DAEMON@x.example\r\nSubject: {number}\r\n\r\n.hello\r\n".encode()


@dataclass
class Box:
    """A mailbox from the other side."""

    table: dict[str, Any]
    add: Callable[[bytes], object]
    waiting: Callable[[], list[bytes]]  # what still lies there
    done: Callable[[], list[bytes]]  # what was moved; empty for kinds without folders
    moves: bool = True
    settings: Settings | None = field(default=None)


@dataclass
class Reader:
    """The mailbox's reader over a database."""

    engine: Engine
    writer: Writer
    settings: Settings

    def visits(self, keep: Callable[[bytes], bool] | None = None) -> MailboxVisits:
        kept = keep or Intake(self.writer).keep_mail
        return MailboxVisits(self.engine, self.writer, self.settings, kept)

    def kept(self) -> list[bytes]:
        with self.engine.connect() as connection:
            rows = connection.execute(select(raw_events.c.body).order_by(raw_events.c.id))
            return [row[0] for row in rows]


@pytest.fixture
def reader(engine: Engine, newsletter: Path) -> Iterator[Callable[[dict[str, Any]], Reader]]:
    """Make a reader for a table of [[mailboxes]]."""
    writer = Writer(engine)

    def make(table: dict[str, Any]) -> Reader:
        found = load(newsletter)
        known = (MailboxTable(**{"name": NAME, **table}),)
        return Reader(engine, writer, found.model_copy(update={"mailboxes": known}))

    yield make
    writer.close()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority") / "mailboxes")


@pytest.fixture(scope="session")
def identity(authority: Authority) -> Identity:
    return authority.identity()


@pytest.fixture
def tls(
    authority: Authority, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> ssl.SSLContext:
    """A server's context whose certificate this process trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    return context


@pytest.fixture(scope="session")
def real(identity: Identity) -> Iterator[dovecot.Dovecot]:
    if dovecot.PROGRAM is None:
        pytest.skip("Dovecot is not installed, or we are not root: `make tools`")
    server = dovecot.start(identity.certificate, identity.key)
    yield server
    server.close()


def _scripted(tls: ssl.SSLContext) -> tuple[ImapServer, Box]:
    server = ImapServer(tls, implicit=True)
    login = {"username": USER, "password": PASSWORD}
    return server, Box(
        {"kind": "imap", "host": "localhost", "port": server.port, **login},
        server.inbox.add,
        server.inbox.bodies,
        lambda: server.folders["Processed"].bodies() if "Processed" in server.folders else [],
    )


def _pop3(tls: ssl.SSLContext) -> tuple[Pop3Server, Box]:
    server = Pop3Server(tls)
    login = {"username": USER, "password": PASSWORD, "tls": "starttls"}
    return server, Box(
        {"kind": "pop3", "host": "localhost", "port": server.port, **login},
        server.drop.add,
        lambda: list(server.drop.mails.values()),
        list,
        moves=False,
    )


def _dovecot(server: dovecot.Dovecot, kind: str, tls: str) -> Box:
    port = server.ports[kind + ("s" if tls == "implicit" else "")]
    login = {"username": dovecot.USER, "password": dovecot.PASSWORD, "tls": tls}
    return Box(
        {"kind": kind, "host": "localhost", "port": port, **login},
        server.add,
        server.bodies,
        lambda: server.bodies("Processed"),
        moves=kind == "imap",
    )


def _maildir(path: Path) -> Box:
    for name in ("new", "cur", "tmp"):
        (path / name).mkdir(parents=True)

    def bodies(place: Path) -> list[bytes]:
        found = sorted([*place.glob("new/*"), *place.glob("cur/*")], key=lambda one: one.name)
        return [one.read_bytes() for one in found]

    def add(body: bytes) -> None:
        number = len(list(path.glob("**/*.test*")))
        (path / "new" / f"{number:04}.M.test").write_bytes(body)

    return Box(
        {"kind": "maildir", "path": str(path)},
        add,
        lambda: bodies(path),
        lambda: bodies(path / ".Processed"),
    )


@pytest.fixture(params=["imap", "pop3", "maildir", "dovecot imap", "dovecot pop3"])
def box(request: pytest.FixtureRequest, tls: ssl.SSLContext, tmp_path: Path) -> Iterator[Box]:
    """A mailbox of every kind in turn."""
    kind = request.param
    if kind == "maildir":
        yield _maildir(tmp_path / "Maildir")
        return
    if kind.startswith("dovecot"):
        server = request.getfixturevalue("real")
        server.empty()
        _, _, protocol = kind.partition(" ")
        yield _dovecot(server, protocol, "implicit" if protocol == "imap" else "starttls")
        return
    scripted, made = _scripted(tls) if kind == "imap" else _pop3(tls)
    yield made
    scripted.close()


@pytest.fixture
def imap(tls: ssl.SSLContext) -> Iterator[ImapServer]:
    """An IMAP server that does as it is told, over TLS from the first byte."""
    server = ImapServer(tls, implicit=True)
    yield server
    server.close()


@pytest.fixture
def pop3(tls: ssl.SSLContext) -> Iterator[Pop3Server]:
    server = Pop3Server(tls)
    yield server
    server.close()
