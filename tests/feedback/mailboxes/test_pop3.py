"""POP3: deletion only where it is configured, servers without TOP, and servers that lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from newsletter_bot.feedback.mailboxes import LONGEST_KEPT
from tests.feedback.mailboxes.conftest import NAME, Reader, mail
from tests.servers.imap_server import PASSWORD, USER
from tests.servers.line_server import Fault
from tests.servers.pop3_server import Pop3Server

Make = Callable[[dict[str, Any]], Reader]


def table(server: Pop3Server, **more: Any) -> dict[str, Any]:
    login = {"username": USER, "password": PASSWORD, "tls": "starttls", "timeout": "20s"}
    return {"kind": "pop3", "host": "localhost", "port": server.port, **login, **more}


@pytest.fixture
def database_url() -> str:
    return "sqlite:///test.db"


def test_mails_are_deleted_only_when_asked_and_after_they_were_kept(
    pop3: Pop3Server, reader: Make
) -> None:
    pop3.drop.add(mail(0))
    reader(table(pop3)).visits().visit(NAME)
    assert len(pop3.drop.mails) == 1
    assert not any("DELE" in one for one in pop3.heard)
    pop3.drop.add(mail(1))
    pop3.fails("QUIT", Fault.DROP, times=1)  # then nothing is deleted (RFC 1939 section 6)
    read = reader(table(pop3, delete=True))
    assert "goodbye" in read.visits().visit(NAME).reason
    assert len(pop3.drop.mails) == 2
    done = read.visits().visit(NAME).found
    assert (done.new, done.moved, pop3.drop.mails) == (0, 2, {})
    assert read.kept() == [mail(0), mail(1)]


def test_without_top_the_end_of_a_large_mail_is_let_pass_by(pop3: Pop3Server, reader: Make) -> None:
    pop3.knows_top = False
    huge = mail(0) + b"..x\r\n" * 300_000
    pop3.drop.add(huge)
    pop3.drop.add(mail(1))
    read = reader(table(pop3))
    assert read.visits().visit(NAME).found.new == 2
    assert read.kept() == [huge[:LONGEST_KEPT], mail(1)]


def test_a_mail_that_the_server_will_not_give_stops_no_other(
    pop3: Pop3Server, reader: Make
) -> None:
    for number in range(3):
        pop3.drop.add(mail(number))
    pop3.fails("RETR 2", b"-ERR [SYS/PERM] it is broken\r\n", times=1)
    read = reader(table(pop3, delete=True))
    first = read.visits().visit(NAME).found
    assert (first.new, first.moved) == (2, 2)
    assert "it is broken" in first.remark
    assert list(pop3.drop.mails.values()) == [mail(1)]
    assert read.visits().visit(NAME).found.new == 1


LIES = {
    "garbage": ("UIDL", b"\xff\xfe\r\n", "UIDL"),
    "uidls without an end": ("UIDL", b"+OK\r\n" + (b"1 " + b"a" * 4_000 + b"\n") * 2_600, "more"),
    "a break": ("RETR", Fault.DROP, "mail 1"),
    "a mailbox in use": ("PASS", b"-ERR [IN-USE] another session has it\r\n", "IN-USE"),
    "silence": ("LIST", Fault.STALL, "no answer in time"),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_lie_ends_in_a_sentence_and_the_next_visit_goes_on(
    lie: tuple[str, bytes | Fault, str], pop3: Pop3Server, reader: Make
) -> None:
    pattern, reply, words = lie
    pop3.drop.add(mail(0))
    pop3.fails(pattern, reply, times=1)
    read = reader(table(pop3, timeout="2s"))
    failed = read.visits().visit(NAME)
    assert (words in failed.reason, failed.worrying) == (True, False), failed
    assert read.visits().visit(NAME).found.new == 1


def test_a_wrong_password_is_told_at_once(pop3: Pop3Server, reader: Make) -> None:
    failed = reader(table(pop3, password="wrong-one")).visits().visit(NAME)
    assert failed.worrying
    assert "wrong password" in failed.reason
    assert "wrong-one" not in failed.reason
