"""The SQL of mailboxes: how far each was read, and why it could not be."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine, select

from newsletter_bot.feedback.mailboxes import Cursor
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import mailbox_cursors
from newsletter_bot.storage.upsert import upserting
from newsletter_bot.storage.writer import Writer


@dataclass(frozen=True, slots=True)
class Standing:
    """How a mailbox stands."""

    cursor: Cursor = field(default_factory=Cursor)
    checked_at: int = 0
    failures: int = 0  # in a row
    reason: str = ""


class MailboxStore:
    """One row for each mailbox that was visited."""

    def __init__(self, engine: Engine, writer: Writer) -> None:
        self._engine = engine
        self._writer = writer

    def standing(self, name: str) -> Standing:
        """Return how a mailbox stands; as never visited where it has no row."""
        table = mailbox_cursors
        with reading(self._engine) as connection:
            found = connection.execute(select(table).where(table.c.mailbox == name)).first()
        if found is None:
            return Standing()
        cursor = Cursor(found.validity, found.position)
        return Standing(cursor, found.checked_at, found.failures, found.reason)

    def move_cursor(self, name: str, cursor: Cursor, now: int) -> None:
        """Note how far a mailbox was read."""
        read = {"validity": cursor.validity, "position": cursor.position}
        self._put(name, {**read, "checked_at": now})

    def note(self, name: str, now: int, failures: int, reason: str) -> None:
        """Note how a visit ended."""
        self._put(name, {"checked_at": now, "failures": failures, "reason": reason})

    def _put(self, name: str, values: dict[str, str | int]) -> None:
        def put(connection: Connection) -> None:
            first = {"mailbox": name, "validity": "", "position": "", **values}
            statement = upserting(connection, mailbox_cursors).values(first)
            connection.execute(
                statement.on_conflict_do_update(index_elements=["mailbox"], set_=values)
            )

        self._writer.run(put)
