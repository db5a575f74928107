"""The bodies of requests: never longer, and never slower, than a page needs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qsl

from fastapi import HTTPException, Request

_BODY = 8 * 1024  # bytes of a form
_FIELDS = 50
_PATIENCE = 10.0  # seconds for a body to arrive
_URLENCODED = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form that was sent, in order; a name may stand there more than once."""

    fields: tuple[tuple[str, str], ...] = ()

    def one(self, name: str) -> str:
        """Return the first value of a field, without white space around it; empty without one."""
        return next((value.strip() for known, value in self.fields if known == name), "")

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value of a field."""
        return tuple(value for known, value in self.fields if known == name)


async def body_of(request: Request) -> bytes:
    """Read a body to its end; raises HTTPException (413) when it is too long or too slow."""
    body = bytearray()
    try:
        async with asyncio.timeout(_PATIENCE):
            async for piece in request.stream():
                body += piece
                if len(body) > _BODY:
                    raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    except TimeoutError as error:
        raise HTTPException(HTTPStatus.REQUEST_TIMEOUT) from error
    return bytes(body)


async def form_of(request: Request) -> Form:
    """Read a form (URL Standard, application/x-www-form-urlencoded, UTF-8).

    An empty body needs no type. Raises HTTPException: 415 for another type, 400 for a body that
    cannot be read, has too many fields or holds a NUL, and what `body_of` raises.
    """
    kind = request.headers.get("content-type", "")
    if kind and not _is_urlencoded(kind):
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    body = await body_of(request)
    if body and not kind:
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    try:
        return Form(tuple(_fields(body)))
    except ValueError as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST) from error


def _fields(body: bytes) -> list[tuple[str, str]]:
    if not body:
        return []
    pairs = parse_qsl(
        body.decode("utf-8"),
        keep_blank_values=True,
        strict_parsing=True,
        errors="strict",
        max_num_fields=_FIELDS,
    )
    # No keyboard writes it, and PostgreSQL does not store it.
    if any("\0" in name or "\0" in value for name, value in pairs):
        raise ValueError("a NUL")
    return pairs


def _is_urlencoded(content_type: str) -> bool:
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charset = next((one[8:].strip('"') for one in parameters if one.startswith("charset=")), "")
    return kind == _URLENCODED and charset in {"", "utf-8"}
