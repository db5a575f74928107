"""The headers that every answer of the public web has."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CLOSED = "base-uri 'none'; frame-ancestors 'none'"
_ARCHIVE = "default-src 'none'; img-src 'self' https: data:; style-src 'unsafe-inline'"


class Careful:
    """Adds the headers that every answer has."""

    def __init__(self, app: ASGIApp, secure: bool) -> None:  # noqa: FBT001 - by the framework
        self._app = app
        self._secure = secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the app does, with these headers."""

        async def careful(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", f"{_ARCHIVE}; {CLOSED}")
                headers.setdefault("Referrer-Policy", "strict-origin-when-cross-origin")
                headers["X-Content-Type-Options"] = "nosniff"
                headers["X-Frame-Options"] = "DENY"
                if self._secure:
                    headers["Strict-Transport-Security"] = "max-age=31536000"
            await send(message)

        await self._app(scope, receive, careful)
