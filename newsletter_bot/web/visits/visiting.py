"""What is noted of a visit: as little as the settings ask for."""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request

from newsletter_bot.feedback.visits.visitors import Action, Asked, Visit, first_look
from newsletter_bot.logs import log
from newsletter_bot.rendering.tracking import Detail
from newsletter_bot.settings.tables import TrackingTable
from newsletter_bot.subscribers.given import network_prefix
from newsletter_bot.subscribers.tokens import VisitClaim

_DAY = 86_400
_LONGEST = 300  # characters of what a program calls itself
_HASH = 12  # bytes
_MOST = 1000  # visits of one visitor in a minute
_VISITORS = 100_000  # in a minute: whoever calls himself something else each time is many
_TOLD = frozenset({b"accept-language", b"purpose", b"sec-purpose", b"user-agent", b"x-moz"})


@dataclass(frozen=True, slots=True)
class Place:
    """What was visited: an issue's link or picture, and whose copy, where the address says so."""

    action: Action
    issue_id: int
    link: int | None = None
    claim: VisitClaim | None = None


class Visiting:
    """Notes visits; the settings of now hold, also for links that were mailed before."""

    def __init__(
        self, table: TrackingTable, note: Callable[[Visit], bool], clock: Callable[[], float]
    ) -> None:
        self._details = {
            Action.CLICKED: Detail(table.clicks),
            Action.OPENED: Detail(table.opens),
        }
        self._note = note
        self._clock = clock
        self._floods = _Floods()
        self._salt = (-1, b"")  # of a day; it is never written down

    def note(self, request: Request, place: Place) -> None:
        """Hand in a visit, when visits are counted."""
        mailed = Detail.AGGREGATE if place.claim is None else Detail.INDIVIDUAL
        detail = mailed.at_most(self._details[place.action])
        if detail is Detail.OFF:
            return
        asked = Asked(place.action, request.method, _told(request))
        now, address = int(self._clock()), request.client.host if request.client else ""
        agent = asked.agent[:_LONGEST]
        known = place.claim is not None and detail is Detail.INDIVIDUAL
        visit = Visit(
            action=place.action,
            issue_id=place.issue_id,
            link=place.link,
            at=now,
            rule=first_look(asked),
            network=network_prefix(address) if known else self._hashed(address, agent, now),
            agent=agent if known else "",
            delivery_id=place.claim.delivery_id if place.claim is not None and known else None,
        )
        if self._floods.admits(visit):
            self._note(visit)

    def _hashed(self, address: str, agent: str, now: int) -> str:
        """Return what tells one visitor from another for some minutes."""
        day = now // _DAY
        if self._salt[0] != day:
            self._salt = (day, secrets.token_bytes(32))
        whole = f"{address}\n{agent}".encode(errors="replace")
        return hashlib.blake2b(whole, key=self._salt[1], digest_size=_HASH).hexdigest()


def _told(request: Request) -> dict[str, str]:
    headers = request.scope["headers"]
    return {name.decode(): text.decode("latin-1") for name, text in headers if name in _TOLD}


class _Floods:
    """Keeps one visitor from filling disk or memory; what is not kept of them is logged."""

    def __init__(self) -> None:
        self._minute = 0
        self._counts: Counter[tuple[str, int | None]] = Counter()
        self._lost = 0

    def admits(self, visit: Visit) -> bool:
        """Tell whether a visit is still one of those that are kept."""
        minute = visit.at // 60
        if minute != self._minute:
            if self._lost:
                log("visits.flood", lost=self._lost)
            self._minute, self._lost = minute, 0
            self._counts.clear()
        visitor = (visit.network, visit.delivery_id)
        admitted = visitor in self._counts or len(self._counts) < _VISITORS
        if admitted:
            self._counts[visitor] += 1
            admitted = self._counts[visitor] <= _MOST
        self._lost += not admitted
        return admitted
