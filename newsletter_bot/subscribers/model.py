"""Subscriber and Subscription: a person, an address, and what they chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from newsletter_bot.subscribers.address import Address

# The slots every newsletter has without declaring them; [subscribers] fields adds its own.
PERSONAL_FIELDS = ("email", "name", "first_name", "language")

# How the evidence of an imported consent begins: such people subscribed long ago, elsewhere.
IMPORTED = "import of "


class SubscriptionState(StrEnum):
    """A subscriber's state on one mailing list."""

    PENDING = "pending"
    ACTIVE = "active"
    UNSUBSCRIBED = "unsubscribed"


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A person and address; `fields` are the newsletter's own, text to text."""

    id: int
    address: str
    name: str = ""
    language: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def first_name(self) -> str:
        """The field `first_name`, else the first word of the name; a CJK name has one word."""
        given = self.fields.get("first_name", "")
        return given or (self.name.split() or [""])[0]

    def values(self) -> dict[str, str]:
        """What the person's slots are filled with, and what `only` blocks compare."""
        return {
            **self.fields,
            "email": self.address,
            "name": self.name,
            "first_name": self.first_name,
            "language": self.language,
        }


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscriber's state on one mailing list, with the evidence of consent."""

    list: str
    state: SubscriptionState
    changed_at: int
    consent: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Person:
    """Everything known about one person."""

    subscriber: Subscriber
    added_at: int
    subscriptions: tuple[Subscription, ...]
    suppression: str | None


@dataclass(frozen=True, slots=True)
class Stats:
    """How many people there are, by list and state, and the domains most of them are at."""

    subscribers: int
    suppressed: int
    lists: Mapping[str, Mapping[str, int]]
    domains: Sequence[tuple[str, int]]


class AddOutcome(StrEnum):
    """What became of an address that was to be added."""

    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    UNSUBSCRIBED = "unsubscribed"  # left before: never revived by an import
    SUPPRESSED = "suppressed"  # must not be mailed
    PENDING = "pending"  # never confirmed: an import confirms nobody


@dataclass(frozen=True, slots=True)
class NewSubscriber:
    """A person to add, already checked; empty texts leave what is known as it is."""

    address: Address
    name: str = ""
    language: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
