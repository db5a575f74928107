"""What lies around the mail: the public address, who is alerted, the channels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import urlsplit

from newsletter_bot import settings as configuration
from newsletter_bot.alerts import addresses_of, unknown_addresses
from newsletter_bot.crosspost.channels import kinds
from newsletter_bot.outside import OutsideError, fetch
from newsletter_bot.service.doctor.model import Check, error, warning, well
from newsletter_bot.settings import Settings

_PATIENCE = 10.0  # seconds
_MOST = 10_000  # bytes of the answer


def public_address(settings: Settings, *, offline: bool) -> Iterator[Check]:
    """Look whether readers reach the pages that their mails link to."""
    name, url = "public address", settings.newsletter.url
    if urlsplit(url).scheme != "https":
        yield error(
            name,
            f"{url} is no https address: mailbox providers show no unsubscribe button.",
            "Put a proxy with TLS in front, and write newsletter.url with https.",
        )
    elif offline:
        yield well(name, url)
    if not offline:
        yield from _answers(name, url)


def _answers(name: str, url: str) -> Iterator[Check]:
    place = f"{url}/healthz"
    try:
        found = fetch(place, most=_MOST, seconds=_PATIENCE, allow_private=True)
    except OutsideError as why:
        yield _unreachable(name, f"{place} cannot be reached: {why}.")
        return
    if _is_ours(found.content):
        yield well(name, f"{url} is answered by newsletter-bot")
    else:
        yield _unreachable(name, f"{place} answers {found.status}, and not as newsletter-bot does.")


def _is_ours(content: bytes) -> bool:
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(told, dict) and told.get("ok") is True


def _unreachable(name: str, message: str) -> Check:
    return error(
        name,
        f"{message} Readers could not unsubscribe.",
        "Start `newsletter-bot run`, and let the proxy hand requests on to it: docs/operations.md.",
    )


def alerts(settings: Settings) -> Iterator[Check]:
    """Look whom troubles are told to; tells nobody anything. Raises ConfigurationError."""
    name = "alerts"
    found = addresses_of(settings.alerts, settings.folder)
    unknown = unknown_addresses(found)
    if not found:
        yield warning(
            name,
            "Nobody is told when something needs an operator.",
            "Set NEWSLETTER_BOT_ALERTS__URLS or alerts.urls_file, then `newsletter-bot alerts"
            " test`: docs/operations.md.",
        )
    elif unknown:
        yield error(
            name,
            f"{unknown} of {len(found)} addresses are none that Apprise knows.",
            "https://appriseit.com lists how each service is written.",
        )
    else:
        yield well(name, f"{len(found)} addresses; `newsletter-bot alerts test` tries them")


def channel(settings: Settings, channel_name: str) -> Iterator[Check]:
    """Look at a channel's options; raises ConfigurationError. Its token is tried by a post."""
    name = f"channel {channel_name}"
    kind = kinds().get(channel_name)
    if kind is None:
        yield error(
            name,
            f"There is no channel {channel_name!r}.",
            f"Known channels: {', '.join(kinds())}.",
        )
        return
    table = settings.channels[channel_name]
    configuration.read_options(kind.Options, table, f"channels.{channel_name}", settings.folder)
    yield well(name, "its options are in order; its token is tried when it posts")
