"""The deliveries of a run, read page by page: flat memory at any size."""

from __future__ import annotations

from newsletter_bot.delivery.model import DeliveryState, Recipient
from newsletter_bot.delivery.store import LedgerStore, Page

_PAGE = 500
_LOOK_AGAIN = 5.0  # seconds between two looks for deferred deliveries whose time has come


class Feed:
    """Reads what is due once: the planned in order of their id, the deferred when it is time.

    A domain that cannot take more now is set aside: pages leave it out from there on, and it has a
    stream of its own, so that neither memory fills with its readers nor the others wait for them.
    """

    def __init__(self, store: LedgerStore, issue_id: int) -> None:
        self._store = store
        self._issue_id = issue_id
        self._after = 0
        self._planned_left = True
        self._looked = float("-inf")
        self._aside: dict[str, int] = {}
        self._again: set[int] = set()  # deferred ones that were handed out

    def read(self, now: float) -> list[Recipient]:
        """Return the next page; empty when nothing is due now."""
        if now >= self._looked + _LOOK_AGAIN:
            self._looked = now
            due = self._store.due(self._issue_id, DeliveryState.DEFERRED, Page(0, _PAGE))
            found = [one for one in due if one.delivery_id not in self._again]
            if found:
                self._again.update(one.delivery_id for one in found)
                return found
        return self._next_planned() if self._planned_left else []

    def look_again(self) -> None:
        """Look for deferred deliveries at the next `read`."""
        self._looked = float("-inf")

    def settled(self, delivery_id: int) -> None:
        """Forget a delivery that came to an outcome: deferred again, it may be read again."""
        self._again.discard(delivery_id)

    def set_aside(self, domain: str) -> None:
        """Leave a domain out of the pages that follow."""
        self._aside.setdefault(domain, self._after)

    def read_aside(self, domain: str, limit: int) -> list[Recipient]:
        """Return the next deliveries of a domain that was set aside."""
        if domain not in self._aside:
            return []
        page = self._store.due(
            self._issue_id,
            DeliveryState.PLANNED,
            Page(self._aside[domain], limit, only_domain=domain),
        )
        if page:
            self._aside[domain] = page[-1].delivery_id
        return page

    def _next_planned(self) -> list[Recipient]:
        page = self._store.due(
            self._issue_id, DeliveryState.PLANNED, Page(self._after, _PAGE, without=self._aside)
        )
        self._planned_left = len(page) == _PAGE
        if page:
            self._after = page[-1].delivery_id
        return page
