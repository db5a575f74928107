"""What the service does about mailboxes: those due are read, lasting trouble is told."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from newsletter_bot.bot import Bot
from newsletter_bot.feedback.mailboxes.store import MailboxStore
from newsletter_bot.service.mailboxes import MailboxDuty
from newsletter_bot.settings import load
from tests.servers.imap_server import PASSWORD, USER, ImapServer
from tests.servers.line_server import Fault

TABLE = """
[[mailboxes]]
name = "returns"
host = "127.0.0.1"
tls = "none"
username = "{user}"
password_file = "imap.password"
port = {port}
most = 2
every = "5m"
"""


class Bench:
    """The duty with a clock of its own; `told` is what operators were told."""

    def __init__(self, folder: Path) -> None:
        self.now = 1_800_000_000.0
        self.bot = Bot(load(folder), lambda: self.now)
        self.told: list[tuple[str, str, str]] = []
        self.rung: list[str] = []
        self.duty = MailboxDuty(self.bot, self.say, self.rung.append)

    def say(self, key: str, title: str, text: str) -> bool:
        self.told.append((key, title, text))
        return True

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.duty.look()


@pytest.fixture
def imap(newsletter: Path) -> ImapServer:
    server = ImapServer()
    (newsletter / "imap.password").write_text(PASSWORD, encoding="utf-8")
    with (newsletter / "newsletter.toml").open("a", encoding="utf-8") as file:
        file.write(TABLE.format(user=USER, port=server.port))
    return server


def test_a_mailbox_is_read_when_it_is_due_until_nothing_is_left(
    newsletter: Path, imap: ImapServer
) -> None:
    bench = Bench(newsletter)
    with closing(imap), closing(bench.bot):
        for number in range(5):
            imap.inbox.add(b"Subject: %d\r\n\r\n" % number)
        bench.duty.look()
        assert imap.inbox.mails == []
        assert bench.rung == ["feedback"] * 3
        imap.heard.clear()
        bench.later(299)
        assert imap.heard == []
        bench.later(2)
        assert imap.heard != []
        imap.heard.clear()
        bench.later(-86_400)  # a clock that was set back silences nothing
        assert imap.heard != []


def test_who_fails_again_and_again_is_told_and_is_tried_again(
    newsletter: Path, imap: ImapServer
) -> None:
    bench = Bench(newsletter)
    with closing(imap), closing(bench.bot):
        imap.inbox.add(b"Subject: 1\r\n\r\n")
        imap.fails("SELECT", Fault.DROP, times=3)
        for _ in range(2):
            bench.later(301)
        assert bench.told == []
        bench.later(301)
        ((key, title, text),) = bench.told
        assert (key, title) == ("mailbox:returns", "The mailbox returns cannot be read")
        assert "folder INBOX" in text
        standing = MailboxStore(bench.bot.engine, bench.bot.writer).standing("returns")
        assert (standing.failures, standing.reason in text) == (3, True)
        bench.later(301)
        assert bench.rung == ["feedback"]
        after = MailboxStore(bench.bot.engine, bench.bot.writer).standing("returns")
        assert (after.failures, after.reason) == (0, "")


def test_what_does_not_pass_by_itself_is_told_at_once(newsletter: Path, imap: ImapServer) -> None:
    (newsletter / "imap.password").write_text("wrong-one", encoding="utf-8")
    bench = Bench(newsletter)
    with closing(imap), closing(bench.bot):
        bench.duty.look()
        assert "wrong password" in bench.told[0][2]
        assert "wrong-one" not in str(bench.told)


def test_mails_that_a_server_will_not_give_are_told_of(newsletter: Path, imap: ImapServer) -> None:
    bench = Bench(newsletter)
    with closing(imap), closing(bench.bot):
        imap.inbox.add(b"Subject: 1\r\n\r\n")
        imap.fails("BODY.PEEK", b"{tag} NO it is broken\r\n")
        bench.duty.look()
        assert bench.told[0][0] == "mailbox-mails:returns"
        assert "it is broken" in bench.told[0][2]
        assert len(imap.inbox.mails) == 1


def test_a_duty_that_ends_begins_nothing(newsletter: Path, imap: ImapServer) -> None:
    bench = Bench(newsletter)
    with closing(imap), closing(bench.bot):
        bench.duty.stop()
        bench.duty.look()
        assert imap.heard == []
