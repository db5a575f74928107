"""Where an issue and its pictures live on the web, and links that say where a reader came from."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from newsletter_bot.settings import Settings


def page_url(settings: Settings, identity: str) -> str:
    """Return the public address of an issue's page."""
    return f"{settings.newsletter.url}/archive/{identity}/"


def image_url(settings: Settings, identity: str, src: str) -> str:
    """Return the public address of a picture; one that somebody else hosts keeps its own."""
    if src.startswith(("https://", "http://")):
        return src
    return page_url(settings, identity) + quote(src, safe="/%")


def with_utm(url: str, settings: Settings, identity: str) -> str:
    """Add the configured utm parameters to a link to another site; those it has are kept."""
    wanted = settings.tracking.utm
    parts = urlsplit(url)
    own = urlsplit(settings.newsletter.url).hostname
    if not wanted or parts.scheme not in ("http", "https") or parts.hostname in (None, own):
        return url
    present = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    added = {f"utm_{name}": value for name, value in {"campaign": identity, **wanted}.items()}
    new = urlencode({name: value for name, value in added.items() if name not in present})
    query = "&".join(one for one in (parts.query, new) if one)
    return urlunsplit(parts._replace(query=query))
