"""Proofs of work (ALTCHA, version 2 of its protocol): cheap for a reader, dear for a flood.

A browser looks for a number whose key, derived with PBKDF2, begins with a zero byte: 256 attempts
on average, about a second's work. We check one attempt.
"""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from typing import Any

import altcha

from newsletter_bot.subscribers.tokens import mac

_ALGORITHM = "PBKDF2/SHA-256"  # what WebCrypto has in every browser
_COST = 5000  # iterations for one attempt: about 2 ms for us
_LIFE = 3600  # seconds that a challenge may be used
_LONGEST = 2000  # characters of what a browser sends


@dataclass(frozen=True, slots=True)
class Proof:
    """Work that was done: for which challenge, and until when somebody might show it again."""

    key: str
    expires_at: int


class Proofs:
    """Makes challenges and checks their solutions, under a key derived from the secret."""

    def __init__(self, secret: bytes, life: int = _LIFE) -> None:
        """`life` is for how many seconds a challenge may be used."""
        self._key = mac(secret, b"proof-of-work", 32).digest()
        self._life = life

    def challenge(self) -> dict[str, Any]:
        """Return a new challenge, as the widget reads it."""
        until = int(time.time()) + self._life
        made = altcha.create_challenge(_ALGORITHM, _COST, expires_at=until, hmac_secret=self._key)
        return dict(made.to_dict())

    def read(self, payload: str) -> Proof | None:
        """Return the proof that the widget sent; None for none, a wrong one or an old one.

        Whether it was shown before, `spent_store.spend` tells.
        """
        if not payload or len(payload) > _LONGEST:
            return None
        if not altcha.verify_solution(payload, self._key).verified:
            return None
        asked = _parameters(payload)
        return Proof(asked["nonce"], int(asked["expiresAt"]))


def _parameters(payload: str) -> dict[str, Any]:
    """Read what the library has just found to be signed by us."""
    read: dict[str, Any] = json.loads(base64.b64decode(payload))
    return dict(read["challenge"]["parameters"])
