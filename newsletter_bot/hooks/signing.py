"""Signatures that endpoints can check, and the secrets behind them (Standard Webhooks 1.0.0)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from pathlib import Path

from newsletter_bot.errors import ConfigurationError
from newsletter_bot.settings.people import WebhookTable

PREFIX = "whsec_"
_SIZES = range(24, 65)  # bytes: "Signature scheme"
_MOST = 2  # while one secret takes the place of another


def secrets_of(endpoint: WebhookTable, folder: Path, secret: bytes) -> list[bytes]:
    """Return what signs for an endpoint: one secret, or a new and an old one.

    They stand in its file, one on each line; without a file one is derived from the newsletter's.
    Raises ConfigurationError.
    """
    if endpoint.secret_file is None:
        name = f"webhook:{endpoint.name}".encode()
        return [hmac.digest(hashlib.sha256(secret).digest(), name, "sha256")]
    path = folder / endpoint.secret_file
    place = f"webhooks.{endpoint.name}.secret_file"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{place}: {path} cannot be read.", _NEXT) from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not 0 < len(lines) <= _MOST:
        raise ConfigurationError(f"{place}: {path} has {len(lines)} lines, not one or two.", _NEXT)
    return [_read(line, f"{place}: {path}") for line in lines]


_NEXT = "Write whsec_ and the base64 of 24 to 64 random bytes into it, as docs/webhooks.md shows."


def _read(line: str, place: str) -> bytes:
    try:
        found = base64.b64decode(line.removeprefix(PREFIX), validate=True)
    except (ValueError, binascii.Error):
        found = b""
    if not line.startswith(PREFIX) or len(found) not in _SIZES:
        raise ConfigurationError(f"{place} holds something that is no secret.", _NEXT)
    return found


def written(secret: bytes) -> str:
    """Write a secret as the verifying libraries want it."""
    return PREFIX + base64.b64encode(secret).decode()


def signed(uid: str, at: int, body: bytes, secrets: Sequence[bytes]) -> Mapping[str, str]:
    """Return the headers of one attempt; `at` is its own time, seconds since 1970 UTC."""
    content = f"{uid}.{at}.".encode() + body
    digests = [hmac.digest(one, content, "sha256") for one in secrets]
    return {
        "webhook-id": uid,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(one).decode()}" for one in digests),
    }
