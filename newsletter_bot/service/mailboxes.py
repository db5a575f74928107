"""What the service does about mailboxes: those whose time has come are read, and rung for."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

from newsletter_bot.bot import Bot
from newsletter_bot.errors import NewsletterError, TryAgainError
from newsletter_bot.feedback.mailboxes.visits import Visited
from newsletter_bot.logs import log

_ROUNDS = 20  # visits in a row to a mailbox in which more is left

Say = Callable[[str, str, str], bool]  # key, title, text: see Alerts.say


class MailboxDuty:
    """A duty of a worker; it may be killed at any moment, and is done again."""

    def __init__(self, bot: Bot, say: Say, ring: Callable[[str], None]) -> None:
        self._bot = bot
        self._say = say
        self._ring = ring
        self._stopping = Event()

    def stop(self) -> None:
        """Begin nothing more; a mail that is being kept is kept."""
        self._stopping.set()

    def look(self) -> None:
        """Read every mailbox that is due."""
        for name in self._bot.mailboxes.due():
            for _ in range(_ROUNDS):
                if self._stopping.is_set() or not self._visit(name):
                    break

    def _visit(self, name: str) -> bool:
        """Read one; returns whether it has more, and gave some of it."""
        try:
            visited = self._bot.mailboxes.visit(name, self._stopping.is_set)
        except TryAgainError as error:
            log("mailbox.later", mailbox=name, reason=error.message)
            return False
        except NewsletterError as error:
            log("mailbox.failed", mailbox=name, reason=error.message)
            self._warn(name, f"{error.message} {error.next_step}")
            return False
        self._tell(visited)
        if visited.found.new:
            self._ring("feedback")
        return visited.found.more and visited.found.new > 0

    def _tell(self, visited: Visited) -> None:
        name, found = visited.name, visited.found
        if visited.reason:
            log("mailbox.failed", mailbox=name, reason=visited.reason, failures=visited.failures)
            if visited.worrying:
                self._warn(name, f"{visited.reason}. It is tried again; nothing in it is lost.")
        elif found.new or found.known or found.remark:
            counts = {"new": found.new, "known": found.known, "moved": found.moved}
            log("mailbox.read", mailbox=name, **counts, remark=found.remark)
        if found.missed:
            title = f"Mails of the mailbox {name} could not be read"
            self._say(f"mailbox-mails:{name}", title, found.remark)

    def _warn(self, name: str, text: str) -> None:
        self._say(f"mailbox:{name}", f"The mailbox {name} cannot be read", text)
