"""What was read and waits for a session: by relay, with domains that take no more now apart."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator, Sequence

from newsletter_bot.delivery.feed import Feed
from newsletter_bot.delivery.model import Recipient
from newsletter_bot.delivery.relaying.domains import Domains
from newsletter_bot.delivery.relaying.relays import Relay, Router

_ENOUGH = 500  # deliveries of a pile that are kept in memory: a page of the feed
_PAGES = 4  # that are read in search of a relay's next delivery, before sessions have their turn
_SEARCHED = 2000  # deliveries that are looked at in such a search


class Pile:
    """Deliveries that wait, in order; of all but the first, no more than the id is kept."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._first: deque[Recipient] = deque()
        self._ids = array("q")

    def __len__(self) -> int:
        return len(self._first) + len(self._ids)

    def add(self, recipient: Recipient) -> None:
        """Put a delivery at the end."""
        full = len(self._first) >= _ENOUGH or (self._first and self._ids)
        if full and not self._feed.kept(recipient.delivery_id):
            self._ids.append(recipient.delivery_id)
        else:
            self._first.append(recipient)

    def add_first(self, recipient: Recipient) -> None:
        """Put a delivery before all others."""
        self._first.appendleft(recipient)

    def next(self) -> Recipient | None:
        """Take the first delivery."""
        self._read()
        return self._first.popleft() if self._first else None

    def last(self) -> Recipient | None:
        """Return, and leave, the last delivery of those in memory."""
        self._read()
        return self._first[-1] if self._first else None

    def drop_last(self) -> None:
        """Take out what `last` returned."""
        self._first.pop()

    def part(self) -> list[Recipient]:
        """Take all deliveries that are in memory, at least one if there is any."""
        self._read()
        found = [*self._first]
        self._first.clear()
        return found

    def _read(self) -> None:
        while self._ids and not self._first:
            self._first.extend(self._feed.read_again(self._ids))


class Backlog:
    """Hands each relay its next delivery, and never one that its domain does not take now."""

    def __init__(
        self, feed: Feed, router: Router, relays: Sequence[Relay], domains: Domains
    ) -> None:
        self._feed = feed
        self._router = router
        self._relays = relays
        self._domains = domains
        self._queues = {one.name: Pile(feed) for one in relays}
        self._parked: dict[str, dict[str, Pile]] = {one.name: {} for one in relays}  # by domain

    def take(self, relay: Relay, now: float) -> Recipient | None:
        """Return the next delivery for a relay; None when it has none that may go now.

        None as well after a long search: ask again.
        """
        for pile in self._admitted(relay, now):
            found = pile.next()
            if found is not None:
                return found
        queue = self._queues[relay.name]
        for _ in range(_SEARCHED):
            if not queue and not self._read_on(relay, now):
                return None
            recipient = queue.next()
            if recipient is None:
                continue
            if self._admits(relay, recipient.domain, now):
                return recipient
            self._park(relay, recipient)
        return None

    def give_back(self, relay: Relay, recipient: Recipient) -> None:
        """Return a delivery that certainly did not happen: it is the relay's next."""
        self._feed.keep(recipient.delivery_id)
        self._queues[relay.name].add_first(recipient)

    def reroute(self, relay: Relay) -> None:
        """Share out what waits for a relay that is down, or a part of it: call it again."""
        piles = [self._queues[relay.name], *self._parked[relay.name].values()]
        for recipient in [one for pile in piles for one in pile.part()]:
            self._enqueue(recipient, relay)
        self._forget_empty(relay)

    def has_more_than(self, count: int, relay: Relay, now: float) -> bool:
        """Tell whether a relay could take more deliveries than that now; reads on if it must."""
        queue = self._queues[relay.name]
        if not queue:
            self._read_on(relay, now)
        ready = len(queue)
        if ready > count:
            return True
        for pile in self._admitted(relay, now):
            ready += len(pile)
            if ready > count:
                return True
        return False

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
        self._forget_empty(relay)
        domains = {*self._parked[relay.name], *self._feed.aside}
        ends = [(self._domains.limit(relay.name, one).not_before, one) for one in domains]
        if not ends or min(ends)[0] <= now:
            return None
        until, domain = min(ends)
        return domain, until

    def waiting(self, relay: Relay) -> bool:
        """Tell whether anything that was read waits for a relay, whatever its domain says.

        What is set aside waits for all that work, or else for all.
        """
        if self._queues[relay.name] or any(self._parked[relay.name].values()):
            return True
        able = not relay.down or all(one.down for one in self._relays)
        return able and bool(self._feed.aside)

    def _admits(self, relay: Relay, domain: str, now: float) -> bool:
        return self._domains.limit(relay.name, domain).admits(now)

    def _admitted(self, relay: Relay, now: float) -> Iterator[Pile]:
        """Yield what was parked for a relay and may go now, after reading on where that is due."""
        parked = self._parked[relay.name]
        self._forget_empty(relay)
        for domain in [*parked]:
            if self._admits(relay, domain, now):
                yield parked[domain]
        for domain in [*self._feed.aside]:
            if domain not in parked and self._admits(relay, domain, now):
                for recipient in self._feed.read_aside(domain):
                    self._park(self._routed(recipient, relay), recipient)
                if domain in parked:
                    yield parked[domain]

    def _forget_empty(self, relay: Relay) -> None:
        parked = self._parked[relay.name]
        for domain in [domain for domain, pile in parked.items() if not pile]:
            del parked[domain]

    def _read_on(self, relay: Relay, now: float) -> bool:
        """Read until the relay has something, but not for long; tells whether it has."""
        queue = self._queues[relay.name]
        for other in self._relays:
            if other is not relay and other.given_up:
                self.reroute(other)
        for _ in range(_PAGES):
            if relay.failures and not queue:
                self._give_one_to_try(relay)
            if queue:
                return True
            page = self._feed.read(now)
            if not page:
                return False
            for recipient in page:
                self._enqueue(recipient, relay)
        return bool(queue)

    def _give_one_to_try(self, relay: Relay) -> None:
        """Give a relay that failed something of the others': else it would never work again."""
        for other in self._relays:
            pile = self._queues[other.name]
            found = pile.last()
            if other is not relay and found and self._router.may_carry(relay, found):
                pile.drop_last()
                self._queues[relay.name].add(found)
                return

    def _enqueue(self, recipient: Recipient, otherwise: Relay) -> None:
        self._queues[self._routed(recipient, otherwise).name].add(recipient)

    def _routed(self, recipient: Recipient, otherwise: Relay) -> Relay:
        """Choose a relay; where all that may carry it are down, it waits for one of them."""
        able = (one for one in self._relays if self._router.may_carry(one, recipient))
        return self._router.route(recipient) or next(able, otherwise)

    def _park(self, relay: Relay, recipient: Recipient) -> None:
        domain = recipient.domain
        parked = self._parked[relay.name]
        pile = parked.setdefault(domain, Pile(self._feed))
        pile.add(recipient)
        if len(pile) >= _ENOUGH:
            self._feed.set_aside(domain)
