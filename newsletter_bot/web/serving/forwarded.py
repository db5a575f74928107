"""What trusted proxies say about a visitor: `X-Forwarded-For` and `X-Forwarded-Proto`.

Each proxy appends the address it was asked from, so the list is read from its end: the first
address that is no proxy's is the visitor's, and whatever stands before it, the visitor wrote.
Anybody else's word is not believed. Written for this because uvicorn 0.54 takes over what is no
address at all, and a name in its list of proxies never matches.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from newsletter_bot.web.serving.crowd import TrustedProxies, address_of

_MOST = 20  # hops that are read


class Believing:
    """Puts the visitor's address and scheme into requests that come from a trusted proxy."""

    def __init__(self, app: ASGIApp, trusted: TrustedProxies) -> None:
        self._app = app
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        client = scope.get("client")
        if scope["type"] == "http" and client and self._trusted.trusts(client[0]):
            self._believe(scope, client[0])
        await self._app(scope, receive, send)

    def _believe(self, scope: Scope, proxy: str) -> None:
        hops: list[str] = []
        for name, value in scope["headers"]:
            if name == b"x-forwarded-for":
                hops += value.decode("latin-1").split(",")
            elif name == b"x-forwarded-proto" and value in {b"http", b"https"}:
                scope["scheme"] = value.decode("ascii")
        if hops:
            scope["client"] = (self._visitor(hops, proxy), 0)

    def _visitor(self, hops: list[str], proxy: str) -> str:
        """Return the address that the last trusted proxy was asked from, as far as it is one."""
        nearest = proxy
        for hop in reversed(hops[-_MOST:]):
            address = address_of(_without_port(hop.strip()))
            if address is None:
                return nearest  # who wrote that is no visitor we could name
            nearest = str(address)
            if not self._trusted.trusts(nearest):
                return nearest
        return nearest


def _without_port(hop: str) -> str:
    """Return the address in `203.0.113.9:1234`, `[2001:db8::1]:1234` or `2001:db8::1`."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
