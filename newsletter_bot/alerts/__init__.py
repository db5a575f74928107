"""What operators are told when something needs them, and how often."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from newsletter_bot.alerts.store import AlertStore
from newsletter_bot.errors import ConfigurationError
from newsletter_bot.logs import log
from newsletter_bot.settings.service import AlertsTable
from newsletter_bot.settings.tables import seconds

_LONGEST = 2000  # characters of a text


class Alerts:
    """Tells operators through Apprise; a failing alert is logged and stops nothing."""

    def __init__(
        self,
        engine: Engine,
        table: AlertsTable,
        folder: Path,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = AlertStore(engine, clock)
        self._table = table
        self._folder = folder

    def addresses(self) -> list[str]:
        """Return whom to tell; raises ConfigurationError when their file cannot be read."""
        return addresses_of(self._table, self._folder)

    def say(self, key: str, title: str, body: str) -> bool:
        """Tell something, unless the same `key` was told within `alerts.again`.

        Returns whether it went out; never raises.
        """
        log("alert", key=key, title=title, body=body)
        try:
            addresses = self.addresses()
            if not addresses:
                return False
            held = self._store.claim(key, seconds(self._table.again))
            if held is None:
                return False
            if held:
                body = f"{body} ({held} more times since the last message.)"
            if self.send(addresses, title, body):
                return True
            self._store.forget(key)
        except Exception as error:  # noqa: BLE001 - an alert must not stop what it tells about
            log("alert.failed", key=key, error=error)
        return False

    @staticmethod
    def send(addresses: Sequence[str], title: str, body: str) -> bool:
        """Hand a text to each address; returns whether all of them took it."""
        apprise, sender = _apprise()
        known = [bool(sender.add(one)) for one in addresses]
        if not all(known):
            log(
                "alert.failed", reason=f"{known.count(False)} addresses are none that Apprise knows"
            )
        told = sender.notify(
            title=_flat(title),
            body=body[:_LONGEST],
            body_format=apprise.NotifyFormat.TEXT,
            interpret_escapes=False,
        )
        return bool(told) and all(known)


def addresses_of(table: AlertsTable, folder: Path) -> list[str]:
    """Return whom to tell; raises ConfigurationError when their file cannot be read."""
    found = [one.get_secret_value() for one in table.urls]
    if table.urls_file:
        path = folder / table.urls_file
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise ConfigurationError(
                f"alerts.urls_file: {path} cannot be read: {error.strerror}.",
                "Correct newsletter.toml, or make the file: one address on each line.",
            ) from error
        found += [one.strip() for one in lines]
    return [one for one in found if one and not one.startswith("#")]


def unknown_addresses(addresses: Sequence[str]) -> int:
    """Count the addresses that Apprise can make nothing of; tells nobody anything."""
    _, sender = _apprise()
    return sum(not sender.add(one) for one in addresses)


def _apprise() -> tuple[Any, Any]:
    import apprise  # it takes half a second

    apprise.logger.disabled = True  # it writes addresses, which hold passwords
    return apprise, apprise.Apprise()


def _flat(text: str) -> str:
    return " ".join(text.split())[:200]
