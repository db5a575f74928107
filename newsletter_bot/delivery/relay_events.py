"""The relays of newsletter.toml that tell later what became of messages, by their kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from newsletter_bot import settings as configuration
from newsletter_bot.delivery.provider_events import Events
from newsletter_bot.delivery.transports import kinds
from newsletter_bot.settings import Settings


def open_events(settings: Settings) -> Mapping[str, Sequence[Events]]:
    """Return what checks and reads the requests of each kind of provider that is configured.

    Kinds without a secret for it are left out. Raises ConfigurationError.
    """
    known = kinds()
    found: dict[str, list[Events]] = {}
    for table in settings.routes:
        kind = known.get(table.kind)
        opening = getattr(kind, "open_events", None)
        if kind is None or opening is None:
            continue
        folder = settings.folder
        options = configuration.read_options(kind.Options, table.options, table.place, folder)
        events = opening(options, folder)
        if events is not None:
            found.setdefault(table.kind, []).append(events)
    return found
