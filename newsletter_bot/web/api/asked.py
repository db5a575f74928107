"""What an operation has at hand: the newsletter, the key, and a way to change things once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Security
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPBearer, SecurityScopes
from pydantic import BaseModel

from newsletter_bot.bot import Bot
from newsletter_bot.subscribers.tokens import mac
from newsletter_bot.web.api import idempotency_store as kept
from newsletter_bot.web.api.cursors import Cursors
from newsletter_bot.web.api.gate import Visit
from newsletter_bot.web.api.keys import Scope
from newsletter_bot.web.api.problems import Kind, Problem

_LONGEST_KEY = 128
_KEY = f'^("[!#-\\[\\]-~]{{1,{_LONGEST_KEY}}}"|[!#-\\[\\]-~]{{1,{_LONGEST_KEY}}})$'
_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="key",
    description="A key of `newsletter-bot api-key add`; its scopes say what it may do.",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a write answers; ids and counts, nothing that would have to be forgotten: it is kept."""

    status: int
    body: BaseModel | None = None
    location: str = ""

    def to_kept(self) -> kept.Kept:
        """Return it as it is kept."""
        body = None if self.body is None else self.body.model_dump(mode="json")
        return kept.Kept(self.status, json.dumps({"body": body, "location": self.location}))


@dataclass(frozen=True)
class Tools:
    """What all requests share."""

    bot: Bot
    ring: Callable[[str], None]

    @cached_property
    def cursors(self) -> Cursors:
        """What makes and reads the cursors of listings."""
        return Cursors(self.bot.secret)

    @cached_property
    def once(self) -> kept.IdempotencyStore:
        """What makes a change once, however often it is asked for."""
        return kept.IdempotencyStore(self.bot.writer)

    def fingerprint(self, request: Request, body: bytes) -> bytes:
        """Return a keyed hash of a request: by a plain one, an address in it could be guessed."""
        state = mac(self.bot.secret, b"idempotency", 32)
        for part in (request.method, request.scope["path"], request.url.query):
            state.update(part.encode() + b"\0")
        state.update(body)
        return state.digest()


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of a program that may do what it asks for."""

    tools: Tools
    request: Request
    visit: Visit

    @property
    def bot(self) -> Bot:
        """The newsletter."""
        return self.tools.bot

    def may(self, scope: Scope) -> bool:
        """Tell whether the key has a scope that some of the answer, or of the request, needs."""
        return self.visit.key.allows([scope])

    def need(self, scope: Scope) -> None:
        """Raise Problem when the key does not have a scope that this request needs."""
        if not self.may(scope):
            raise _forbidden([scope])


@dataclass(frozen=True, slots=True)
class Writing(Asked):
    """A request that changes something, at most once for each idempotency key."""

    idempotency_key: str | None

    def once(self, change: Callable[[], Answer], duty: str = "") -> Response:
        """Make a change and answer; all of it is one transaction, and what it raises undoes it.

        `change` may be run again after a deadlock (storage/writer.py), so it does nothing else.
        A `duty` that has work now is rung.
        """
        response = self._once(change)
        if duty:
            self.tools.ring(duty)
        return response

    def _once(self, change: Callable[[], Answer]) -> Response:
        if self.idempotency_key is None:
            return _response(self.bot.writer.run(lambda _connection: change().to_kept()))
        fingerprint = self.tools.fingerprint(self.request, self.visit.body)
        known = kept.Request(self.visit.key.id, self.idempotency_key, fingerprint)
        answer, again = self.tools.once.once(known, lambda: change().to_kept())
        response = _response(answer)
        if again:
            response.headers["Idempotency-Replayed"] = "true"
        return response


def reading(
    request: Request, needed: SecurityScopes, _shown: Annotated[Any, Depends(_bearer)]
) -> Asked:
    """Return a request whose key has the scopes; raises Problem."""
    tools, visit = request.app.state.tools, request.state.visit
    if not visit.key.allows(needed.scopes):
        raise _forbidden(needed.scopes)
    return Asked(tools, request, visit)


def writing(
    asked: Annotated[Asked, Depends(reading)],
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            pattern=_KEY,
            description="Any text of your own, best a UUID: the same request sent again with it is"
            " answered as the first was, and nothing is done twice. Kept for 24 hours.",
        ),
    ] = None,
) -> Writing:
    """Return the same for a request that changes something."""
    # A structured string has quotes (RFC 9651 section 3.3.3); the key is what stands in them.
    key = None if idempotency_key is None else idempotency_key.strip('"')
    return Writing(asked.tools, asked.request, asked.visit, key)


def needs(scope: Scope) -> Any:
    """Declare the scope of an operation that reads, within `Annotated[Asked, …]`."""
    return Security(reading, scopes=[scope.value])


def changes(scope: Scope) -> Any:
    """Declare the scope of an operation that writes, within `Annotated[Writing, …]`."""
    return Security(writing, scopes=[scope.value])


def _forbidden(scopes: list[Any]) -> Problem:
    challenge = f'Bearer error="insufficient_scope", scope="{" ".join(scopes)}"'  # RFC 6750 3.1
    detail = f"The key needs the scope {', '.join(scopes)}."
    return Problem(Kind.FORBIDDEN, detail, headers={"WWW-Authenticate": challenge})


def _response(answer: kept.Kept) -> Response:
    said = json.loads(answer.text)
    headers = {"Location": said["location"]} if said["location"] else None
    if said["body"] is None:
        return Response(status_code=answer.status, headers=headers)
    return JSONResponse(said["body"], answer.status, headers)
