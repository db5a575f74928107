"""What webhooks tell, written in the transaction of what it tells about: neither without the other.

The outbox is emptied by `hooks`; this is the one place where events are put into it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from newsletter_bot.settings import Settings
from newsletter_bot.settings.people import HookType
from newsletter_bot.storage.tables import hook_events


class Doorbell:
    """What an outbox rings; whoever delivers in this process may answer it."""

    def __init__(self) -> None:
        self.answer: Callable[[], None] = lambda: None

    def ring(self) -> None:
        """Say that an event was put in; it is committed in a moment."""
        self.answer()


@dataclass(frozen=True, slots=True)
class Outbox:
    """Keeps events for endpoints; without any endpoint it keeps nothing."""

    wanted: frozenset[str]
    bell: Callable[[], None] = lambda: None  # called with each event, before its commit

    @classmethod
    def of(cls, settings: Settings, bell: Callable[[], None] = lambda: None) -> Outbox:
        """Keep what the endpoints of newsletter.toml want."""
        return cls(frozenset(kind.value for one in settings.webhooks for kind in one.events), bell)

    def tell(
        self,
        connection: Connection,
        kind: HookType,
        data: Mapping[str, object],
        at: int,
        subscriber_id: int | None = None,
    ) -> None:
        """Write an event of this kind, when some endpoint wants it.

        `subscriber_id` is whom it is about: erasing the person erases it. What `data` holds is a
        promise to endpoints, in docs/webhooks.md.
        """
        if kind.value in self.wanted:
            row = {
                "uid": f"evt_{secrets.token_hex(16)}",
                "type": kind.value,
                "data": dict(data),
                "subscriber_id": subscriber_id,
                "at": at,
            }
            connection.execute(hook_events.insert().values(row))
            self.bell()
