"""Basic authentication (RFC 7617) as a provider shows it to us."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping


def credentials(headers: Mapping[str, str]) -> bytes:
    """Return `user:password` as shown; empty for another scheme, or what cannot be read."""
    scheme, _, word = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(word.strip(), validate=True)
    except (ValueError, binascii.Error):
        return b""
