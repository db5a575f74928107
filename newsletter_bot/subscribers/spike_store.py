"""The SQL of noticing that sign-ups are abused: many requests, and hardly any confirmed."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from newsletter_bot.settings.people import SignupTable
from newsletter_bot.settings.tables import seconds
from newsletter_bot.storage.tables import limits, signups
from newsletter_bot.subscribers.limits_store import Limits
from newsletter_bot.subscribers.signup_store import CONFIRMED

_NAME = "signup-paused"
_HOUR = 3600
_TIME_TO_ANSWER = 900  # seconds that a reader is given to find the mail
_TOO_FEW = 0.1  # of those who had that time


class Spikes:
    """Pauses sign-ups; the pause is a row of `limits`, so that every process keeps it."""

    def __init__(self, table: SignupTable, limits: Limits) -> None:
        self._table = table
        self._limits = limits

    def paused_until(self, connection: Connection) -> int | None:
        """Return until when nobody may sign up; None when they may."""
        return self._limits.ends_at(connection, _NAME, "")

    def reason(self, connection: Connection, now: int) -> str | None:
        """Say why sign-ups are paused, None when they are not."""
        query = select(limits.c.count).where(
            limits.c.name == _NAME, limits.c.key == "", limits.c.ends_at > now
        )
        count = connection.execute(query).scalar()
        if count is None:
            return None
        return f"{count} sign-ups were asked for within an hour and hardly any was confirmed"

    def look(self, connection: Connection, now: int) -> None:
        """Pause sign-ups when it looks as if the form is used against other people's mailboxes.

        It is judged once a tenth of `signup.pause_at` had time to answer, so that a good day's
        first quarter of an hour pauses nothing.
        """
        if self.paused_until(connection) is not None:
            return
        recent = signups.c.asked_at > now - _HOUR
        asked = connection.execute(select(func.count()).where(recent)).scalar_one()
        if asked < self._table.pause_at:
            return
        had_time = signups.c.asked_at <= now - _TIME_TO_ANSWER
        confirmed = func.count().filter(signups.c.state == CONFIRMED)
        query = select(func.count(), confirmed).where(recent, had_time)
        older, answered = connection.execute(query).one()
        if older >= self._table.pause_at / 10 and answered < older * _TOO_FEW:
            until = now + seconds(self._table.pause_for)
            self._limits.keep(connection, _NAME, "", asked, until)
