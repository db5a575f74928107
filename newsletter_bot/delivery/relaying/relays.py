"""The ways out: each relay's share of the messages, and what it may not do just now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from newsletter_bot.delivery.model import Recipient
from newsletter_bot.delivery.relaying.pacing import Pace
from newsletter_bot.delivery.transports import Transport

# Seconds to wait before a relay that failed is asked again; the last for all that follow.
PAUSES = (0.2, 1.0, 3.0)
_LONGEST_WAIT = 60.0  # seconds that a run stays without --wait
_LONG_PAUSES = (30.0, 60.0, 120.0, 300.0, 600.0)


@dataclass(eq=False)
class Relay:
    """One relay during one run."""

    name: str
    transport: Transport
    connections: int
    pace: Pace
    weight: int = 1
    lists: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    failures: int = 0  # in a row, without a message between
    rests_until: float = 0.0  # time.monotonic
    failed_at: float = 0.0  # the same
    asked_until: float = 0.0  # the same: until when it asked to be left alone
    reason: str = ""
    down: bool = False
    owed: float = field(default=0.0, repr=False)  # its turn in the smooth weighted round robin

    def carries(self, list_id: str, domain: str) -> bool:
        """Tell whether messages of that list, from that domain, may go this way."""
        return (not self.lists or list_id in self.lists) and (
            not self.domains or domain in self.domains
        )

    def fail(
        self, reason: str, now: float, *, lasting: bool, patient: bool, wait: float = 0.0
    ) -> None:
        """Back off; a relay that keeps failing is down, for this run unless it is patient.

        So is one that asked for a longer `wait` than a run stays for that is not.
        """
        self.failures += 1
        self.reason = reason
        self.failed_at = now
        self.asked_until = now + wait if wait else 0.0
        pauses = (*PAUSES, *_LONG_PAUSES) if patient else PAUSES
        given_up = self.failures > len(PAUSES) or wait > _LONGEST_WAIT
        self.down = lasting or (not patient and given_up)
        self.rests_until = now + max(wait, pauses[min(self.failures, len(pauses)) - 1])

    @property
    def given_up(self) -> bool:
        """True when what it should carry had better go another way, until it works again."""
        return self.down or self.failures > len(PAUSES)

    def works(self) -> bool:
        """Note that it answered; tells whether it had failed before."""
        failed, self.failures = self.failures > 0, 0
        return failed


class Router:
    """Says which relay carries a delivery: a strict share each, by weight."""

    def __init__(self, relays: Sequence[Relay], from_domains: dict[str, str]) -> None:
        self._relays = relays
        self._from_domains = from_domains  # by list

    def route(self, recipient: Recipient) -> Relay | None:
        """Choose a relay; the one that tried before, if it can: greylisting knows it (RFC 6647).

        None when those that may carry it are all down.
        """
        able = [one for one in self._able(recipient.list) if not one.down]
        if len(able) == 1:
            return able[0]
        well = [one for one in able if not one.failures] or able
        before = next((one for one in well if one.name == recipient.relay), None)
        return before or (self._by_weight(well) if well else None)

    def may_carry(self, relay: Relay, recipient: Recipient) -> bool:
        """Tell whether a relay is one of those that carry a delivery, however it is now."""
        return relay.carries(recipient.list, self._from_domains.get(recipient.list, ""))

    def unroutable(self, lists: Sequence[str]) -> str | None:
        """Return a list whose messages no relay carries."""
        return next((one for one in lists if not self._able(one)), None)

    def _able(self, list_id: str) -> list[Relay]:
        domain = self._from_domains.get(list_id, "")
        return [one for one in self._relays if one.carries(list_id, domain)]

    def _by_weight(self, relays: Sequence[Relay]) -> Relay:
        # nginx's smooth weighted round robin: shares are exact and never come in bursts.
        for one in relays:
            one.owed += one.weight
        chosen = max(relays, key=lambda one: one.owed)
        chosen.owed -= sum(one.weight for one in relays)
        return chosen
