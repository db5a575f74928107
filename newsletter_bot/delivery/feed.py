"""The deliveries of a run, page by page, to whichever connection asks: flat memory at any size."""

from __future__ import annotations

import threading
from collections import deque

from newsletter_bot.delivery.model import Recipient
from newsletter_bot.delivery.store import Due, LedgerStore

_PAGE = 500


class Feed:
    """Hands out what is due once, in order of id; what was given back comes first."""

    def __init__(self, store: LedgerStore, issue_id: int) -> None:
        self._store = store
        self._issue_id = issue_id
        self._lock = threading.Lock()
        self._waiting: deque[Due] = deque()
        self._after = 0
        self._exhausted = False

    def take(self) -> Due | None:
        """Return the next delivery, or None when there is none left."""
        with self._lock:
            if not self._waiting and not self._exhausted:
                self._read_page()
            return self._waiting.popleft() if self._waiting else None

    def give_back(self, recipient: Recipient) -> None:
        """Return a delivery that certainly did not happen."""
        with self._lock:
            self._waiting.appendleft(Due(recipient))

    @property
    def empty(self) -> bool:
        """True when nothing is left to hand out."""
        with self._lock:
            if not self._waiting and not self._exhausted:
                self._read_page()
            return not self._waiting

    def _read_page(self) -> None:
        page = self._store.due(self._issue_id, self._after, _PAGE)
        self._waiting.extend(page)
        if len(page) < _PAGE:
            self._exhausted = True
        if page:
            self._after = page[-1].recipient.delivery_id
