"""The gate of the API: nobody passes without a good key, too often, or with a body nobody reads.

It stands before everything, so that whoever has no key learns nothing: not what there is, not even
whether their request could be read.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from newsletter_bot.bot import Bot
from newsletter_bot.logs import log
from newsletter_bot.settings.tables import seconds
from newsletter_bot.subscribers.address import has_control
from newsletter_bot.subscribers.given import network_prefix
from newsletter_bot.subscribers.limits_store import Limits
from newsletter_bot.web.api.bodies import again, read_body
from newsletter_bot.web.api.keys import ApiKey
from newsletter_bot.web.api.keys_store import KeyStore
from newsletter_bot.web.api.problems import Kind, Problem

OPEN = "/openapi.json"  # the one address that needs no key
_FAILURES = "30/m"  # answers to wrong keys, for one network
_WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_LONGEST = 1000  # characters of a path
_POLICY = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class Visit:
    """A request that passed the gate: with which key, and what its body was."""

    key: ApiKey
    body: bytes


class Door:
    """Looks at keys, and counts."""

    def __init__(self, bot: Bot) -> None:
        self._keys = KeyStore(bot.engine, bot.writer)
        self._limits = Limits()
        self._writer = bot.writer
        self._rate = bot.settings.api.rate

    @property
    def policy(self) -> str:
        """What a key may, as RateLimit-Policy says it (draft-ietf-httpapi-ratelimit-headers-10)."""
        count, _, unit = self._rate.partition("/")
        return f'"key";q={count};w={seconds(f"1{unit}")}'

    def admit(self, authorization: str, client: str) -> ApiKey:
        """Return the key of a request; raises Problem."""
        scheme, _, text = authorization.partition(" ")
        key = self._keys.find(text.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            raise self._unknown(client)
        wait = self._take("api", str(key.id), self._rate)
        if wait:
            headers = {"Retry-After": str(wait), "RateLimit": f'"key";r=0;t={wait}'}
            detail = f"This key may ask {self._rate} times; ask again in {wait} seconds."
            raise Problem(Kind.LIMITED, detail, headers=headers)
        self._keys.note_use(key)
        return key

    def _unknown(self, client: str) -> Problem:
        prefix = network_prefix(client)
        wait = self._take("api-failed", prefix, _FAILURES)
        log("api.refused", prefix=prefix, limited=bool(wait))
        if wait:
            detail = f"Too many wrong keys; try again in {wait} seconds."
            return Problem(Kind.LIMITED, detail, headers={"Retry-After": str(wait)})
        detail = "Send `Authorization: Bearer` and a key that was not revoked and has not expired."
        return Problem(Kind.UNAUTHORISED, detail, headers={"WWW-Authenticate": "Bearer"})

    def _take(self, name: str, key: str, rate: str) -> int:
        return self._writer.run(lambda found: self._limits.take(found, name, key, rate))


class Gate:
    """Lets a request through to the app with a Visit, or answers it."""

    def __init__(self, app: ASGIApp, bot: Bot) -> None:
        self._app = app
        self._door = Door(bot)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        send = self._careful(send)
        try:
            if scope["path"].removeprefix(scope.get("root_path", "")) != OPEN:
                scope, receive = await self._pass(scope, receive)
        except Problem as problem:
            await problem.response()(scope, receive, send)
        except ClientDisconnect:
            return
        else:
            await self._app(scope, receive, _noting(scope, send))

    async def _pass(self, scope: Scope, receive: Receive) -> tuple[Scope, Receive]:
        if has_control(scope["path"]) or len(scope["path"]) > _LONGEST:
            raise Problem(Kind.INVALID, "An address too long, or with a control character.")
        headers = Headers(scope=scope)
        client = scope["client"][0] if scope.get("client") else ""
        shown = headers.get("authorization", "")
        key = await run_in_threadpool(self._door.admit, shown, client)
        body = await read_body(receive, headers) if scope["method"] in _WRITING else b""
        state = {**scope.get("state", {}), "visit": Visit(key, body)}
        return {**scope, "state": state}, again(body, receive)

    def _careful(self, send: Send) -> Send:
        async def careful(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Cache-Control"] = "no-store"
                headers["Content-Security-Policy"] = _POLICY
                headers["RateLimit-Policy"] = self._door.policy
            await send(message)

        return careful


def _noting(scope: Scope, send: Send) -> Send:
    """Log who changed what, or tried to; no address of ours holds anybody's."""
    visit = scope.get("state", {}).get("visit")
    if visit is None or scope["method"] not in _WRITING:
        return send

    async def noting(message: Message) -> None:
        if message["type"] == "http.response.start":
            facts = {"method": scope["method"], "path": scope["path"], "status": message["status"]}
            log("api.write", key=visit.key.name, **facts)
        await send(message)

    return noting
