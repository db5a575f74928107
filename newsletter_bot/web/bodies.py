"""The bodies of requests: never longer, and never slower, than a page needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import Request

_BODY = 8 * 1024  # bytes of a form
_PATIENCE = 10.0  # seconds for a body to arrive


async def is_short(request: Request) -> bool:
    """Read the body to its end and forget it; False when it is too long or too slow."""
    size = 0
    try:
        async with asyncio.timeout(_PATIENCE):
            async for piece in _pieces(request):
                size += len(piece)
                if size > _BODY:
                    return False
    except TimeoutError:
        return False
    return True


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    async for piece in request.stream():
        yield piece
