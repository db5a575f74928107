"""One request to an endpoint, and what came back: it never raises, and never takes long."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx

from newsletter_bot.hooks.model import Answer
from newsletter_bot.outside import (
    Deadline,
    OutsideError,
    PrivateAddressError,
    check_url,
    retry_after,
    timed_client,
)
from newsletter_bot.settings.people import WebhookTable

LONGEST = 15.0  # seconds for connection, request and answer together
_MOST_BYTES = 64_000
_MOST_WORDS = 200  # characters of an answer that are worth keeping
_ALLOW = "set webhooks.allow_private = true, if that network is where it should go"


class Poster:
    """Posts to one endpoint over a connection that it keeps; for one thread at a time."""

    def __init__(
        self,
        endpoint: WebhookTable,
        clock: Callable[[], float] = time.time,
        longest: float = LONGEST,
    ) -> None:
        self._url = endpoint.url
        self._clock = clock
        self._longest = longest
        self._deadline = Deadline()
        self._client = timed_client(self._deadline, longest, allow_private=endpoint.allow_private)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send a document; redirects are not followed."""
        asked = {**headers, "Content-Type": "application/json", "Accept-Encoding": "identity"}
        self._deadline.begin(self._longest)
        try:
            check_url(self._url)
            with self._client.stream("POST", self._url, content=body, headers=asked) as found:
                return self._read(found)
        except (OutsideError, httpx.InvalidURL) as error:
            return Answer(None, f"{error}: correct webhooks.url")
        except Exception as error:  # noqa: BLE001 - whatever an endpoint does is an answer
            return _unheard(error)

    def _read(self, found: httpx.Response) -> Answer:
        words = _words(self._content(found))
        status = found.status_code
        reason = f"{status} {words}".strip()
        if found.is_redirect:
            target = _host(found.headers.get("location", ""))
            reason = f"{status}: it redirects to {target}, which is not followed"
        wait = retry_after(found.headers.get("retry-after", ""), self._clock())
        return Answer(status, reason, wait)

    @staticmethod
    def _content(found: httpx.Response) -> bytes:
        """Read what is there of a body; the status has been heard, whatever becomes of the rest."""
        content = bytearray()
        try:
            for piece in found.iter_raw():
                content += piece
                if len(content) > _MOST_BYTES:
                    break
        except httpx.HTTPError:
            pass
        return bytes(content[:_MOST_BYTES])


def _host(place: str) -> str:
    """Name the host alone: what stands behind it may be a secret."""
    try:
        return urlsplit(place).hostname or "elsewhere"
    except ValueError:
        return "elsewhere"


def _words(content: bytes) -> str:
    text = re.sub(r"<[^>]*>", " ", content.decode("utf-8", errors="replace"))
    return " ".join(re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text).split())[:_MOST_WORDS]


def _unheard(error: Exception) -> Answer:
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, PrivateAddressError):
            return Answer(None, f"{found}: {_ALLOW}", private=True)
        found = found.__cause__
    if isinstance(error, httpx.TimeoutException):
        return Answer(None, "it took too long to answer")
    said = " ".join(str(error).split())[:_MOST_WORDS] or type(error).__name__
    return Answer(None, f"it does not answer: {said}")
