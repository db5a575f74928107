"""The signed time in a form: a person needs a while to fill it in, and does not wait for days."""

from __future__ import annotations

import time
from enum import Enum

from newsletter_bot.subscribers.tokens import Link, TokenSigner

_OLDEST = 24 * 3600  # seconds since a form was shown


class Age(Enum):
    """What the signed time in a form says."""

    NONE = "none"  # somebody's own form has none
    GOOD = "good"
    WRONG = "wrong"  # filled in too quickly for a person, or long ago, or forged


class FormTimes:
    """Signs when a form was shown, and reads it when the form comes back."""

    def __init__(self, signer: TokenSigner, shortest: int) -> None:
        """`shortest` is how many seconds a person needs at least."""
        self._signer = signer
        self._shortest = shortest

    def age(self, token: str) -> Age:
        """Tell whether a form comes back when a person would send it."""
        if not token:
            return Age.NONE
        shown = self._signer.read_link_token(Link.FORM, token)
        if shown is None:
            return Age.WRONG
        return Age.GOOD if self._shortest <= time.time() - shown <= _OLDEST else Age.WRONG

    def token(self, before: str = "") -> str:
        """Return the token of a form; one that is shown again keeps its time, if that is good."""
        now = int(time.time())
        shown = self._signer.read_link_token(Link.FORM, before) if before else now
        if shown is None or now - shown > _OLDEST:
            shown = now - self._shortest
        return self._signer.link_token(Link.FORM, shown)
