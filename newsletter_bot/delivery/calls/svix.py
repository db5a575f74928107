"""Requests signed as Svix does it (Standard Webhooks 1.0.0, under older names of headers)."""

from __future__ import annotations

import base64
import binascii
import hmac
import re

from newsletter_bot.delivery.calls.event_values import check_age
from newsletter_bot.delivery.provider_events import ForgedError, HookRequest
from newsletter_bot.errors import ConfigurationError

_OLDEST = 300.0  # seconds: Svix's own libraries believe no older signature
_MOST = 20  # signatures that are looked at


def signing_key(written: str) -> bytes:
    """Read a signing secret, `whsec_…`; raises ConfigurationError."""
    try:
        key = base64.b64decode(written.removeprefix("whsec_"), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if not key:
        raise ConfigurationError(
            "newsletter.toml: webhook_secret is no signing secret.",
            "Copy it from the webhook's page at the provider: whsec_ and base64.",
        )
    return key


def verified(key: bytes, request: HookRequest) -> str:
    """Return the request's id; raises ForgedError.

    There are several signatures while one secret takes the place of another.
    """
    name, at = request.headers.get("svix-id", ""), request.headers.get("svix-timestamp", "")
    if not name or not re.fullmatch(r"[0-9]{1,12}", at):
        raise ForgedError("it carries no signature")
    signed = f"{name}.{at}.".encode() + request.body
    good = base64.b64encode(hmac.digest(key, signed, "sha256"))
    given = request.headers.get("svix-signature", "").split()[:_MOST]
    offered = [one.removeprefix("v1,").encode() for one in given if one.startswith("v1,")]
    if not any(hmac.compare_digest(good, one) for one in offered):
        raise ForgedError("its signature is not ours")
    check_age(int(at), request.now, _OLDEST)
    return name[:200]
