"""`bounces ingest` and `bounces poll`: what comes back is kept, acted on, and told."""

from __future__ import annotations

import json
import mailbox
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, select

from newsletter_bot.bot import Bot
from newsletter_bot.storage import writer
from newsletter_bot.storage.group_commit import Limits
from newsletter_bot.storage.tables import deliveries, raw_events, subscribers
from newsletter_bot.subscribers.tokens import TokenSigner
from tests.cli.conftest import Result
from tests.feedback.office import bounce_mail
from tests.servers.imap_server import PASSWORD, USER, ImapServer
from tests.servers.line_server import DroppedError
from tests.servers.outside import Newsletter

Run = Callable[..., Result]
OTHER = b"From: ada@example.com\nSubject: [bold]thanks[/]\n\nFrom me to you.\n"


@pytest.fixture
def bounce(outside: Newsletter) -> Callable[[str], bytes]:
    """Send an issue to two people; returns what comes back of somebody's copy."""
    outside.readers("ada", "bob")
    assert outside.send().code == 0
    with closing(Bot.open(outside.folder)) as bot:
        query = select(subscribers.c.address, deliveries.c.id).join(
            deliveries, deliveries.c.subscriber_id == subscribers.c.id
        )
        with bot.engine.connect() as connection:
            found = {row[0].partition("@")[0]: row[1] for row in connection.execute(query)}
        signer = TokenSigner(bot.secret)
    return lambda name: bounce_mail(signer.bounce_token(found[name])).encode()


def kept(folder: Path) -> list[bytes]:
    with closing(Bot.open(folder)) as bot, bot.engine.connect() as connection:
        return [row[0] for row in connection.execute(select(raw_events.c.body))]


def test_a_mail_from_a_pipe_is_acted_on_at_once_and_known_again(
    run: Run, bounce: Callable[[str], bytes]
) -> None:
    done = run("bounces", "ingest", "-", json=True, stdin=bounce("ada"))
    assert done.code == 0, done.err
    assert (done.json["read"], done.json["new"], done.json["known"]) == (1, 1, 0)
    (one,) = done.json["results"]
    assert (one["kind"], one["class"], one["issue"]) == ("bounce", "hard", "2026-W01")
    assert one["consequence"].startswith("suppress")
    assert one["addresses"] == ["ada@reader.example"]
    again = run("bounces", "ingest", "-", stdin=bounce("ada"))
    assert again.code == 0
    assert "known before" in again.out
    shown = run("subscribers", "show", "ada@example.com")
    assert "hard bounce" in shown.out


def test_what_is_no_bounce_is_kept_and_told_as_text(run: Run, newsletter: Path) -> None:
    done = run("bounces", "ingest", "-", stdin=OTHER)
    assert (done.code, kept(newsletter)) == (0, [OTHER])
    assert "other: nobody named: nothing follows" in done.out
    for hostile in (b"\x00\xff\xfe", b"\r\r\r", b"Content-Type: multipart/report\n\n" * 1_000):
        assert run("bounces", "ingest", "-", stdin=hostile).code == 0
    assert run("bounces", "ingest", "-").code == 0


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_an_mbox_is_read_whatever_its_line_ends(
    end: bytes, run: Run, newsletter: Path, tmp_path: Path
) -> None:
    bounce = bounce_mail("00" * 19).encode()
    path = tmp_path / "box"
    with closing(mailbox.mbox(path)) as box:
        for one in (bounce, OTHER, b"Subject: last\n\n> From\n>From x\n\nFrom ada to bob\n"):
            box.add(one)
    text = path.read_bytes().replace(b">From ada", b"From ada")  # not every program quotes it
    path.write_bytes(text.replace(b"\n", end))
    done = run("bounces", "ingest", str(path), json=True)
    assert [one["kind"] for one in done.json["results"]] == ["bounce", "other", "other"]
    assert [one.replace(end, b"\n").strip() for one in kept(newsletter)] == [
        bounce.strip(),
        OTHER.strip(),
        b"Subject: last\n\n> From\nFrom x\n\nFrom ada to bob",
    ]


def test_a_maildir_is_read_and_left_as_it_is(run: Run, tmp_path: Path) -> None:
    box = mailbox.Maildir(tmp_path / "Maildir")
    box.add(OTHER)
    done = run("bounces", "ingest", str(tmp_path / "Maildir"), json=True)
    assert done.json["new"] == 1
    assert len(list((tmp_path / "Maildir" / "new").iterdir())) == 1
    assert run("bounces", "ingest", str(tmp_path)).code == 65
    assert run("bounces", "ingest", str(tmp_path / "missing")).code == 2


def test_a_pipe_never_ends_in_a_code_that_bounces(
    run: Run, newsletter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = run("bounces", "ingest", "-", folder=tmp_path / "nowhere", stdin=OTHER)
    assert (elsewhere.code, "tries again" in elsewhere.err) == (75, True)
    run("status")
    monkeypatch.setattr(writer, "Limits", lambda: Limits(patience=0.2))
    with closing(create_engine(f"sqlite:///{newsletter}/newsletter.db").raw_connection()) as held:
        held.cursor().execute("BEGIN IMMEDIATE")
        monkeypatch.setattr("newsletter_bot.storage.engine._LOCK_WAIT_MS", 100)
        busy = run("bounces", "ingest", "-", stdin=OTHER)
    assert busy.code == 75, busy
    (newsletter / "secret.key").unlink()
    later = run("bounces", "ingest", "-", stdin=OTHER)
    assert (later.code, "not acted on yet" in later.out) == (0, True)
    monkeypatch.setattr("newsletter_bot.feedback.events.intake.keep", None)
    assert run("bounces", "ingest", "-", stdin=b"Subject: new\n\n").code == 75


# ── poll ─────────────────────────────────────────────────────────────────────────────────────


def configure(folder: Path, **table: Any) -> None:
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
    with (folder / "newsletter.toml").open("a", encoding="utf-8") as file:
        file.write(f'\n[[mailboxes]]\nname = "returns"\n{lines}')


def test_a_mailbox_is_read_now_and_told_of(
    run: Run, newsletter: Path, tmp_path: Path, bounce: Callable[[str], bytes]
) -> None:
    assert "no [[mailboxes]]" in run("bounces", "poll").out
    box = mailbox.Maildir(tmp_path / "Maildir")
    configure(newsletter, kind="maildir", path=str(tmp_path / "Maildir"))
    box.add(bounce("bob"))
    done = run("bounces", "poll", "returns", json=True)
    assert done.code == 0
    (visited,) = done.json["mailboxes"]
    assert (visited["new"], visited["moved"], visited["reason"]) == (1, 1, "")
    (result,) = done.json["results"]
    assert (result["class"], result["issue"]) == ("hard", "2026-W01")
    assert "0 new" in run("bounces", "poll").out
    unknown = run("bounces", "poll", "others")
    assert (unknown.code, "There is: returns" in unknown.err) == (2, True)


def test_a_mailbox_that_cannot_be_read_says_so_in_its_exit_code(
    run: Run, newsletter: Path, tmp_path: Path
) -> None:
    configure(newsletter, kind="maildir", path=str(tmp_path / "none"))
    failed = run("bounces", "poll", json=True)
    assert failed.code == 69
    assert "no Maildir" in failed.json["mailboxes"][0]["reason"]
    assert "docs/mailboxes.md" in failed.err


def test_a_mailbox_that_is_written_wrongly_keeps_no_other_from_being_read(
    run: Run, newsletter: Path, tmp_path: Path, bounce: Callable[[str], bytes]
) -> None:
    mailbox.Maildir(tmp_path / "Maildir").add(bounce("bob"))
    with (newsletter / "newsletter.toml").open("a", encoding="utf-8") as file:
        file.write('\n[[mailboxes]]\nname = "wrong"\nkind = "pigeon"\n')
    configure(newsletter, kind="maildir", path=str(tmp_path / "Maildir"))
    done = run("bounces", "poll", json=True)
    assert (done.code, [one["new"] for one in done.json["mailboxes"]]) == (78, [1])
    assert "'pigeon' is no kind of mailbox" in done.err


@pytest.fixture
def imap() -> Iterator[ImapServer]:
    server = ImapServer()
    yield server
    server.close()


def test_a_process_killed_between_store_and_move_loses_and_doubles_nothing(
    newsletter: Path, imap: ImapServer, run: Run
) -> None:
    login = {"username": USER, "password": PASSWORD, "host": "127.0.0.1", "tls": "none"}
    configure(newsletter, port=imap.port, **login)
    mails = [b"Subject: %d\r\n\r\nhello\r\n" % number for number in range(3)]
    for one in mails:
        imap.inbox.add(one)
    command = [sys.executable, "-m", "newsletter_bot", "-C", str(newsletter), "bounces", "poll"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:

        def killed() -> None:
            os.kill(process.pid, signal.SIGKILL)
            raise DroppedError

        imap.fails("UID MOVE", killed, times=1)
        assert process.wait(60) == -signal.SIGKILL
    assert sorted(kept(newsletter)) == imap.inbox.bodies() == mails
    done = run("bounces", "poll", json=True)
    (visited,) = done.json["mailboxes"]
    assert (visited["new"], visited["known"], visited["moved"]) == (0, 3, 3)
    assert sorted(kept(newsletter)) == mails
    assert imap.folders["Processed"].bodies() == mails
