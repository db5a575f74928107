"""Taking a request of the form: checked, limited, and kept; who is known is never looked at."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from newsletter_bot.settings import Settings
from newsletter_bot.settings.tables import seconds
from newsletter_bot.subscribers.address import parse_address, rate_key
from newsletter_bot.subscribers.consent import ClosedError, LimitError, SignupRequest
from newsletter_bot.subscribers.given import (
    checked_evidence,
    checked_language,
    checked_lists,
    checked_name,
)
from newsletter_bot.subscribers.homographs import refuse_homographs
from newsletter_bot.subscribers.limits_store import Limits
from newsletter_bot.subscribers.signup_store import Asked, keep_request
from newsletter_bot.subscribers.spike_store import Spikes


class Asking:
    """Takes requests: those of the form within the limits of [signup]."""

    def __init__(
        self, settings: Settings, limits: Limits, spikes: Spikes, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._table = settings.signup
        self._limits = limits
        self._spikes = spikes
        self._clock = clock

    def public(self, request: SignupRequest) -> Asked:
        """Check a request of the form, which may name public lists alone.

        Raises AddressError, DataError.
        """
        return self._checked(
            request, {one.id for one in self._settings.lists if one.public}, "form"
        )

    def invited(self, request: SignupRequest, source: str) -> Asked:
        """Check a request that the operator or a program makes for somebody."""
        return self._checked(request, {one.id for one in self._settings.lists}, source)

    def admit(self, connection: Connection, asked: Asked, *, proved: bool) -> int:
        """Keep a request of the form, when there is room for it; returns its id.

        Raises ClosedError, LimitError: then nothing was written, and nothing was used up.
        """
        until = self._spikes.paused_until(connection)
        if not self._table.open or until is not None:
            raise ClosedError("Nobody can sign up just now.", "Try again later.")
        for name, key, rate in self._rates(asked, proved=proved):
            if wait := self._limits.take(connection, name, key, rate):
                raise LimitError(wait)
        return keep_request(connection, asked)

    def _rates(self, asked: Asked, *, proved: bool) -> list[tuple[str, str, str]]:
        table = self._table
        # The narrowest first: a flood from one network ends at its own row.
        rates = [
            ("signup-prefix", asked.consent.get("prefix", ""), table.per_prefix),
            ("signup-domain", rate_key(asked.address).rpartition("@")[2], table.per_domain),
            ("signup", "", table.overall),
        ]
        if table.proof_of_work == "on" and not proved:
            rates.insert(1, ("signup-without-proof", "", table.without_proof))
        return rates

    def _checked(self, request: SignupRequest, known: set[str], source: str) -> Asked:
        address = parse_address(request.address)
        refuse_homographs(address)
        evidence = checked_evidence(request.evidence)
        now = int(self._clock())
        consent = {
            "source": source,
            "at": str(now),
            "asked_at": str(now),
            "wording": evidence.wording,
            "version": evidence.version or self._table.version,
            "page": evidence.page,
            "prefix": evidence.prefix,
        }
        return Asked(
            address=address,
            lists=checked_lists(request.lists, known),
            name=checked_name(request.name),
            language=checked_language(request.language),
            consent={name: value for name, value in consent.items() if value},
            asked_at=now,
            expires_at=now + seconds(self._table.expires),
        )
