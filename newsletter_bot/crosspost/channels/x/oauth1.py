"""OAuth 1.0a: a request signed with four keys that do not expire (RFC 5849, HMAC-SHA1)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit


@dataclass(frozen=True, slots=True)
class Keys:
    """Those of the app, and those of the account that it may use."""

    api_key: str
    api_secret: str = field(repr=False)
    access_token: str
    access_secret: str = field(repr=False)


def authorization(method: str, url: str, keys: Keys, now: float, nonce: str | None = None) -> str:
    """Return the Authorization header of a request whose body is JSON or none."""
    given = {
        "oauth_consumer_key": keys.api_key,
        "oauth_nonce": nonce or secrets.token_hex(16),
        "oauth_signature_method": "HMAC-SHA1",
        "oauth_timestamp": str(int(now)),
        "oauth_token": keys.access_token,
        "oauth_version": "1.0",
    }
    parameters = {**dict(parse_qsl(urlsplit(url).query)), **given}
    given["oauth_signature"] = _signature(method, url, parameters, keys)
    fields = ", ".join(f'{_quoted(key)}="{_quoted(value)}"' for key, value in sorted(given.items()))
    return f"OAuth {fields}"


def _signature(method: str, url: str, parameters: Mapping[str, str], keys: Keys) -> str:
    pairs = sorted((_quoted(key), _quoted(value)) for key, value in parameters.items())
    line = "&".join(f"{key}={value}" for key, value in pairs)
    bare = urlunsplit(urlsplit(url)._replace(query="", fragment=""))
    content = "&".join(_quoted(part) for part in (method.upper(), bare, line))
    key = f"{_quoted(keys.api_secret)}&{_quoted(keys.access_secret)}"
    digest = hmac.new(key.encode(), content.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def _quoted(text: str) -> str:
    return quote(text, safe="~")
