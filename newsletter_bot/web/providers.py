"""What providers tell of messages they took: verified, on disk, and only then answered.

Nothing of a body is believed, or read beyond what its signature needs, before it is verified; what
it means is the duty `feedback`'s. A provider that gets no 2xx comes again.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from fastapi.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from newsletter_bot import outside
from newsletter_bot.bot import Bot
from newsletter_bot.delivery.provider_events import Events, ForgedError, HookRequest
from newsletter_bot.delivery.relay_events import open_events
from newsletter_bot.errors import ConfigurationError, TryAgainError
from newsletter_bot.feedback.events.intake import Kept
from newsletter_bot.logs import log
from newsletter_bot.outside import OutsideError
from newsletter_bot.web.serving.changing import Changes
from newsletter_bot.web.serving.gathering import Gathering

MOST = 1024 * 1024  # bytes of a body; providers' batches are smaller
_MOST_FETCHED = 64 * 1024  # bytes of a certificate, or of the answer to a confirmation
_FETCH_TIME = 5.0  # seconds
_FETCHES = 4  # at once: they wait in threads that others need
_MOMENT = 0.5  # seconds from a request to the duty, which reads all that came until then
_QUIET = 60.0  # seconds between two records of the same refusal

_PLACE = "/hooks/"

Fetch = Callable[[str], bytes]
Result = TypeVar("Result")


class _ElsewhereError(OutsideError):
    """Something must be fetched, which is not done where all requests wait for it."""


def fetch(url: str) -> bytes:
    """Get something small from a public address; raises OutsideError."""
    found = outside.fetch(url, most=_MOST_FETCHED, seconds=_FETCH_TIME)
    if found.status != 200:  # noqa: PLR2004 - RFC 9110
        raise OutsideError(f"it answered {found.status}")
    return found.content


class ProviderHooks:
    """Answers `/hooks/NAME`, where NAME is a kind of transport; used by the server's thread alone.

    It stands before the framework, whose ways through middleware and routes cost more than the
    request: a provider may post thousands of times in a second.
    """

    def __init__(
        self, app: ASGIApp, bot: Bot, ring: Callable[[str], None], get: Fetch = fetch
    ) -> None:
        self._app = app
        self._bot = bot
        self._ring = ring
        self._get = get
        self._gathering = Gathering(bot.intake, Changes(bot.writer))
        self._known: Mapping[str, Sequence[Events]] | None = None
        self._rung: asyncio.TimerHandle | None = None
        self._fetching = 0
        self._refusals = _Refusals()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the app do so."""
        if scope["type"] != "http" or not scope["path"].startswith(_PLACE):
            await self._app(scope, receive, send)
            return
        status, text = await self._answer(scope, receive)
        headers = [*_HEADERS, (b"content-length", b"%d" % len(text))]
        headers += _MORE_HEADERS.get(status, [])
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send(
            {"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else text}
        )

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        if scope["method"] != "POST":
            return 405, b"POST alone\n"
        name = scope["path"][len(_PLACE) :]
        try:
            several = self._events().get(name)
            if not several:
                return 404, b"there is no such provider here\n"
            body = await _body_of(receive)
            if body is None:
                return 413, b"too long\n"
            headers = {
                key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
            }
            news = await self._take(name, several, headers, body)
        except ForgedError as error:
            self._refusals.note(name, str(error))
            return 403, b"refused\n"
        except (OutsideError, ConfigurationError, TryAgainError) as error:
            log("hooks.later", provider=name, error=error)
            return 503, b"later\n"
        except Exception as error:  # noqa: BLE001 - it is told here: nothing stands around this
            log("hooks.failed", provider=name, error=error)
            return 500, b"failed\n"
        return 200, b"kept\n" if news else b"known\n"

    def _events(self) -> Mapping[str, Sequence[Events]]:
        if self._known is None:
            self._known = open_events(self._bot.settings)
        return self._known

    async def _take(
        self, name: str, several: Sequence[Events], headers: Mapping[str, str], body: bytes
    ) -> bool:
        events, key = await self._verify(several, headers, body)
        news = await self._gathering.keep(Kept(name, key, body))
        if news:
            self._ring_soon()
        address = events.confirmation(body)
        if address:
            # Again for one that is repeated: the provider did not hear us the first time.
            await self._elsewhere(lambda: self._get(address))
            log("hooks.confirmed", provider=name)
        return news

    async def _verify(
        self, several: Sequence[Events], headers: Mapping[str, str], body: bytes
    ) -> tuple[Events, str]:
        """Return whose request it is, and its key; raises ForgedError when it is nobody's."""
        try:
            return _verified(several, HookRequest(headers, body, time.time(), _not_here))
        except _ElsewhereError:
            asked = HookRequest(headers, body, time.time(), self._get)
            return await self._elsewhere(lambda: _verified(several, asked))

    async def _elsewhere(self, work: Callable[[], Result]) -> Result:
        """Do what waits for somebody else in a thread, while not too many do."""
        if self._fetching >= _FETCHES:
            raise TryAgainError("Too many requests wait for what must be fetched.")
        self._fetching += 1
        try:
            return await run_in_threadpool(work)
        finally:
            self._fetching -= 1

    def _ring_soon(self) -> None:
        if self._rung is None:
            self._rung = asyncio.get_running_loop().call_later(_MOMENT, self._ring_now)

    def _ring_now(self) -> None:
        self._rung = None
        self._ring("feedback")


def _not_here(url: str) -> bytes:
    raise _ElsewhereError(url)


def _verified(several: Sequence[Events], request: HookRequest) -> tuple[Events, str]:
    """Ask the relays of a kind in turn: any that knows the request for its own may."""
    for one in several[:-1]:
        try:
            return one, one.verify(request)
        except ForgedError:
            continue
    return several[-1], several[-1].verify(request)


async def _body_of(receive: Receive) -> bytes | None:
    """Read a body; None when it is too long. That it comes in time is the server's to see to."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise TryAgainError("The provider hung up.")
        body = body + message["body"] if body else message["body"]
        if len(body) > MOST:
            return None
        if not message.get("more_body"):
            return bytes(body)


_HEADERS = [
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
]
_MORE_HEADERS = {405: [(b"allow", b"POST")], 503: [(b"retry-after", b"60")]}


class _Refusals:
    """Records that requests were refused: the first at once, of others how many there were."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._at: dict[tuple[str, str], float] = {}

    def note(self, provider: str, why: str) -> None:
        one = provider, why[:100]
        self._counts[one] += 1
        now = time.monotonic()
        if now - self._at.get(one, -_QUIET) < _QUIET:
            return
        if len(self._at) > 1000:  # noqa: PLR2004 - reasons are a few; whoever makes more learns nothing
            self._at.clear()
        self._at[one] = now
        log("hooks.refused", provider=provider, reason=one[1], times=self._counts.pop(one))
