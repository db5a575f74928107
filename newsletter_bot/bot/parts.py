"""The parts of a newsletter, each wired from the settings and opened when it is first needed.

Folders are imported where they are first used: `status` should not wait for lxml and premailer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from newsletter_bot.settings import Settings
from newsletter_bot.settings.secret import signing_secret

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from newsletter_bot.crosspost.desk import Crossposts
    from newsletter_bot.delivery.letters.sender import Letters
    from newsletter_bot.delivery.mailroom import Mailroom
    from newsletter_bot.feedback.events.desk import Feedback
    from newsletter_bot.feedback.events.intake import Intake
    from newsletter_bot.feedback.mailboxes.visits import MailboxVisits
    from newsletter_bot.feedback.visits.visit_counter import VisitCounter
    from newsletter_bot.hooks.desk import Webhooks
    from newsletter_bot.issues.collect.inbox import Inbox
    from newsletter_bot.reports.desk import Reports
    from newsletter_bot.reports.page import Page
    from newsletter_bot.storage.outbox import Doorbell, Outbox
    from newsletter_bot.storage.writer import Writer
    from newsletter_bot.subscribers.arriving import Backing
    from newsletter_bot.subscribers.people import People
    from newsletter_bot.subscribers.segments import Segments
    from newsletter_bot.subscribers.store import SubscriberStore
    from newsletter_bot.subscribers.tokens import TokenSigner


class Parts:
    """One newsletter's folder and what works on it."""

    def __init__(self, settings: Settings, clock: Callable[[], float] | None = None) -> None:
        """`clock` is for rehearsals: seconds since 1970 UTC instead of the machine's own."""
        self.settings = settings
        self._clock = clock

    def close(self) -> None:
        """Let go of the database, when it was opened; changes handed in before are made."""
        if "visit_counter" in self.__dict__:
            self.visit_counter.close()
        if "writer" in self.__dict__:
            self.writer.close()
        if "engine" in self.__dict__:
            self.engine.dispose()

    @cached_property
    def engine(self) -> Engine:
        """The database, its tables up to date."""
        from newsletter_bot.storage.engine import open_engine

        return open_engine(self.settings.database.url, self.settings.folder)

    @cached_property
    def secret(self) -> bytes:
        """The secret behind links, tokens and suppression hashes."""
        return signing_secret(self.settings)

    @cached_property
    def signer(self) -> TokenSigner:
        """What makes and reads the tokens of links."""
        from newsletter_bot.subscribers.tokens import TokenSigner

        return TokenSigner(self.secret)

    @cached_property
    def writer(self) -> Writer:
        """What runs the changes that the web and the API make."""
        from newsletter_bot.storage.writer import Writer

        return Writer(self.engine)

    @property
    def outbox(self) -> Outbox:
        """Where events for [[webhooks]] are put."""
        from newsletter_bot.storage.outbox import Outbox

        return Outbox.of(self.settings, self.doorbell.ring)

    @cached_property
    def doorbell(self) -> Doorbell:
        """What rings when there is something to tell."""
        from newsletter_bot.storage.outbox import Doorbell

        return Doorbell()

    @property
    def webhooks(self) -> Webhooks:
        """The endpoints that are told what happens."""
        from newsletter_bot.hooks.desk import Webhooks

        return Webhooks(self.engine, self.writer, self.settings, self.secret, self._clock)

    @cached_property
    def subscribers(self) -> SubscriberStore:
        """The people."""
        from newsletter_bot.subscribers.store import SubscriberStore

        return SubscriberStore(self.engine, self.secret, outbox=self.outbox)

    @cached_property
    def people(self) -> People:
        """What may be done with the people: sign-ups, choices, leaving, erasure."""
        from newsletter_bot.subscribers.people import People

        return People(self.settings, self._backing)

    @property
    def _backing(self) -> Backing:
        from newsletter_bot.subscribers.arriving import Backing

        clock = self._clock or time.time
        return Backing(self.engine, self.writer, self.outbox, self.secret, clock)

    @cached_property
    def segments(self) -> Segments:
        """Rules about people: files, queries, and who matches."""
        from newsletter_bot.subscribers.segments import Segments

        return Segments(self.settings, lambda: self.engine, self._clock or time.time)

    @property
    def mailroom(self) -> Mailroom:
        """The ledger, and the relay it sends through.

        Made anew each time it is asked for: its clock is right when it is made, and steady from
        there, which would be wrong after weeks, or after a machine was asleep.
        """
        from newsletter_bot.delivery.mailroom import Mailroom

        return Mailroom(self.engine, self.settings, self.secret, self._clock)

    @cached_property
    def letters(self) -> Letters:
        """Mails to one person outside any issue: what is owed of them, and the relay."""
        from newsletter_bot.delivery.letters.sender import Letters

        return Letters(self.engine, self.settings, self.secret, self._clock or time.time)

    @cached_property
    def intake(self) -> Intake:
        """Where what comes back is kept, as it came."""
        from newsletter_bot.feedback.events.intake import Intake

        return Intake(self.writer, self._clock or time.time)

    @cached_property
    def feedback(self) -> Feedback:
        """What reads it, and acts on it."""
        from newsletter_bot.feedback.events.desk import Feedback

        return Feedback(self.settings, self._backing)

    @cached_property
    def mailboxes(self) -> MailboxVisits:
        """The mailboxes that bounces arrive in."""
        from newsletter_bot.feedback.mailboxes.visits import MailboxVisits

        keep, clock = self.intake.keep_mail, self._clock or time.time
        return MailboxVisits(self.engine, self.writer, self.settings, keep, clock)

    @cached_property
    def crossposts(self) -> Crossposts:
        """What is posted elsewhere, and its ledger."""
        from newsletter_bot.crosspost.desk import Crossposts

        return Crossposts(self.engine, self.settings)

    @property
    def reports(self) -> Reports:
        """What issues came to, in numbers."""
        from newsletter_bot.reports.desk import Reports

        return Reports(self.engine, self.settings.newsletter.zone, self._clock or time.time)

    @property
    def report_pages(self) -> Page:
        """Reports as pages."""
        from newsletter_bot.reports.page import Page

        return Page(self.settings.newsletter.name, self.settings.folder)

    @cached_property
    def visit_counter(self) -> VisitCounter:
        """What counts opens and clicks."""
        from newsletter_bot.feedback.visits.visit_counter import VisitCounter

        clock = self._clock or time.time
        return VisitCounter(self.engine, self.writer, self.settings.tracking, clock)

    @property
    def inbox(self) -> Inbox:
        """The file that links are gathered in."""
        from newsletter_bot.issues.collect.inbox import Inbox

        return Inbox(self.settings.folder / self.settings.collect.inbox)
