"""How people come: a request is taken, settled into a letter, and confirmed from its mailbox."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine

from newsletter_bot.settings import Settings
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.outbox import Outbox
from newsletter_bot.storage.writer import Writer
from newsletter_bot.subscribers.asking_store import Asking
from newsletter_bot.subscribers.consent import (
    INVITED,
    By,
    Confirmed,
    PendingSignup,
    SignupRequest,
)
from newsletter_bot.subscribers.given import network_prefix
from newsletter_bot.subscribers.letters_store import Letters
from newsletter_bot.subscribers.limits_store import Limits
from newsletter_bot.subscribers.persons_store import Persons
from newsletter_bot.subscribers.settle_store import Settling
from newsletter_bot.subscribers.signup_store import Confirming, find_signup, keep_request
from newsletter_bot.subscribers.spike_store import Spikes
from newsletter_bot.subscribers.store import SubscriberStore
from newsletter_bot.subscribers.transitions_store import Transitions

_AT_ONCE = 50  # requests settled in one transaction


@dataclass(frozen=True, slots=True)
class Backing:
    """What people are kept in: the database, its writer, the outbox, the secret behind hashes."""

    engine: Engine
    writer: Writer
    outbox: Outbox
    secret: bytes
    clock: Callable[[], float] = time.time


class Arriving:
    """Signs people up, in two steps."""

    def __init__(self, settings: Settings, backing: Backing) -> None:
        self._settings = settings
        self._engine = backing.engine
        self._writer = backing.writer
        self._clock = backing.clock
        self._store = SubscriberStore(backing.engine, backing.secret, backing.clock, backing.outbox)
        self._persons = Persons(backing.secret)
        self._transitions = Transitions(backing.outbox)
        self.limits = Limits(backing.clock)
        self._letters = Letters(backing.secret, self.limits)
        self._spikes = Spikes(settings.signup, self.limits)
        self._asking = Asking(settings, self.limits, self._spikes, backing.clock)

    def ask(self, request: SignupRequest) -> int:
        """Keep a request of the form; returns its id. `settle` does the rest.

        Who is known is not looked at: the answer and the work are the same for everybody. Raises
        AddressError, DataError (no list, or none that is public; a text that is none), LimitError,
        ClosedError.
        """
        asked = self._asking.public(request)
        return self._writer.run(
            lambda connection: self._asking.admit(connection, asked, proved=request.proved)
        )

    def invite(self, request: SignupRequest, by: By = By.OPERATOR) -> int:
        """Ask somebody to confirm, for an operator or a program: without the form's limits.

        Those of letters to one mailbox hold here too. Raises AddressError, DataError.
        """
        source = INVITED if by is By.OPERATOR else by.value
        asked = self._asking.invited(request, source)
        return self._writer.run(lambda connection: keep_request(connection, asked))

    def settle(self, most: int = 200) -> int:
        """Turn requests into pending subscriptions and letters; returns how many were settled."""
        done = 0
        while done < most:
            limit = min(_AT_ONCE, most - done)
            count = self._settled(limit)
            done += count
            if count < limit:
                break
        if done:
            self._writer.run(lambda connection: self._spikes.look(connection, self._now()))
        return done

    def _settled(self, most: int) -> int:
        settling = Settling(self._persons, self._transitions, self._letters, self._now())
        return self._writer.run(lambda connection: settling.settle(connection, most))

    def signup(self, signup_id: int) -> PendingSignup | None:
        """Return a request that was mailed; None when there is none, or it was purged."""
        with reading(self._engine) as connection:
            return find_signup(connection, signup_id, self._now())

    def confirm(self, signup_id: int, prefix: str = "") -> Confirmed | None:
        """Make a request's subscriptions active; None when it was purged.

        Again and in parallel, it is done once and answered the same. `prefix` is the network that
        the confirmation came from.
        """
        welcome = self._settings.signup.welcome
        confirming = Confirming(self._persons, self._transitions, self._letters, welcome=welcome)
        network = network_prefix(prefix)
        return self._writer.run(
            lambda connection: confirming.confirm(connection, signup_id, network, self._now())
        )

    def spike(self) -> str | None:
        """Say why sign-ups are paused just now; None when they are not."""
        with reading(self._engine) as connection:
            return self._spikes.reason(connection, self._now())

    def _now(self) -> int:
        return int(self._clock())
