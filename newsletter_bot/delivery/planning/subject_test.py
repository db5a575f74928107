"""A test of subjects: who is drawn for it, how sure its figures are, and whether a subject won.

What `issues.subject_test` holds, empty where an issue has one subject:

    subjects     the subjects, slots filled with their fallbacks; a variant is a place in this list
    share        how much of the list gets a variant before the others (0.2)
    wait         seconds between the last message of the sample and the decision
    wait_until   when it is decided (seconds since 1970 UTC); null where nobody waits
    decided_at   when it was decided; null before
    winner       the variant that won, or null
    why          the decision as a sentence; before it, an empty text
    variants     for each {"variant", "sent", "clicked", "rate", "low", "high"}: of the sample;
                 rates are shares of 1, `low` and `high` Wilson's interval at 95 %
    difference   {"low", "high"}: Newcombe's interval at 95 % for the lead of the best over the
                 second; null before
    needed       the lead that would have been enough, where nobody won; else null

Where no test could be held (too small a list, clicks not counted by reader) `wait_until` is null,
`decided_at` is the time of the plan, `variants` are those of everybody, and `winner` stays null.
`subject_test_store.read` returns it with the figures of this moment where they are not final.

Sources: E. B. Wilson, JASA 22 (1927), 209-212. R. G. Newcombe, "Interval estimation for the
difference between independent proportions: comparison of eleven methods", Statistics in Medicine
17 (1998), 873-890, method 10 (hybrid score).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from newsletter_bot.rendering.checks import NOT_COUNTED
from newsletter_bot.rendering.model import Rendering, filled
from newsletter_bot.rendering.tracking import Detail
from newsletter_bot.settings import Settings
from newsletter_bot.settings.tables import seconds
from newsletter_bot.subscribers.tokens import mac

_Z = 1.959963984540054  # of the normal distribution: 95 % lie within
_TWO = 2  # subjects, with which a test begins
_WORD = 8  # bytes of the hash for each of the two questions


class Draw:
    """Says of each reader of an issue, always the same, whether they are drawn, and for what."""

    def __init__(self, secret: bytes, issue: str) -> None:
        self._mac = mac(secret, b"subject-test", 2 * _WORD)
        self._mac.update(issue.encode() + b":")

    def position(self, subscriber_id: int) -> float:
        """Return where in [0, 1) a reader stands: those below the share are the sample."""
        return int.from_bytes(self._hash(subscriber_id)[:_WORD], "big") / 2.0 ** (8 * _WORD)

    def variant(self, subscriber_id: int, count: int) -> int:
        """Return which of `count` subjects a reader gets, wherever they stand."""
        return int.from_bytes(self._hash(subscriber_id)[_WORD:], "big") % count

    def _hash(self, subscriber_id: int) -> bytes:
        state = self._mac.copy()
        state.update(b"%d" % subscriber_id)
        return state.digest()


@dataclass(frozen=True, slots=True)
class Terms:
    """What a test is held by."""

    subjects: Sequence[str]
    draw: Draw
    share: float
    wait: int  # seconds
    least: int  # readers of each variant, below whom nothing can be told
    by_reader: bool  # clicks are counted by reader

    def why_not(self, counts: Sequence[int]) -> str:
        """Say why no test can be held with so many readers of each subject."""
        if not self.by_reader:
            return NOT_COUNTED
        if min(counts) < self.least:
            return f"the list is too small: a subject has fewer than {self.least} readers"
        return ""

    def drawn(self, subscriber_id: int) -> int | None:
        """Return the variant of a reader in the sample, None for one who waits."""
        if self.draw.position(subscriber_id) >= self.share:
            return None
        return self.draw.variant(subscriber_id, len(self.subjects))


@dataclass(frozen=True, slots=True)
class Figures:
    """How many got one subject, and how many of them clicked."""

    variant: int
    sent: int
    clicked: int

    @property
    def rate(self) -> float:
        """The share of those it was sent to who clicked."""
        return self.clicked / self.sent if self.sent else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval of the rate, at 95 %; nothing sent may be anything."""
        if not self.sent:
            return 0.0, 1.0
        spread = _Z * _Z / self.sent
        middle = (self.rate + spread / 2) / (1 + spread)
        half = sqrt(self.rate * (1 - self.rate) * spread + spread * spread / 4) / (1 + spread)
        return max(0.0, min(self.rate, middle - half)), min(1.0, max(self.rate, middle + half))

    def to_json(self) -> dict[str, float]:
        """Return one of `variants`."""
        low, high = self.interval
        counts = {"variant": self.variant, "sent": self.sent, "clicked": self.clicked}
        return {**counts, "rate": self.rate, "low": low, "high": high}


@dataclass(frozen=True, slots=True)
class Decision:
    """What a test came to."""

    winner: int | None
    why: str
    difference: tuple[float, float] | None = None
    needed: float | None = None


def terms_of(rendering: Rendering, settings: Settings, secret: bytes) -> Terms | None:
    """Return how an issue's subjects are tested; None when it has but one."""
    if len(rendering.subjects) < _TWO:
        return None
    table = settings.subject_test
    return Terms(
        subjects=[filled(one, {}) for one in rendering.subjects],
        draw=Draw(secret, rendering.issue),
        share=table.share,
        wait=seconds(table.wait),
        least=table.least,
        by_reader=rendering.tracking.clicks is Detail.INDIVIDUAL,
    )


def lead(one: Figures, other: Figures) -> tuple[float, float]:
    """Return Newcombe's interval for the difference of two rates, at 95 %."""
    difference = one.rate - other.rate
    (low, high), (low2, high2) = one.interval, other.interval
    below = sqrt((one.rate - low) ** 2 + (high2 - other.rate) ** 2)
    above = sqrt((high - one.rate) ** 2 + (other.rate - low2) ** 2)
    return difference - below, difference + above


def lead_needed(sent: int, other: Figures) -> float | None:
    """Return by how much a subject sent that often must lead to be sure; None for no such lead."""
    enough = bisect_left(
        range(sent + 1), True, key=lambda clicked: lead(Figures(0, sent, clicked), other)[0] > 0
    )
    return enough / sent - other.rate if 0 < sent >= enough else None


def judge(figures: Sequence[Figures], subjects: Sequence[str]) -> Decision:
    """Name the subject that won, when the interval of its lead over the second leaves out 0.

    With more than two, the lead of the best over the second is the smallest there is, so that
    among equals none is called the winner more often than one time in twenty.
    """
    best, second = sorted(figures, key=lambda one: (-one.rate, one.variant))[:2]
    if not best.clicked:
        return Decision(None, "No winner: nobody clicked.", lead(best, second))
    low, high = difference = lead(best, second)
    rates = f"{_percent(best.rate)} clicked after “{subjects[best.variant]}”"
    rates += f", {_percent(second.rate)} after “{subjects[second.variant]}”"
    ends = f"at 95 % the lead is between {_points(low)} and {_points(high)} points"
    if low > 0:
        why = f"“{subjects[best.variant]}” won: {rates}; {ends}."
        return Decision(best.variant, why, difference)
    needed = lead_needed(best.sent, second)
    told = "" if needed is None else f", where {_points(needed)} points would have been enough"
    why = f"No winner: the list is too small to tell. {rates}; {ends}{told}."
    return Decision(None, why, difference, needed)


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f} %"


def _points(difference: float) -> str:
    return f"{100 * difference:.1f}".replace("-", "−")
