"""What an operator does with webhooks: look at them, try one, give events again."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from sqlalchemy import Engine

from newsletter_bot.errors import DataError, UsageError
from newsletter_bot.hooks.courier import Courier, Keys, Ways
from newsletter_bot.hooks.model import Answer, Owed
from newsletter_bot.hooks.post import Poster
from newsletter_bot.hooks.report_store import HookReportStore, Standing, Told, Wish
from newsletter_bot.hooks.signing import signed, written
from newsletter_bot.hooks.store import HookStore
from newsletter_bot.settings import Settings
from newsletter_bot.settings.people import WebhookTable
from newsletter_bot.storage.writer import Writer

TEST = "webhook.test"
_SHOWN = 100  # events at a time


class Webhooks:
    """The endpoints of one newsletter."""

    def __init__(
        self,
        engine: Engine,
        writer: Writer,
        settings: Settings,
        secret: bytes,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._settings = settings
        self._keys = Keys(settings.folder, secret)
        self._clock = clock or time.time
        self._store = HookStore(engine, writer, self._clock)
        self._report = HookReportStore(engine, writer, self._clock)

    def courier(self, ways: Ways) -> Courier:
        """Return somebody who delivers."""
        return Courier(self._store, self._settings.webhooks, self._keys, ways)

    def endpoint(self, name: str) -> WebhookTable:
        """Return the endpoint of that name; raises UsageError."""
        found = next((one for one in self._settings.webhooks if one.name == name), None)
        if found is None:
            known = ", ".join(one.name for one in self._settings.webhooks) or "none at all"
            raise UsageError(
                f"There is no webhook {name} in newsletter.toml.", f"There is: {known}."
            )
        return found

    def standings(self) -> list[tuple[WebhookTable, Standing]]:
        """Return every endpoint, and how it stands."""
        return [(one, self._report.standing(one.name)) for one in self._settings.webhooks]

    def secrets(self, name: str) -> list[str]:
        """Return what signs for an endpoint, the new secret first; raises ConfigurationError."""
        return [written(one) for one in self._keys.of(self.endpoint(name))]

    def test(self, name: str) -> Answer:
        """Send an event that means nothing, now, and return what came back."""
        endpoint, now = self.endpoint(name), int(self._clock())
        data = {"newsletter": self._settings.newsletter.name}
        owed = Owed(0, name, f"evt_{secrets.token_hex(16)}", TEST, data, now)
        body = owed.body()
        with Poster(endpoint, self._clock) as poster:
            return poster.post(body, signed(owed.uid, now, body, self._keys.of(endpoint)))

    def events(self, *, failed: bool = False) -> list[Told]:
        """Return the newest events, and where each stands with each endpoint."""
        return self._report.events(_SHOWN, failed=failed)

    def replay(self, name: str, wish: Wish) -> int:
        """Owe events to an endpoint again; returns how many.

        Raises UsageError, or DataError for an unknown event or an endpoint that is switched off.
        """
        endpoint = self.endpoint(name)
        if self._report.standing(name).off_at is not None:
            raise DataError(
                f"The webhook {name} is switched off: it answered 410 Gone.",
                f"Run `newsletter-bot webhooks enable {name}` first.",
            )
        if wish.uid is not None and not self._report.is_known(wish.uid):
            raise DataError(
                f"There is no event {wish.uid}.", "See `newsletter-bot webhooks events`."
            )
        if wish.since is not None:
            wish = Wish(since=wish.since, kinds=[one.value for one in endpoint.events])
        return self._report.replay(name, wish)

    def enable(self, name: str) -> bool:
        """Give an endpoint events again after it said 410; False when it was not switched off."""
        self.endpoint(name)
        return self._report.enable(name)
