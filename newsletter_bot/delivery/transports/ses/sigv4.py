"""AWS Signature Version 4: what every call to Amazon is signed with.

Written here because botocore's signer brings 32 MB of other services along, and AWS's small one
(aws-sdk-signers) asks for Python 3.12 (2026-11). Checked against AWS's own test suite.
"""

from __future__ import annotations

import hashlib
import hmac
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, unquote, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are to Amazon; `token` is for temporary ones alone."""

    key_id: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs for one service in one region."""

    credentials: Credentials
    region: str
    service: str

    def sign(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes, now: float
    ) -> dict[str, str]:
        """Return the headers to send: those given, when it was signed, and the signature."""
        at = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        sent = {**headers, "X-Amz-Date": at}
        if self.credentials.token:
            sent["X-Amz-Security-Token"] = self.credentials.token
        signed = [("host", urlsplit(url).netloc), *sent.items()]
        return {**sent, "Authorization": self.authorization(method, url, signed, content, at)}

    def authorization(
        self, method: str, url: str, headers: Iterable[tuple[str, str]], content: bytes, at: str
    ) -> str:
        """Return the value of the header Authorization for a request with these headers."""
        names, canonical = _canonical(method, url, headers, content)
        scope = f"{at[:8]}/{self.region}/{self.service}/aws4_request"
        text = "\n".join((_ALGORITHM, at, scope, _hash(canonical.encode())))
        key = b"AWS4" + self.credentials.secret.encode()
        for part in scope.split("/"):
            key = _mac(key, part)
        credential = f"{self.credentials.key_id}/{scope}"
        signature = _mac(key, text).hex()
        return f"{_ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"


def _canonical(
    method: str, url: str, headers: Iterable[tuple[str, str]], content: bytes
) -> tuple[str, str]:
    """Return the names of the signed headers, and the request in its one spelling."""
    parts = urlsplit(url)
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(re.sub(r"\s+", " ", value.strip()))
    names = ";".join(sorted(values))
    lines = [f"{name}:{','.join(values[name])}\n" for name in sorted(values)]
    path = (_path(parts.path), _query(parts.query))
    return names, "\n".join((method, *path, "".join(lines), names, _hash(content)))


def _path(path: str) -> str:
    # Encoded once more than it is sent: so it is for every service but S3.
    normal = posixpath.normpath(f"/{path.lstrip('/')}")
    slash = "/" if path.endswith("/") and normal != "/" else ""
    return quote(normal + slash, safe="/-_.~")


def _query(query: str) -> str:
    pairs = [pair.partition("=")[::2] for pair in query.split("&") if pair]
    known = sorted((_again(name), _again(value)) for name, value in pairs)
    return "&".join(f"{name}={value}" for name, value in known)


def _again(word: str) -> str:
    return quote(unquote(word), safe="-_.~")


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
