"""IMAP servers that lie, refuse, hang up or stall; and how a session is begun safely."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from newsletter_bot.errors import ConfigurationError
from newsletter_bot.feedback.mailboxes import PORTION, Cursor, Desk, MailboxError, open_mailbox
from newsletter_bot.feedback.mailboxes.imap_talk import folder_name
from newsletter_bot.feedback.mailboxes.visits import Visited
from newsletter_bot.settings.mailboxes import MailboxTable
from tests.feedback.mailboxes.conftest import NAME, Reader, mail
from tests.servers.certificates import Authority
from tests.servers.imap_server import ALL, PASSWORD, TOKEN, USER, Folder, ImapServer
from tests.servers.line_server import Fault

Make = Callable[[dict[str, Any]], Reader]
Visit = Callable[..., Visited]


def table(server: ImapServer, **more: Any) -> dict[str, Any]:
    login = {"username": USER, "password": PASSWORD, "timeout": "20s"}
    return {"kind": "imap", "host": "localhost", "port": server.port, **login, **more}


@pytest.fixture
def database_url() -> str:
    """One database is enough here: nothing of it depends on which."""
    return "sqlite:///test.db"


@pytest.fixture
def read(imap: ImapServer, reader: Make) -> Reader:
    return reader(table(imap))


@pytest.fixture
def impatient(imap: ImapServer, reader: Make) -> Reader:
    return reader(table(imap, timeout="1s"))


@pytest.fixture
def plain() -> Iterator[Callable[..., ImapServer]]:
    """Make servers in clear, or with STARTTLS."""
    made: list[ImapServer] = []

    def make(tls: ssl.SSLContext | None = None, **more: Any) -> ImapServer:
        made.append(ImapServer(tls, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


# ── the cursor ───────────────────────────────────────────────────────────────────────────────────


def test_another_uidvalidity_begins_afresh_and_doubles_nothing(
    imap: ImapServer, read: Reader
) -> None:
    imap.can.remove("MOVE")
    imap.can.remove("UIDPLUS")
    for number in range(3):
        imap.inbox.add(mail(number))
    first = read.visits().visit(NAME)
    assert (first.found.new, first.found.moved) == (3, 0)
    assert "no MOVE" in first.found.remark
    assert read.visits().visit(NAME).found.known == 0  # the cursor remembers them
    imap.inbox.add(mail(3))
    assert read.visits().visit(NAME).found.new == 1
    imap.inbox.validity = 2
    again = read.visits().visit(NAME).found
    assert (again.new, again.known) == (0, 4)
    assert len(read.kept()) == 4


def test_a_folder_of_many_mails_is_never_listed_whole(imap: ImapServer, reader: Make) -> None:
    imap.read_only = True
    read = reader(table(imap, most=5))
    for number in range(100):
        imap.inbox.add(mail(number))
    assert [read.visits().visit(NAME).found.new for _ in range(3)] == [5, 5, 5]
    assert read.kept()[-1] == mail(14)
    imap.heard.clear()
    read.visits().visit(NAME)
    listed = [one for one in imap.heard if " FETCH " in one and "UID FETCH" not in one]
    assert len(listed) < 12
    assert listed[-1].endswith("16:20 (UID)")


def test_a_connection_that_breaks_in_the_middle_keeps_what_was_kept(
    imap: ImapServer, read: Reader
) -> None:
    for number in range(4):
        imap.inbox.add(mail(number))
    half = b"* 3 FETCH (UID 3 BODY[]<0> {700}\r\nFrom: half of"
    imap.fails("UID FETCH 3 ", half, Fault.DROP, times=1)
    failed = read.visits().visit(NAME)
    assert "mail 3" in failed.reason
    assert failed.found.new == 2
    assert read.kept() == [mail(0), mail(1)]
    again = read.visits().visit(NAME)
    assert (again.reason, again.found.new, again.found.known) == ("", 2, 2)
    assert read.kept() == [mail(number) for number in range(4)]
    assert imap.folders["Processed"].bodies() == read.kept()


def test_mails_that_the_server_will_not_give_are_named_and_stop_no_other(
    imap: ImapServer, read: Reader
) -> None:
    for number in range(PORTION + 5):
        imap.inbox.add(mail(number))
    imap.fails("UID FETCH 2 ", b"{tag} NO [SERVERBUG] it is broken\r\n", times=1)
    first = read.visits().visit(NAME)
    assert (first.reason, first.found.missed, first.found.moved) == ("", 1, PORTION + 4)
    assert "mail 2: [SERVERBUG] it is broken" in first.found.remark
    assert read.visits().visit(NAME).found.new == 1  # it was asked for again
    assert len(imap.folders["Processed"].mails) == PORTION + 5


def test_a_visit_ends_between_two_mails(imap: ImapServer, read: Reader) -> None:
    for number in range(4):
        imap.inbox.add(mail(number))
    found = read.visits().visit(NAME, lambda: len(read.kept()) >= 2).found
    assert (found.new, found.moved, found.more) == (2, 2, True)
    assert read.visits().visit(NAME).found.new == 2


def test_a_mail_that_is_listed_and_never_given_is_not_passed_by(
    imap: ImapServer, read: Reader
) -> None:
    imap.inbox.add(mail(0))
    imap.fails("BODY.PEEK", b"{tag} OK nothing\r\n", times=1)
    first = read.visits().visit(NAME)
    assert "listed and was not given" in first.found.remark
    assert read.visits().visit(NAME).found.new == 1


def test_a_mail_that_somebody_else_removed_meanwhile_is_no_failure(
    imap: ImapServer, read: Reader
) -> None:
    imap.inbox.add(mail(0))
    imap.inbox.add(mail(1))
    imap.fails("UID FETCH 1 ", lambda: imap.inbox.mails.pop(0), times=1)
    found = read.visits().visit(NAME).found
    assert (found.new, found.moved, found.remark) == (1, 1, "")


# ── out of the way ───────────────────────────────────────────────────────────────────────────────


def test_without_move_mails_are_copied_and_only_they_are_expunged(
    imap: ImapServer, read: Reader
) -> None:
    imap.can.remove("MOVE")
    imap.inbox.add(mail(0))
    other = imap.inbox.add(mail(1))
    imap.inbox.mails[1].deleted = True  # by another client, which may change its mind
    imap.fails("UID FETCH 2 ", b"{tag} NO not now\r\n")
    assert read.visits().visit(NAME).found.moved == 1
    assert [one.uid for one in imap.inbox.mails] == [other]
    assert imap.folders["Processed"].bodies() == [mail(0)]
    assert not any("EXPUNGE" in one and "UID EXPUNGE" not in one for one in imap.heard)


def test_a_folder_that_refuses_to_be_filled_leaves_mails_where_they_are(
    imap: ImapServer, read: Reader
) -> None:
    imap.inbox.add(mail(0))
    imap.fails("CREATE", b"{tag} NO [NOPERM] not here, try INBOX.Processed\r\n")
    first = read.visits().visit(NAME)
    assert (first.reason, first.found.new, first.found.moved) == ("", 1, 0)
    assert "try INBOX.Processed" in first.found.remark
    assert read.visits().visit(NAME).found.known == 0
    assert imap.inbox.bodies() == [mail(0)]


def test_folders_have_names_in_any_script(imap: ImapServer, reader: Make) -> None:
    name = "&U,BTFw-/R&-D"  # RFC 3501 section 5.1.3
    assert folder_name("台北/R&D") == f'"{name}"'
    assert folder_name('a"b\\c') == '"a\\"b\\\\c"'
    imap.folders[name] = Folder()
    imap.folders[name].add(mail(0))
    read = reader(table(imap, folder="台北/R&D", done_folder="処理済み"))
    assert read.visits().visit(NAME).found.moved == 1
    assert imap.folders["&UeZ0Bm4IMH8-"].bodies() == [mail(0)]


# ── lies ─────────────────────────────────────────────────────────────────────────────────────────

BODY = b"* 1 FETCH (UID 1 BODY[]<0> {%s}\r\n"
EXISTS = b"* %s EXISTS\r\n%s{tag} OK [READ-WRITE] done\r\n"
LIES = {
    "a huge literal": ("BODY.PEEK", BODY % b"4294967296", "4,294,967,296"),
    "a literal of many digits": ("BODY.PEEK", BODY % (b"9" * 5_000), "mail 1"),
    "a literal larger than asked for": ("BODY.PEEK", BODY % b"3000000", "3,000,000"),
    "garbage": ("BODY.PEEK", b"\xff\xfe\x00garbage\r\n", "unexpected response"),
    "a line without an end": ("BODY.PEEK", b"* " + b"x" * 1_100_000, "without an end"),
    "lines without an end": ("BODY.PEEK", b"* 1 FETCH (UID 1 FLAGS ())\r\n" * 60_000, "much more"),
    "the tag of another": ("BODY.PEEK", b"ZZZZ99 OK done\r\n", "unexpected"),
    "no uidvalidity": ("SELECT", EXISTS % (b"1", b""), "no UIDVALIDITY"),
    "a count that is none": (
        "SELECT",
        EXISTS % (b"99999999999999", b"* OK [UIDVALIDITY 1] x\r\n"),
        "no UIDVALIDITY or count",
    ),
    "a goodbye": ("SELECT", b"* BYE going down\r\n", "going down"),
    "a break": ("BODY.PEEK", Fault.DROP, "mail 1"),
    "a break in the list": (" FETCH 1:1", Fault.DROP, "list of mails"),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_lie_ends_in_a_sentence_and_the_next_visit_goes_on(
    lie: tuple[str, bytes | Fault, str], imap: ImapServer, impatient: Reader
) -> None:
    pattern, reply, words = lie
    imap.inbox.add(mail(0))
    imap.fails(pattern, reply, times=1)
    failed = impatient.visits().visit(NAME)
    assert words in failed.reason
    assert len(failed.reason) < 500
    assert (failed.failures, failed.worrying) == (1, False)
    assert impatient.visits().visit(NAME).found.new == 1
    assert impatient.kept() == [mail(0)]


PIECES = [
    b"* ", b"+ ", b"1 ", b"FETCH ", b"(", b")", b"UID 1 ", b"BODY[]", b"<0> ", b"{3}\r\n", b"abc",
    b'"', b"\\", b"NIL", b"\r\n", b"OK ", b"NO ", b"BAD ", b"BYE ", b"[UIDVALIDITY 7] ",
    b"EXISTS", b"{tag} OK x\r\n", b"{tag} NO x\r\n",
]  # fmt: skip
COMMANDS = st.sampled_from(["SELECT", " FETCH 1:1", "BODY.PEEK", "MOVE", "CAPABILITY"])
ANSWERS = st.lists(st.sampled_from(PIECES) | st.binary(max_size=8), max_size=12)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(command=COMMANDS, answer=ANSWERS)
def test_any_answer_ends_in_a_result_or_a_sentence(
    command: str, answer: list[bytes], plain: Callable[..., ImapServer], tmp_path: Path
) -> None:
    server = plain()
    server.inbox.add(mail(0))
    server.fails(command, b"".join(answer), Fault.DROP, times=1)
    found = MailboxTable(**{"name": NAME, **table(server, host="127.0.0.1", tls="none")})
    kept: list[bytes] = []

    def keep(body: bytes) -> bool:
        kept.append(body)
        return True

    desk = Desk(keep, lambda _cursor: None, 5, lambda: False)
    with contextlib.suppress(MailboxError):
        open_mailbox(found, tmp_path).visit(Cursor(), desk)
    open_mailbox(found, tmp_path).visit(Cursor(), desk)
    server.close()
    assert mail(0) in kept
    assert server.inbox.mails == []


def test_silence_ends_in_time(imap: ImapServer, impatient: Reader) -> None:
    imap.fails("SELECT", Fault.STALL)
    assert "no answer in time" in impatient.visits().visit(NAME).reason


def test_several_failures_in_a_row_are_worth_telling(imap: ImapServer, read: Reader) -> None:
    imap.fails("SELECT", Fault.DROP, times=3)
    worries = [read.visits().visit(NAME).worrying for _ in range(4)]
    assert worries == [False, False, True, False]


def test_uids_that_never_end_are_asked_for_in_few_steps(
    imap: ImapServer, impatient: Reader
) -> None:
    imap.fails("SELECT", b"* 4294967295 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n{tag} OK done\r\n")
    imap.fails(r"^\S+ FETCH", b"{tag} OK nothing there\r\n")
    assert impatient.visits().visit(NAME).found.new == 0
    assert len(imap.heard) < 50


# ── login and TLS ────────────────────────────────────────────────────────────────────────────────


def test_a_token_logs_in(imap: ImapServer, reader: Make, newsletter: Path) -> None:
    (newsletter / "token").write_text(f"{TOKEN}\n", encoding="utf-8")
    imap.inbox.add(mail(0))
    read = reader(table(imap, token_file="token"))
    assert read.visits().visit(NAME).found.new == 1
    (newsletter / "token").write_text("old", encoding="utf-8")
    failed = read.visits().visit(NAME)
    assert failed.lasting
    assert '"status":"400"' in failed.reason
    assert "old" not in failed.reason
    (newsletter / "token").unlink()
    assert "token cannot be read" in read.visits().visit(NAME).reason


def test_a_wrong_password_is_told_at_once_and_never_shown(imap: ImapServer, reader: Make) -> None:
    for words in (ALL, ("IMAP4rev1",)):
        imap.can = list(words)
        failed = reader(table(imap, password="wrong-one")).visits().visit(NAME)
        assert failed.worrying
        assert "wrong password" in failed.reason
        assert "wrong-one" not in failed.reason


def test_a_server_that_takes_nobody_just_now_is_no_matter_of_ours(
    imap: ImapServer, read: Reader
) -> None:
    imap.fails("AUTHENTICATE", b"{tag} NO [UNAVAILABLE] the directory is down\r\n", times=1)
    imap.fails("SELECT", b"{tag} NO [INUSE] another session has it\r\n", times=1)
    for words in ("directory", "another session"):
        failed = read.visits().visit(NAME)
        assert (words in failed.reason, failed.worrying) == (True, False)


def test_login_takes_a_password_with_marks(imap: ImapServer, read: Reader) -> None:
    imap.can.remove("AUTH=PLAIN")
    imap.inbox.add(mail(0))
    failed = read.visits().visit(NAME)
    assert "login" in failed.reason  # LOGIN cannot say é
    imap.can.append("LOGINDISABLED")
    assert "takes no passwords" in read.visits().visit(NAME).reason


def test_starttls_is_insisted_on(
    plain: Callable[..., ImapServer], tls: ssl.SSLContext, reader: Make
) -> None:
    good = plain(tls)
    good.inbox.add(mail(0))
    assert reader(table(good, tls="starttls")).visits().visit(NAME).found.new == 1
    stripped = plain()
    failed = reader(table(stripped, tls="starttls")).visits().visit(NAME)
    assert "STARTTLS" in failed.reason
    assert not any("AUTHENTICATE" in one for one in stripped.heard)
    injecting = plain(tls, injected=b"* OK [UIDVALIDITY 9] injected\r\n")
    assert "in clear" in reader(table(injecting, tls="starttls")).visits().visit(NAME).reason


def test_a_certificate_of_somebody_else_is_refused(
    imap: ImapServer, read: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(Authority(tmp_path / "other").file))
    failed = read.visits().visit(NAME)
    assert failed.lasting
    assert "not to be trusted" in failed.reason
    assert imap.heard == []


def test_a_password_never_travels_in_clear(imap: ImapServer, reader: Make) -> None:
    with pytest.raises(ConfigurationError, match="in clear"):
        reader(table(imap, tls="none", host="mail.example.com")).visits().visit(NAME)


def test_a_server_that_is_not_there_is_a_sentence(reader: Make, imap: ImapServer) -> None:
    imap.close()
    assert "connecting" in reader(table(imap)).visits().visit(NAME).reason
