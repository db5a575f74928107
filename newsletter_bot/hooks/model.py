"""The words of webhooks: what is owed to an endpoint, what it answered, what that means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum


class HookState(StrEnum):
    """Where an event stands with one endpoint."""

    PLANNED = "planned"  # owed, or under way
    DELIVERED = "delivered"  # a 2xx; final, but for `replay`
    FAILED = "failed"  # given up; the same


@dataclass(frozen=True, slots=True)
class Owed:
    """An event that an endpoint gets now; `attempt` counts from 1."""

    event_id: int
    endpoint: str
    uid: str  # the webhook-id, the same at every attempt
    kind: str
    data: Mapping[str, object]
    at: int  # when it happened, seconds since 1970 UTC
    attempt: int = 1

    def body(self) -> bytes:
        """Return the document that is sent, the same at every attempt.

        Standard Webhooks 1.0.0, "Payload structure".
        """
        document = {"type": self.kind, "timestamp": utc(self.at), "data": dict(self.data)}
        return json.dumps(document, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `status` is None where nothing did."""

    status: int | None
    reason: str  # one line, never empty
    retry_after: float | None = None  # seconds that the endpoint wants to be left alone
    private: bool = False  # it was not asked: it is inside a private network

    @property
    def taken(self) -> bool:
        """True for a 2xx."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - RFC 9110

    @property
    def gone(self) -> bool:
        """True when the endpoint wants nothing any more."""
        return self.status == 410  # noqa: PLR2004 - Gone, RFC 9110 section 15.5.11

    @property
    def overloaded(self) -> bool:
        """True when it is the endpoint, not this event, that should rest."""
        return self.status in {429, 503} and self.retry_after is not None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of an event that was attempted."""

    state: HookState
    answer: Answer
    not_before: int  # of one that is tried again
    rests_until: int = 0  # the endpoint as a whole


def utc(at: int) -> str:
    """Write an instant as ISO 8601 in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
