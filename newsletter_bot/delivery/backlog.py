"""What was read and waits for a session: by relay, with domains that take no more now apart."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from newsletter_bot.delivery.domains import Domains
from newsletter_bot.delivery.feed import Feed
from newsletter_bot.delivery.model import Recipient
from newsletter_bot.delivery.relays import Relay, Router

_ENOUGH = 200  # readers of one relay or one domain that are kept in memory


class Backlog:
    """Hands each relay its next delivery, and never one that its domain does not take now."""

    def __init__(
        self, feed: Feed, router: Router, relays: Sequence[Relay], domains: Domains
    ) -> None:
        self._feed = feed
        self._router = router
        self._domains = domains
        self._queues: dict[str, deque[Recipient]] = {one.name: deque() for one in relays}
        self._parked: dict[tuple[str, str], deque[Recipient]] = {}

    def take(self, relay: Relay, now: float) -> Recipient | None:
        """Return the next delivery for a relay; None when it has none that may go now."""
        if self._parked:
            found = self._unpark(relay, now)
            if found is not None:
                return found
        queue = self._queues[relay.name]
        while queue or self._read_on(relay, now):
            recipient = queue.popleft()
            if self._admits(relay, recipient.domain, now):
                return recipient
            self._park(relay, recipient)
        return None

    def give_back(self, relay: Relay, recipient: Recipient) -> None:
        """Return a delivery that certainly did not happen: it is the relay's next."""
        self._queues[relay.name].appendleft(recipient)

    def reroute(self, relay: Relay) -> None:
        """Share out what waited for a relay that is down."""
        waiting = [*self._queues[relay.name]]
        self._queues[relay.name].clear()
        for key in [one for one in self._parked if one[0] == relay.name]:
            waiting.extend(self._parked.pop(key))
        for recipient in waiting:
            self._enqueue(recipient, relay)

    def has_more_than(self, count: int, relay: Relay, now: float) -> bool:
        """Tell whether a relay could take more deliveries than that now; reads on if it must."""
        if not self._queues[relay.name]:
            self._read_on(relay, now)
        ready = len(self._queues[relay.name])
        for (name, domain), parked in self._parked.items():
            if name == relay.name and self._admits(relay, domain, now):
                ready += len(parked)
        return ready > count

    def settled(self, delivery_id: int) -> None:
        """Note that a delivery came to an outcome."""
        self._feed.settled(delivery_id)

    def look_again(self) -> None:
        """Look for deferred deliveries at the next `take`, because some have become due."""
        self._feed.look_again()

    def cooling(self, relay: Relay, now: float) -> tuple[str, float] | None:
        """Return the domain for which alone deliveries wait, and until when (seconds, UTC)."""
        if self._queues[relay.name]:
            return None
        ends = []
        for name, domain in self._parked:
            if name == relay.name:
                ends.append((self._domains.limit(name, domain).not_before, domain))
        if not ends or min(ends)[0] <= now:
            return None
        until, domain = min(ends)
        return domain, until

    def waiting(self, relay: Relay) -> bool:
        """Tell whether anything that was read waits for a relay, whatever its domain says."""
        return bool(self._queues[relay.name]) or any(key[0] == relay.name for key in self._parked)

    def _admits(self, relay: Relay, domain: str, now: float) -> bool:
        return self._domains.limit(relay.name, domain).admits(now)

    def _read_on(self, relay: Relay, now: float) -> bool:
        """Read until the relay has something, or another has so much that all must wait for it."""
        queue = self._queues[relay.name]
        while not queue:
            if any(len(other) > _ENOUGH for other in self._queues.values()):
                return False
            page = self._feed.read(now)
            if not page:
                return False
            for recipient in page:
                self._enqueue(recipient, relay)
        return True

    def _enqueue(self, recipient: Recipient, otherwise: Relay) -> None:
        relay = self._router.route(recipient) or otherwise
        self._queues[relay.name].append(recipient)

    def _park(self, relay: Relay, recipient: Recipient) -> None:
        domain = recipient.domain
        parked = self._parked.setdefault((relay.name, domain), deque())
        parked.append(recipient)
        if len(parked) >= _ENOUGH:
            self._feed.set_aside(domain)

    def _unpark(self, relay: Relay, now: float) -> Recipient | None:
        for key, parked in self._parked.items():
            name, domain = key
            if name != relay.name or not self._admits(relay, domain, now):
                continue
            if not parked:
                for one in self._feed.read_aside(domain, _ENOUGH):
                    routed = self._router.route(one) or relay
                    self._parked.setdefault((routed.name, domain), deque()).append(one)
            if parked:
                return parked.popleft()
            del self._parked[key]
            return None
        return None
