"""What every kind of mailbox promises: all that arrives is kept once, whoever is killed when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from newsletter_bot.errors import BusyError
from newsletter_bot.feedback.mailboxes import LONGEST_KEPT
from newsletter_bot.storage.lock import exclusive
from tests.feedback.mailboxes.conftest import NAME, Box, Reader, mail

Make = Callable[[dict[str, Any]], Reader]


class KilledError(BaseException):
    """What stands for a process that ended here."""


@pytest.fixture
def database_url() -> str:
    """The kinds know nothing of the database; test_mailbox_visits.py has both."""
    return "sqlite:///test.db"


def test_every_mail_is_kept_once_and_moved_away(box: Box, reader: Make) -> None:
    read = reader(box.table)
    wanted = [mail(number) for number in range(3)]
    for one in wanted:
        box.add(one)
    first = read.visits().visit(NAME)
    assert (first.reason, first.found.new, first.found.known) == ("", 3, 0)
    box.add(mail(3))
    second = read.visits().visit(NAME)
    assert (second.found.new, second.found.known, second.found.more) == (1, 0, False)
    assert sorted(read.kept()) == sorted([*wanted, mail(3)])
    if box.moves:
        assert (first.found.moved, box.waiting()) == (3, [])
        assert sorted(box.done()) == sorted(read.kept())
    else:
        assert sorted(box.waiting()) == sorted(read.kept())
    assert read.visits().visit(NAME).found.new == 0


def test_a_process_killed_between_store_and_move_loses_and_doubles_nothing(
    box: Box, reader: Make
) -> None:
    read = reader(box.table)
    for number in range(3):
        box.add(mail(number))
    keep = read.visits()._keep

    def killed(body: bytes) -> bool:
        keep(body)
        raise KilledError

    with pytest.raises(KilledError):
        read.visits(killed).visit(NAME)
    assert len(read.kept()) == 1
    assert len(box.waiting()) == 3
    done = read.visits().visit(NAME)
    assert (done.reason, done.found.new, done.found.known) == ("", 2, 1)
    assert sorted(read.kept()) == [mail(0), mail(1), mail(2)]
    assert len(box.done()) == (3 if box.moves else 0)


def test_a_mail_without_measure_is_kept_in_its_first_megabyte(box: Box, reader: Make) -> None:
    read = reader(box.table)
    line = b"x" * 5_000 + b"\r\n"  # longer than any standard allows, and seen
    huge = mail(0) + line * 500
    box.add(huge)
    box.add(mail(1))
    assert read.visits().visit(NAME).found.new == 2
    first, second = sorted(read.kept(), key=len, reverse=True)
    assert len(first) == LONGEST_KEPT
    assert huge.startswith(first)
    assert second == mail(1)


def test_a_visit_ends_at_its_bound_and_the_next_one_goes_on(box: Box, reader: Make) -> None:
    read = reader({**box.table, "most": 2})
    for number in range(3):
        box.add(mail(number))
    first = read.visits().visit(NAME).found
    assert (first.new, first.more) == (2, True)
    second = read.visits().visit(NAME).found
    assert (second.new, second.more) == (1, False)
    assert len(read.kept()) == 3


def test_a_process_that_is_asked_to_end_goes_no_further(box: Box, reader: Make) -> None:
    box.add(mail(0))
    read = reader(box.table)
    found = read.visits().visit(NAME, lambda: True).found
    assert (found.new, found.more) == (0, True)
    assert read.visits().visit(NAME).found.new == 1


def test_one_process_at_a_time_reads_a_mailbox(box: Box, reader: Make) -> None:
    read = reader(box.table)
    with exclusive(read.engine, f"mailbox-{NAME}") as held:
        assert held
        with pytest.raises(BusyError, match=NAME):
            read.visits().visit(NAME)


def test_bytes_that_are_no_text_are_kept_as_they_are(box: Box, reader: Make) -> None:
    read = reader(box.table)
    odd = b"Subject: \xff\xfe\r\n\r\n\x80\r\n.\r\n..\r\n* 1 FETCH (UID 9)\r\n)\r\n"
    box.add(odd)
    read.visits().visit(NAME)
    assert read.kept() == [odd]
