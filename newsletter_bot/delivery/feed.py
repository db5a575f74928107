"""The deliveries of a run, page by page, to whichever connection asks: flat memory at any size."""

from __future__ import annotations

import threading
from collections import deque

from newsletter_bot.delivery.model import DeliveryState, Recipient
from newsletter_bot.delivery.store import Due, LedgerStore

_PAGE = 500


class Feed:
    """Hands out what is due once: the planned, then the deferred; what was given back first."""

    def __init__(self, store: LedgerStore, issue_id: int) -> None:
        self._store = store
        self._issue_id = issue_id
        self._lock = threading.Lock()
        self._waiting: deque[Due] = deque()
        self._after = 0
        self._states = [DeliveryState.PLANNED, DeliveryState.DEFERRED]

    def take(self) -> Due | None:
        """Return the next delivery, or None when there is none left."""
        with self._lock:
            self._read_on()
            return self._waiting.popleft() if self._waiting else None

    def give_back(self, recipient: Recipient) -> None:
        """Return a delivery that certainly did not happen."""
        with self._lock:
            self._waiting.appendleft(Due(recipient))

    @property
    def empty(self) -> bool:
        """True when nothing is left to hand out."""
        with self._lock:
            self._read_on()
            return not self._waiting

    def _read_on(self) -> None:
        while not self._waiting and self._states:
            page = self._store.due(self._issue_id, self._states[0], self._after, _PAGE)
            self._waiting.extend(page)
            if len(page) < _PAGE:
                self._states.pop(0)
                self._after = 0
            else:
                self._after = page[-1].recipient.delivery_id
