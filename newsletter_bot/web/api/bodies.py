"""Bodies of requests to the API: JSON alone, of a size and depth that a program needs."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from newsletter_bot.web.api.problems import Kind, Problem

LARGEST = 64 * 1024  # bytes
_DEEPEST = 8  # arrays and objects within each other


async def read_body(receive: Receive, headers: Headers) -> bytes:
    """Return a body that may be parsed; raises Problem, and ClientDisconnect."""
    if _declared(headers) > LARGEST:
        raise _too_large()
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > LARGEST:
            raise _too_large()
    if body:
        _check_type(headers)
        _check_json(bytes(body))
    return bytes(body)


def again(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read to whoever asks next, and then what comes later."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _declared(headers: Headers) -> int:
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) <= 18 else 0  # noqa: PLR2004


def _too_large() -> Problem:
    # The rest of it is not read, so the connection cannot be used again.
    close = {"Connection": "close"}
    return Problem(Kind.TOO_LARGE, f"More than {LARGEST // 1024} KB.", headers=close)


def _check_type(headers: Headers) -> None:
    kind, _, parameters = headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if kind.strip().lower() != "application/json" or charset not in {"", "charset=utf-8"}:
        raise Problem(Kind.MEDIA_TYPE, "Content-Type: application/json, in UTF-8, is what is read.")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(Kind.MEDIA_TYPE, "Compressed bodies are not read.")


def _check_json(body: bytes) -> None:
    try:
        value = json.loads(
            body.decode("utf-8"), parse_constant=_refuse, object_pairs_hook=_without_twins
        )
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:  # no JSON, no UTF-8, or a number of more digits than Python reads
        raise Problem(Kind.MALFORMED, "The body is no JSON text (RFC 8259) in UTF-8.") from error
    if _is_deeper(value, _DEEPEST):
        raise _too_deep()


def _too_deep() -> Problem:
    return Problem(Kind.MALFORMED, f"The body is nested more than {_DEEPEST} deep.")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and Infinity are Python's own


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that says one thing twice: two readers might believe different ones."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name twice")
    return found


def _is_deeper(value: Any, deepest: int) -> bool:
    level = [value]
    for _ in range(deepest):
        level = [inner for one in level for inner in _inside(one)]
    return any(isinstance(one, dict | list) for one in level)


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
