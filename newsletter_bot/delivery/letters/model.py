"""The words of letters: one that is owed, what it is about, and why it must not be sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from newsletter_bot.delivery.model import DeliveryState


@dataclass(frozen=True, slots=True)
class Letter:
    """A row of `letters` that is due."""

    id: int
    kind: str  # a LetterKind, if this version knows it
    address: str
    key: str  # what makes two addresses one; empty when it is none
    language: str
    about: Mapping[str, int | str]
    attempts: int
    attempted_at: int | None  # of the first attempt (seconds since 1970 UTC)


@dataclass(frozen=True, slots=True)
class Matter:
    """What a letter is about, as it stands now: ids and lists, nothing that the person wrote."""

    number: int  # what its token is made from: a sign-up, a subscriber or a change of address
    list: str = ""  # the one it is written for, if there is one
    lists: tuple[str, ...] = ()  # what was asked for, or what the person reads
    until: int | None = None  # when its link stops working (seconds since 1970 UTC)


@dataclass(frozen=True, slots=True)
class Moot:
    """Why a letter must not be sent any more."""

    reason: str
    state: DeliveryState = DeliveryState.SKIPPED


@dataclass
class Post:
    """What became of the letters of one round."""

    states: Counter[str] = field(default_factory=Counter)
    about_us: str = ""  # a refusal that speaks of us, not of the reader
