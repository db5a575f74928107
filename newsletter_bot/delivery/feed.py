"""The deliveries of a run, read page by page: flat memory at any size."""

from __future__ import annotations

from collections.abc import Collection, MutableSequence

from newsletter_bot.delivery.model import DeliveryState, Recipient
from newsletter_bot.delivery.store import LedgerStore, Page

_PAGE = 500
_MOST_ASIDE = 500  # domains: SQLite takes no condition of more than a thousand parts
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
        self._aside: dict[str, int] = {}  # the last delivery read of each domain set aside
        self._flowing: dict[str, None] = {}  # those of them whose stream may hold more
        self._kept: set[int] = set()  # handed out, and not to be read again before an outcome

    @property
    def aside(self) -> Collection[str]:
        """The domains whose streams may hold more."""
        return self._flowing.keys()

    def read(self, now: float) -> list[Recipient]:
        """Return the next page; empty when nothing is due now."""
        if now >= self._looked + _LOOK_AGAIN:
            found = self._deferred(Page(0, _PAGE, without=self.aside))
            if found:
                return found
            self._looked = now
        return self._next_planned() if self._planned_left else []

    def look_again(self) -> None:
        """Look for deferred deliveries at the next `read`."""
        self._looked = float("-inf")

    def keep(self, delivery_id: int) -> None:
        """Note that the ledger may not show a delivery as planned just now: keep it in memory."""
        self._kept.add(delivery_id)

    def kept(self, delivery_id: int) -> bool:
        """Tell whether `read_again` would not find a delivery."""
        return delivery_id in self._kept

    def settled(self, delivery_id: int) -> None:
        """Forget a delivery that came to an outcome: deferred again, it may be read again."""
        self._kept.discard(delivery_id)

    def set_aside(self, domain: str) -> None:
        """Leave a domain out of the pages that follow."""
        if domain not in self._aside and len(self._aside) >= _MOST_ASIDE:
            return
        self._aside.setdefault(domain, self._after)
        self._flowing[domain] = None

    def read_aside(self, domain: str) -> list[Recipient]:
        """Return the next deliveries of a domain that was set aside; empty at their end."""
        page = self._store.due(
            self._issue_id,
            DeliveryState.PLANNED,
            Page(self._aside[domain], _PAGE, only_domain=domain),
        )
        if page:
            self._aside[domain] = page[-1].delivery_id
            return page
        found = self._deferred(Page(0, _PAGE, only_domain=domain))
        if not found:
            self._flowing.pop(domain, None)  # its deferred ones are in the pages again
        return found

    def read_again(self, ids: MutableSequence[int]) -> list[Recipient]:
        """Return planned deliveries that were read before, the first of `ids`, and take them out.

        At least one is taken out; those are missing that somebody settled meanwhile.
        """
        chosen = sorted(ids[:_PAGE])
        page = self._store.due(self._issue_id, DeliveryState.PLANNED, Page(chosen[0] - 1, _PAGE))
        last = page[-1].delivery_id if len(page) == _PAGE else chosen[-1]
        del ids[:_PAGE]
        for one in reversed(chosen):
            if one > last:
                ids.insert(0, one)
        wanted = set(chosen)
        return [one for one in page if one.delivery_id in wanted]

    def _deferred(self, page: Page) -> list[Recipient]:
        """Return deferred deliveries whose time has come and which nobody holds."""
        after = page.after
        while True:
            part = Page(after, page.limit, page.only_domain, tuple(page.without))
            due = self._store.due(self._issue_id, DeliveryState.DEFERRED, part)
            found = [one for one in due if one.delivery_id not in self._kept]
            if found or len(due) < page.limit:
                self._kept.update(one.delivery_id for one in found)
                return found
            after = due[-1].delivery_id

    def _next_planned(self) -> list[Recipient]:
        page = self._store.due(
            self._issue_id, DeliveryState.PLANNED, Page(self._after, _PAGE, without=self._aside)
        )
        self._planned_left = len(page) == _PAGE
        if page:
            self._after = page[-1].delivery_id
        return page
