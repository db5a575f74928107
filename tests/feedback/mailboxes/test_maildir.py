"""Maildirs: files that are none, moves that fail, folders that are not there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from newsletter_bot.errors import ConfigurationError
from tests.feedback.mailboxes.conftest import NAME, Reader, mail

Make = Callable[[dict[str, Any]], Reader]


@pytest.fixture
def database_url() -> str:
    return "sqlite:///test.db"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("new", "cur", "tmp"):
        (tmp_path / "Maildir" / name).mkdir(parents=True)
    return tmp_path / "Maildir"


def test_what_is_no_mail_is_left_alone(folder: Path, reader: Make, tmp_path: Path) -> None:
    (tmp_path / "passwords").write_text("secret", encoding="utf-8")
    (folder / "new" / "1.link").symlink_to(tmp_path / "passwords")
    (folder / "new" / "2.folder").mkdir()
    os.mkfifo(folder / "new" / "3.pipe")
    (folder / "new" / ".hidden").write_bytes(b"x")
    (folder / "tmp" / "4.half").write_bytes(b"x")
    (folder / "cur" / "5.seen:2,S").write_bytes(mail(0))
    read = reader({"kind": "maildir", "path": str(folder), "most": 1})
    assert read.visits().visit(NAME).found.new == 1
    assert read.kept() == [mail(0)]
    assert (folder / ".Processed" / "cur" / "5.seen:2,S").read_bytes() == mail(0)
    assert (folder / ".Processed" / "maildirfolder").exists()


def test_where_moving_fails_the_cursor_alone_remembers(folder: Path, reader: Make) -> None:
    (folder / ".Processed").write_text("in the way", encoding="utf-8")
    (folder / "new" / "1.mail").write_bytes(mail(0))
    read = reader({"kind": "maildir", "path": str(folder)})
    first = read.visits().visit(NAME).found
    assert (first.new, first.moved) == (1, 0)
    assert "cannot be moved" in first.remark
    (folder / "new" / "1.mail").rename(folder / "cur" / "1.mail:2,S")  # somebody read it
    again = read.visits().visit(NAME).found
    assert (again.new, again.known) == (0, 0)


def test_a_folder_that_is_no_maildir_is_told_at_once(tmp_path: Path, reader: Make) -> None:
    failed = reader({"kind": "maildir", "path": str(tmp_path / "none")}).visits().visit(NAME)
    assert failed.worrying
    assert "no Maildir" in failed.reason


def test_mistakes_in_the_table_are_named(reader: Make) -> None:
    for table, words in (
        ({"kind": "mbox"}, "Known kinds: imap, maildir, pop3"),
        ({"kind": "maildir", "path": "x", "host": "y"}, "unknown key 'mailboxes.returns.host'"),
        ({"kind": "maildir", "path": "x", "done_folder": "../y"}, "done_folder"),
        ({"kind": "imap", "host": "x", "username": "y", "done_folder": "INBOX"}, "the same"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            reader(table).visits().visit(NAME)
        assert words in f"{caught.value.message} {caught.value.next_step}"
