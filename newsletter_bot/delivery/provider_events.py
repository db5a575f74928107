"""What a provider tells later of a message it took, in words that no provider owns.

A transport's file may offer `open_events(options, folder)`, which returns `Events`, or None where
the operator configured no secret. Reading is pure; what comes of an event is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class EventKind(StrEnum):
    """What happened to a message."""

    DELIVERED = "delivered"
    DEFERRED = "deferred"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"
    REJECTED = "rejected"  # not tried: the provider's own suppression list, or its policy
    OPENED = "opened"
    CLICKED = "clicked"
    FAILED = "failed"  # the provider's own failure
    UNKNOWN = "unknown"  # a word we do not know: kept, nothing comes of it


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """One thing that happened to one message."""

    key: str  # the provider's id of it: told twice, it is the same
    kind: EventKind
    at: int  # seconds since 1970 UTC, as the provider says
    token: str = ""  # our X-Newsletter-Bot-Ref, as it came back; not verified
    address: str = ""
    status: str = ""  # enhanced code (RFC 3463)
    reason: str = ""  # the words of the receiving server, else the provider's
    permanent: bool | None = None  # what the provider makes of a bounce, where it says
    word: str = ""  # the provider's own name of it


@dataclass(frozen=True, slots=True)
class HookRequest:
    """A request that claims to come from a provider."""

    headers: Mapping[str, str]  # names in lower case
    body: bytes
    now: float  # seconds since 1970 UTC
    fetch: Callable[[str], bytes]  # gets a public address; raises outside.OutsideError


class ForgedError(Exception):
    """A request that is not the provider's, or too old to believe; says why in a few words."""


class Events(Protocol):
    """How one provider's requests are checked and read."""

    def verify(self, request: HookRequest) -> str:
        """Return the request's key, the same when it is repeated; raises ForgedError.

        Signatures are compared in constant time. It raises outside.OutsideError when something that
        it must fetch cannot be had: the provider is asked to come again.
        """
        ...

    def read(self, body: bytes) -> Sequence[ProviderEvent]:
        """Read a body that was verified; one that makes no sense is an `unknown`, never an error.

        Key and order of its events are the same each time.
        """
        ...

    def confirmation(self, body: bytes) -> str:
        """Return the address to fetch to confirm a subscription of ours; empty for all others."""
        ...
