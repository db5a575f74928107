"""One connection to a provider: a request goes out, and an answer or the lack of one comes back."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Iterator

import httpx

from newsletter_bot.delivery.calls.model import Answer, Request
from newsletter_bot.outside import Deadline, timed_client

_MOST = 4_000_000  # bytes of an answer
_CONNECT = 30.0  # seconds
_IDLE = 4.0  # seconds after which a connection may have been closed at the other end: a new one
_HIDING = re.compile(r"auth|key|token|secret|signature", re.IGNORECASE)  # names of headers
_SHORTEST = 8  # characters of a secret: shorter ones would be words


class NotSentError(Exception):
    """The request did not reach the provider as a whole: nothing came of it."""


class NoAnswerError(Exception):
    """All of the request was sent, and what came of it nobody knows."""


class Caller:
    """Makes calls, one at a time; for one thread."""

    def __init__(self, timeout: float) -> None:
        """`timeout` is how long a call may take in all (seconds)."""
        self._timeout = timeout
        self._deadline = Deadline()
        self._client: httpx.Client | None = None
        self._used = 0.0

    def close(self) -> None:
        """Hang up."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def call(self, request: Request, before_last: Callable[[], None] = lambda: None) -> Answer:
        """Send a request; raises NotSentError or NoAnswerError.

        `before_last` is called before the last byte leaves: without that the provider has nothing.
        """
        body = _Body(request.content, before_last)
        client = self._connected()
        self._deadline.begin(self._timeout)
        try:
            answer = self._ask(client, request, body)
        except httpx.HTTPError as error:
            self.close()
            words = _words(error, self._timeout)
            if body.complete:
                raise NoAnswerError(words) from error
            raise NotSentError(words) from error
        self._used = time.monotonic()
        return answer

    def _connected(self) -> httpx.Client:
        if time.monotonic() - self._used > _IDLE:
            self.close()
        if self._client is None:
            wait = min(self._timeout, _CONNECT)
            self._client = timed_client(self._deadline, wait, allow_private=True)
            self._client.timeout = httpx.Timeout(self._timeout, connect=wait)
        return self._client

    def _ask(self, client: httpx.Client, request: Request, body: _Body) -> Answer:
        headers = {**request.headers, "Accept-Encoding": "identity"}
        content: Iterator[bytes] | None = None
        if request.content:
            # Without its length the body would go out in chunks, which not all providers take.
            headers["Content-Length"] = str(len(request.content))
            content = iter(body)
        else:
            body.let_go()
        with client.stream(request.method, request.url, headers=headers, content=content) as answer:
            return self._read(answer, request)

    def _read(self, answer: httpx.Response, request: Request) -> Answer:
        content = bytearray()
        for piece in answer.iter_bytes():
            content += piece
            if len(content) > _MOST:
                raise httpx.ReadError(f"its answer is larger than {_MOST // 1_000_000} MB")
        known = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status_code, known, _without_secrets(bytes(content), request))


class _Body:
    """A body in two pieces, so that we know whether the last of it was asked for."""

    def __init__(self, content: bytes, before_last: Callable[[], None]) -> None:
        self._content = content
        self._before_last = before_last
        self.complete = False

    def __iter__(self) -> Iterator[bytes]:
        # The second piece is asked for when the first is in the hands of the system: httpcore gives
        # up on a body at the first write that fails (1.0.9, 2026-11).
        yield self._content[:-1]
        self.let_go()
        yield self._content[-1:]

    def let_go(self) -> None:
        self._before_last()
        self.complete = True


def _words(error: httpx.HTTPError, timeout: float) -> str:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return f"no connection to the provider: {str(error) or 'it took too long'}"
    if isinstance(error, httpx.TimeoutException):
        return f"no answer within {timeout:g} seconds"
    return f"the connection was lost: {str(error) or type(error).__name__}"


def _without_secrets(content: bytes, request: Request) -> bytes:
    """Take what authorizes us out of an answer that repeats it: reasons are shown and stored."""
    for name, value in request.headers.items():
        if _HIDING.search(name):
            for secret in _secrets(value):
                content = content.replace(secret.encode(), b"***")
    return content


def _secrets(value: str) -> list[str]:
    words = value.split()
    if words and words[0].lower() == "basic":
        words += base64.b64decode(words[-1]).decode("utf-8", errors="replace").split(":")
    return [one for one in words if len(one) >= _SHORTEST]
