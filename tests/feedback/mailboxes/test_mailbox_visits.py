"""Who is due, and what is noted of a visit, on each kind of database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from newsletter_bot.feedback.events.intake import Intake
from newsletter_bot.feedback.mailboxes import Cursor
from newsletter_bot.feedback.mailboxes.store import MailboxStore
from newsletter_bot.feedback.mailboxes.visits import MailboxVisits
from tests.feedback.mailboxes.conftest import NAME, Reader, mail


def test_visits_are_noted_and_come_due_again(
    reader: Callable[[dict[str, Any]], Reader], tmp_path: Path
) -> None:
    read = reader({"kind": "maildir", "path": str(tmp_path / "box"), "every": "5m"})
    store = MailboxStore(read.engine, read.writer)
    now = [1_800_000_000.0]
    keep = Intake(read.writer).keep_mail
    visits = MailboxVisits(read.engine, read.writer, read.settings, keep, lambda: now[0])
    assert visits.due() == [NAME]
    failed = visits.visit(NAME)
    assert (failed.failures, store.standing(NAME).reason) == (1, failed.reason)
    assert visits.due() == []
    now[0] += 300
    assert visits.due() == [NAME]
    for name in ("new", "cur", "tmp"):
        (tmp_path / "box" / name).mkdir(parents=True)
    (tmp_path / "box" / "new" / "1.mail").write_bytes(mail(1))
    assert visits.visit(NAME).found.new == 1
    standing = store.standing(NAME)
    assert (standing.failures, standing.reason, standing.checked_at) == (0, "", int(now[0]))
    now[0] -= 86_400  # a clock that was set back
    assert visits.due() == [NAME]
    store.move_cursor(NAME, Cursor("7", "9"), 5)
    assert store.standing(NAME).cursor == Cursor("7", "9")
    assert read.kept() == [mail(1)]
