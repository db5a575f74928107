"""The words of a call to a provider: request, answer, and what an answer means for its messages."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from newsletter_bot.delivery.model import Message, Outcome

_MOST_WORDS = 300  # characters of an answer that are worth keeping


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; the same messages and key give the same bytes."""

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider answered; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        """The body's JSON; None when it is none."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            return None

    def find(self, *path: str) -> str:
        """Return a text or number deep in the JSON, as text; empty when it is not there."""
        here = self.json
        for key in path:
            here = here.get(key) if isinstance(here, dict) else None
        return str(here) if isinstance(here, str | int | float) else ""

    @property
    def is_page(self) -> bool:
        """Whether the body is a web page: somebody's who is no API, like a proxy on the way."""
        return re.match(rb"\s*<(!doctype\s|html\b)", self.content, re.IGNORECASE) is not None

    @property
    def words(self) -> str:
        """The body in short, on one line, after the status."""
        if self.is_page:
            return f"HTTP {self.status}: a web page"
        text = self.content[: 4 * _MOST_WORDS].decode("utf-8", errors="replace")
        line = re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text).strip()[:_MOST_WORDS]
        return f"HTTP {self.status}: {line or 'no explanation'}"


@dataclass(frozen=True, slots=True)
class NotTaken:
    """Certainly none of the messages was taken, and none of them is to blame.

    `wait` is how long the provider wants us to wait (seconds). A `lasting` one is not cured by
    trying again: the run stops for this relay, and the operator is told.
    """

    reason: str
    wait: float | None = None
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class Unsure:
    """The messages may or may not have been taken; `wait` as above, before the same is asked."""

    reason: str
    wait: float | None = None


Verdict = Sequence[Outcome] | NotTaken | Unsure
"""One outcome for each message in their order, or what is true of all of them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What `doctor` found out, and what to do about it when it is not well.

    What is not well and not `grave` is worth knowing, and stops nothing.
    """

    well: bool
    sentence: str
    next_step: str = ""
    grave: bool = True


@dataclass(frozen=True, slots=True)
class Shape:
    """How much a provider takes in one call, and for how long it knows a key again."""

    most: int = 1  # messages
    most_bytes: int = 10_000_000  # of one request
    key_lasts: int = 0  # seconds; 0 where it has no idempotency keys


class Provider(Protocol):
    """One provider's ways, pure but for `check`: contract in tests/delivery/transports."""

    @property
    def shape(self) -> Shape:
        """How much it takes in one call."""
        ...

    def request(self, messages: Sequence[Message], key: str) -> Request:
        """Write the call that hands these messages over; byte for byte the same each time.

        `key` is the idempotency key, empty where the provider has none.
        """
        ...

    def read(self, answer: Answer, messages: Sequence[Message]) -> Verdict:
        """Say what an answer to that call means."""
        ...

    def check(self, ask: Callable[[Request], Answer], domain: str) -> Sequence[Finding]:
        """Find out whether the credentials are good and may send for a domain.

        `ask` raises httpx.HTTPError when there is no answer. Nothing is sent.
        """
        ...


@dataclass(frozen=True, slots=True)
class Sorted:
    """Which HTTP statuses mean what, where a provider says nothing finer (RFC 9110 section 15)."""

    lasting: frozenset[int] = frozenset({401, 402, 403, 404, 405, 413})
    later: frozenset[int] = frozenset({425, 429, 503})
    ambiguous: frozenset[int] = field(default=frozenset({408}))  # and all other 5xx
