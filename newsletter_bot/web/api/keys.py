"""API keys: what one looks like, and what its scopes let a program do."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

_BYTES = 24  # of randomness: 192 bits
_KEY = re.compile(rf"nbk_[0-9a-f]{{{2 * _BYTES}}}")


class Scope(StrEnum):
    """What a key may do: one thing each, but for the first two."""

    ALL = "*"
    READ = "read"
    SUBSCRIBERS_READ = "subscribers:read"
    SUBSCRIBERS_WRITE = "subscribers:write"
    SUBSCRIBERS_ACTIVATE = "subscribers:activate"
    SUBSCRIBERS_ERASE = "subscribers:erase"
    LISTS_READ = "lists:read"
    SEGMENTS_READ = "segments:read"
    SUPPRESSIONS_READ = "suppressions:read"
    SUPPRESSIONS_WRITE = "suppressions:write"
    ISSUES_READ = "issues:read"
    DELIVERIES_READ = "deliveries:read"
    REPORTS_READ = "reports:read"


MEANINGS = {
    Scope.ALL: "everything below",
    Scope.READ: "all that ends in `:read`",
    Scope.SUBSCRIBERS_READ: "see people: addresses, names, choices, all that is held about one",
    Scope.SUBSCRIBERS_WRITE: "ask people to confirm, change their choices, end subscriptions",
    Scope.SUBSCRIBERS_ACTIVATE: "subscribe people at once, with evidence of their consent",
    Scope.SUBSCRIBERS_ERASE: "forget people",
    Scope.LISTS_READ: "see the lists, and how many are on them",
    Scope.SEGMENTS_READ: "see the segments, and how many are in them",
    Scope.SUPPRESSIONS_READ: "see why and since when addresses are suppressed; ask about one",
    Scope.SUPPRESSIONS_WRITE: "suppress addresses, and let them be mailed again",
    Scope.ISSUES_READ: "see the issues that were planned, and how they stand",
    Scope.DELIVERIES_READ: "see what became of every message",
    Scope.REPORTS_READ: "see the numbers of an issue",
}


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept: its text is known to its holder alone. Times: seconds since 1970 UTC."""

    id: int
    name: str
    scopes: frozenset[str]
    made_at: int
    expires_at: int | None = None
    used_at: int | None = None  # to the hour
    revoked_at: int | None = None

    def is_good(self, now: float) -> bool:
        """Tell whether the key opens anything now."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def allows(self, needed: Iterable[str]) -> bool:
        """Tell whether the scopes of the key cover all that is needed."""
        return all(self._allows(one) for one in needed)

    def _allows(self, needed: str) -> bool:
        return (
            needed in self.scopes
            or Scope.ALL in self.scopes
            or (Scope.READ in self.scopes and needed.endswith(":read"))
        )


def make_key() -> str:
    """Make the text of a new key."""
    return f"nbk_{secrets.token_hex(_BYTES)}"


def hash_of(text: str) -> bytes | None:
    """Return the SHA-256 under which a key is kept; None for what cannot be one.

    A slow hash protects what people think of. Nobody can try 2**192 keys, however fast; and whoever
    asks learns nothing from how long the database looks for a hash they cannot choose.
    """
    return hashlib.sha256(text.encode()).digest() if _KEY.fullmatch(text) else None
