"""Values out of what a provider tells, whatever it holds: a wrong one is as good as none."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from typing import Any

from newsletter_bot.delivery.provider_events import ForgedError

_LONGEST = 1000  # characters of a text that are worth keeping
_LATEST = 1 << 40  # seconds since 1970: far beyond any date, and still a number of a database
_AHEAD = 300.0  # seconds that a provider's clock may be before ours


def decoded(body: bytes) -> Any:
    """Return the JSON of a body; None when it is none, or nested beyond reason."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def value(told: Any, *path: str) -> Any:
    """Return what lies deep in tables; None when it is not there."""
    for key in path:
        told = told.get(key) if isinstance(told, dict) else None
    return told


def text(told: Any, *path: str) -> str:
    """Return a text or number deep in tables as one line of text; empty when it is not there."""
    found = value(told, *path)
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        return ""
    # Nearly all are plain already, and thousands come in a second.
    if isinstance(found, str) and found.isascii() and found.isprintable() and "  " not in found:
        return found.strip()[:_LONGEST]
    # JSON can write halves of a character (lone surrogates), which no database takes.
    whole = str(found)[: 2 * _LONGEST].encode("utf-8", errors="replace").decode()
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", whole).strip()[:_LONGEST]


def moment(told: Any, *path: str) -> int:
    """Return seconds since 1970 UTC, written as a number or text; 0 when it is no such thing."""
    try:
        found = float(text(told, *path))
    except ValueError:
        return 0
    return int(found) if math.isfinite(found) and 0 < found < _LATEST else 0


def date(told: Any, *path: str) -> int:
    """Return seconds since 1970 UTC, written as a date and time (ISO 8601); 0 when it is none."""
    # Seven digits of a second, as .NET writes them, are more than Python 3.11 to 3.13 read.
    written = re.sub(r"(\.\d{6})\d+", r"\1", text(told, *path))
    try:
        found = datetime.fromisoformat(written)
    except ValueError:
        return 0
    known = found if found.tzinfo else found.replace(tzinfo=UTC)
    return max(0, int(known.timestamp()))


def check_age(signed_at: int, now: float, oldest: float) -> None:
    """Raise ForgedError for what was signed too long ago, or is to be signed yet."""
    if not now - oldest <= signed_at <= now + _AHEAD:
        raise ForgedError("its timestamp is too far from our clock")
