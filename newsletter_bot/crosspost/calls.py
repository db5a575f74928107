"""Requests to a service, and what its answers mean for a post."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import httpx

from newsletter_bot.outside import retry_after

_MOST_BYTES = 1_000_000
_MOST_WORDS = 300  # characters of an answer that are worth keeping
_LONGEST_WAIT = 86_400.0
_OK = range(200, 300)
_REDIRECTS = range(300, 400)
_TOO_MANY = frozenset({408, 425, 429})
_REVOKED = 401
# A gateway that got no answer: the server behind it may have carried the request out.
_UNHEARD = frozenset({502, 504})
_SERVER = range(500, 600)


class ChannelError(Exception):
    """Why a post was not made; `reason` is a sentence for the operator."""

    def __init__(self, reason: str, next_step: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.next_step = next_step


class PutOffError(ChannelError):
    """Not now: certainly not posted. `seconds` is how long the service wants us to wait."""

    def __init__(self, reason: str, seconds: float | None = None) -> None:
        super().__init__(reason)
        self.seconds = seconds


class LostError(ChannelError):
    """The request left and its outcome is not known: it may have been posted."""


class RefusedError(ChannelError):
    """The service will not take this post, now or later."""


class ChannelDownError(ChannelError):
    """The service takes nothing from us until somebody does something about it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    created: bool = True  # the request was one that creates something

    @property
    def ok(self) -> bool:
        """True for a 2xx."""
        return self.status in _OK

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode("utf-8", errors="replace")

    @property
    def json(self) -> dict[str, Any]:
        """The body's JSON object; empty when it is none."""
        try:
            found = json.loads(self.content)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def find(self, *path: str) -> str:
        """Return a text or number deep in the JSON object, as text; empty when it is not there."""
        here: Any = self.json
        for key in path:
            here = here.get(key) if isinstance(here, dict) else None
        return str(here) if isinstance(here, str | int | float) else ""

    @property
    def words(self) -> str:
        """The service's own words, short and on one line."""
        paths = ("detail",), ("error", "message"), ("error",), ("message",), ("description",)
        said = next((found for path in paths if (found := self.find(*path))), "") or self.text
        line = re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", re.sub(r"<[^>]*>", " ", said)).strip()
        return line[:_MOST_WORDS] or "no explanation"


@dataclass(frozen=True, slots=True)
class Service:
    """A service by its name for people, with limits of time and size."""

    name: str
    timeout: float
    clock: Callable[[], float]
    client: Callable[[], httpx.Client] | None = None

    def ask(self, method: str, url: str, **request: Any) -> Answer:
        """Make a request that creates nothing; raises PutOffError when it is not answered."""
        try:
            return replace(self._send(method, url, request), created=False)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise PutOffError(f"{self._where(url)} does not answer: {_said(error)}.") from error

    def create(self, method: str, url: str, **request: Any) -> Answer:
        """Make a request that creates a post; raises PutOffError, or LostError once it has left."""
        unsent = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
        try:
            return self._send(method, url, request)
        except (*unsent, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise PutOffError(f"{self._where(url)} does not answer: {_said(error)}.") from error
        except (httpx.HTTPError, OSError) as error:
            raise LostError(f"{self._where(url)} got it and gave no answer.") from error

    def check(self, answer: Answer, revoked: str, seconds: float | None = None) -> Answer:
        """Return an answer that is a success; raises what a failure means.

        `revoked` is the next step after a 401; `seconds` is the service's own way to say how long.
        """
        status, said = answer.status, f"{self.name} answered {answer.status}: {answer.words}"
        if answer.ok:
            return answer
        if status == _REVOKED:
            raise ChannelDownError(f"{self.name} does not accept our login (401).", revoked)
        if status in _TOO_MANY:
            raise PutOffError(said, self.wait(answer) if seconds is None else seconds)
        if status in _UNHEARD and answer.created:
            raise LostError(said)
        if status in _SERVER:
            raise PutOffError(said, self.wait(answer))
        if status in _REDIRECTS:
            target = urlsplit(answer.headers.get("location", "")).hostname or "elsewhere"
            raise RefusedError(f"{self.name} sends us to {target}.", "Correct its address.")
        raise RefusedError(said)

    def wait(self, answer: Answer) -> float | None:
        """Return the seconds of Retry-After (RFC 9110 section 10.2.3), when it says any."""
        found = retry_after(answer.headers.get("retry-after", ""), self.clock())
        return None if found is None else min(found, _LONGEST_WAIT)

    def need(self, answer: Answer, *path: str) -> str:
        """Return the new post's id; an answer without one leaves open what happened."""
        if found := answer.find(*path):
            return found
        said = f"{self.name} answered {answer.status} without {'.'.join(path)}."
        raise LostError(said) if answer.created else PutOffError(said)

    def _send(self, method: str, url: str, request: dict[str, Any]) -> Answer:
        # httpx limits each wait; an answer that trickles in would take for ever.
        end = time.monotonic() + self.timeout
        with self._open() as client, client.stream(method, url, **request) as response:
            content = b""
            for piece in response.iter_bytes():
                content += piece
                if len(content) > _MOST_BYTES:
                    break
                if time.monotonic() > end:
                    raise httpx.ReadTimeout("the answer takes too long")
            return Answer(response.status_code, response.headers, content[:_MOST_BYTES])

    def _open(self) -> httpx.Client:
        # A connection for each request: one kept open may be closed by the server just as we
        # write, and then nobody knows whether the request was carried out.
        if self.client is not None:
            return self.client()
        return httpx.Client(timeout=self.timeout, headers={"User-Agent": "newsletter-bot"})

    def _where(self, url: str) -> str:
        # The host alone: webhook addresses are secrets.
        try:
            return urlsplit(url).hostname or self.name
        except ValueError:
            return self.name


def _said(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
        return "its address is not one"
    return re.sub(r"\s+", " ", str(error)).strip(" .") or type(error).__name__
