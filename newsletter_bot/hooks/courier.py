"""The courier: spreads new events over the endpoints, and delivers what is due.

Each endpoint has threads of its own while something is due to it, so that one that is slow or dead
holds up no other. What is true stands in the database: any number of couriers may work on it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from newsletter_bot.errors import NewsletterError
from newsletter_bot.hooks.model import HookState, Owed, Verdict
from newsletter_bot.hooks.post import LONGEST, Poster
from newsletter_bot.hooks.retry import verdict
from newsletter_bot.hooks.signing import secrets_of, signed
from newsletter_bot.hooks.store import HookStore
from newsletter_bot.logs import log
from newsletter_bot.settings.people import WebhookTable

_AT_A_TIME = 4  # events under way to one endpoint
_TIDY = 3600.0  # seconds between two purges
_SOON = 1.0  # seconds: a ring sooner could chase its own tail

Say = Callable[[str, str, str], object]


@dataclass(frozen=True, slots=True)
class Ways:
    """What a courier says to others, and hears from them."""

    say: Say  # as Alerts does: key, title, text
    wake: Callable[[float], None] = lambda _at: None  # call `look` at this instant
    halted: Callable[[], bool] = lambda: False  # nothing may be delivered just now


@dataclass(frozen=True, slots=True)
class Keys:
    """Where the secrets of endpoints come from."""

    folder: Path
    secret: bytes

    def of(self, endpoint: WebhookTable) -> list[bytes]:
        """Return what signs for an endpoint; raises ConfigurationError."""
        return secrets_of(endpoint, self.folder, self.secret)


class Courier:
    """Delivers until told to stop; safe to kill at any moment."""

    def __init__(
        self,
        store: HookStore,
        endpoints: Sequence[WebhookTable],
        keys: Keys,
        ways: Ways,
        longest: float = LONGEST,
    ) -> None:
        """`longest` is how many seconds an endpoint may take to answer."""
        self._store = store
        self._endpoints = tuple(endpoints)
        self._keys = keys
        self._ways = ways
        self._longest = longest
        self._lanes: Counter[str] = Counter()
        self._idle = threading.Condition()
        self._stopping = False
        self._tidied_at: float | None = None

    def look(self) -> None:
        """Spread what is new, and let lanes begin for what is due; returns without waiting."""
        self._tidy()
        if not self._endpoints:
            return
        self._store.spread(self._endpoints)
        for one in self._endpoints:
            due = self._store.due(one.name, _AT_A_TIME)
            for _ in range(due):
                self._begin(one)
        self._wake()

    def stop(self) -> None:
        """Begin no further delivery."""
        with self._idle:
            self._stopping = True

    def wait(self, seconds: float) -> bool:
        """Wait for deliveries that are under way; False when some still are."""
        with self._idle:
            return self._idle.wait_for(lambda: not self._lanes.total(), max(0.0, seconds))

    # ── one lane of one endpoint ─────────────────────────────────────────────────────────────

    def _begin(self, endpoint: WebhookTable) -> None:
        with self._idle:
            if self._stopping or self._lanes[endpoint.name] >= _AT_A_TIME:
                return
            self._lanes[endpoint.name] += 1
        name = f"hook-{endpoint.name}"
        threading.Thread(target=self._work, args=(endpoint,), name=name, daemon=True).start()

    def _work(self, endpoint: WebhookTable) -> None:
        try:
            self._deliver_all(endpoint)
        except NewsletterError as error:
            self._trouble(endpoint, f"{error.message} {error.next_step}".strip())
        except Exception as error:  # noqa: BLE001 - it must be told; the rows know what is owed
            self._trouble(endpoint, f"{type(error).__name__}: {error}")
        else:
            self._wake()
        finally:
            with self._idle:
                self._lanes[endpoint.name] -= 1
                self._idle.notify_all()

    def _deliver_all(self, endpoint: WebhookTable) -> None:
        secrets = self._keys.of(endpoint)  # read anew, so that a secret may change meanwhile
        with Poster(endpoint, self._store.now, self._longest) as poster:
            while not self._stopping and not self._ways.halted():
                owed = self._store.take(endpoint.name)
                if owed is None:
                    return
                body = owed.body()
                headers = signed(owed.uid, self._store.now(), body, secrets)
                answer = poster.post(body, headers)
                decided = verdict(answer, owed.attempt, self._store.now())
                self._store.settle(owed, decided)
                self._tell(endpoint, owed, decided)

    # ── what is told ─────────────────────────────────────────────────────────────────────────

    def _tell(self, endpoint: WebhookTable, owed: Owed, decided: Verdict) -> None:
        answer = decided.answer
        log(
            f"webhook.{_DONE[decided.state]}",
            endpoint=endpoint.name,
            event=owed.uid,
            type=owed.kind,
            attempt=owed.attempt,
            status=answer.status,
        )
        key, name = f"webhook:{endpoint.name}", endpoint.name
        if answer.gone:
            title = f"The webhook {name} is switched off"
            again = f"Once it is back: newsletter-bot webhooks enable {name}."
            self._ways.say(key, title, f"It answered {answer.reason}. {again}")
        elif answer.private:
            self._ways.say(key, f"The webhook {name} cannot be reached", f"{answer.reason}.")
        elif decided.state is HookState.FAILED:
            again = f"Once it is mended: newsletter-bot webhooks replay {name} --failed."
            said = f"An event was given up after {owed.attempt} attempts: {answer.reason}. {again}"
            self._ways.say(key, f"The webhook {name} does not take events", said)

    def _trouble(self, endpoint: WebhookTable, sentence: str) -> None:
        log("webhook.trouble", endpoint=endpoint.name, reason=sentence)
        title = f"The webhook {endpoint.name} gets nothing"
        self._ways.say(f"webhook:{endpoint.name}", title, sentence)

    def _wake(self) -> None:
        names = [one.name for one in self._endpoints]
        at = None if self._stopping else self._store.next_due(names)
        if at is not None:
            self._ways.wake(max(at, self._store.now() + _SOON))

    def _tidy(self) -> None:
        now = time.monotonic()
        if self._tidied_at is None or now - self._tidied_at > _TIDY:
            self._tidied_at = now
            self._store.purge([one.name for one in self._endpoints])


_DONE = {
    HookState.DELIVERED: "delivered",
    HookState.FAILED: "failed",
    HookState.PLANNED: "put-off",
}
