"""What goes wrong, as programs read it: problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

MEDIA_TYPE = "application/problem+json"
_URN = "urn:newsletter-bot:problem:"
_MOST = 20  # errors told at once
_LONGEST = 300  # characters of one error
# Which of two bodies an error is about: pydantic names it in a path, where no request has it.
REQUEST, ADDITION = "(request)", "(addition)"
_UNSEEN = (REQUEST, ADDITION)
_REFERENCE = {"$ref": "#/components/schemas/Problem"}


class Kind(Enum):
    """The problems there are: the end of their `type`, their status and title."""

    MALFORMED = ("malformed", 400, "The request cannot be read")
    UNAUTHORISED = ("unauthorised", 401, "No valid key was shown")
    FORBIDDEN = ("forbidden", 403, "The key does not have the scope")
    NOT_FOUND = ("not-found", 404, "There is nothing here")
    METHOD = ("method", 405, "That cannot be done here")
    UNDER_WAY = ("under-way", 409, "The same request is under way")
    LEFT = ("left", 409, "The person unsubscribed")
    SUPPRESSED = ("suppressed", 409, "The address is suppressed")
    BROKEN = ("broken", 409, "A file of the newsletter cannot be read")
    TOO_LARGE = ("too-large", 413, "The request is too large")
    MEDIA_TYPE = ("media-type", 415, "Only JSON is read")
    INVALID = ("invalid", 422, "The request says something that cannot be")
    REUSED = ("reused", 422, "The idempotency key was used for another request")
    LIMITED = ("limited", 429, "Too many requests")
    UNAVAILABLE = ("unavailable", 503, "Not now")

    def __init__(self, label: str, status: int, title: str) -> None:
        self.type = f"{_URN}{label}"
        self.status = status
        self.title = title


class FieldError(BaseModel):
    """One thing wrong with a request, and where."""

    detail: str
    pointer: str | None = Field(None, description="Where in the body: a JSON pointer (RFC 6901)")
    parameter: str | None = Field(None, description="Or which parameter of the address, or header")


class ProblemBody(BaseModel):
    """What went wrong (RFC 9457): compare `type`, show `detail`."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = None


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """Ends a request with an answer that says why; what the request began is undone."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """Return the answer."""
        body = ProblemBody(
            type=self.kind.type,
            title=self.kind.title,
            status=self.kind.status,
            detail=self.detail,
            errors=list(self.errors[:_MOST]) or None,
        )
        content = body.model_dump(exclude_none=True)
        return _Inert(content, self.kind.status, self.headers, MEDIA_TYPE)


class _Inert(JSONResponse):
    """JSON without a `<`: what was asked for stands in it, whoever shows it as what it is not."""

    def render(self, content: Any) -> bytes:
        """Write JSON with each `<` as an escape, which means the same (RFC 8259 section 7)."""
        return super().render(content).replace(b"<", rb"\u003c")


def not_found(what: str) -> Problem:
    """Say that there is no such thing: "subscriber"."""
    return Problem(Kind.NOT_FOUND, f"There is no such {what}.")


def invalid(detail: str, pointer: str = "", parameter: str = "") -> Problem:
    """Say what is wrong with one field of the body, or with one parameter."""
    where = FieldError(
        detail=detail[:_LONGEST], pointer=pointer or None, parameter=parameter or None
    )
    return Problem(Kind.INVALID, "See `errors`.", [where])


def field_error(error: Mapping[str, Any]) -> FieldError:
    """Return one error of pydantic's, without what the request said there."""
    place, *path = (step for step in error["loc"] if step not in _UNSEEN)
    detail = str(error["msg"]).removeprefix("Value error, ")[:_LONGEST]
    if place != "body":
        return FieldError(detail=detail, parameter="/".join(map(str, path))[:_LONGEST])
    steps = (str(one).replace("~", "~0").replace("/", "~1") for one in path)
    return FieldError(detail=detail, pointer="".join(f"/{one}" for one in steps)[:_LONGEST])


def responses(*kinds: Kind) -> dict[int | str, dict[str, Any]]:
    """Return what an operation may answer beside success, as OpenAPI writes it."""
    found: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        said = found.setdefault(kind.status, {"description": ""})
        said["description"] = "; ".join(filter(None, (said["description"], kind.title)))
        said["content"] = {MEDIA_TYPE: {"schema": _REFERENCE}}
        if kind in _HEADERS:
            said["headers"] = _HEADERS[kind]
    return found


# Said by the server before the API hears of it (serving/clients.py), whatever was asked.
TOO_LONG = {
    "description": "The address is too long",
    "content": {MEDIA_TYPE: {"schema": _REFERENCE}},
}


def _header(description: str, kind: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": kind}, "required": True}


_HEADERS = {
    Kind.UNAUTHORISED: {"WWW-Authenticate": _header("Bearer", "string")},
    Kind.LIMITED: {"Retry-After": _header("Seconds until it is worth another try", "integer")},
}

# What any operation may answer; those that write may answer more.
READS = (
    Kind.UNAUTHORISED,
    Kind.FORBIDDEN,
    Kind.INVALID,
    Kind.LIMITED,
    Kind.UNAVAILABLE,
)
WRITES = (
    *READS,
    Kind.MALFORMED,
    Kind.UNDER_WAY,
    Kind.TOO_LARGE,
    Kind.MEDIA_TYPE,
    Kind.REUSED,
)


def title_of(status: int) -> str:
    """Return the words HTTP has for a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
