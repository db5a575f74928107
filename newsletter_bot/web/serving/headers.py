"""The headers that every answer of the public web has, whatever made it.

A page of ours brings its own policy. What brings none is somebody's content, the archive above all:
it may show pictures and be styled, and is otherwise a sandbox (HTML Standard, "sandboxing"): no
script, no form, no frame, no refreshing, and an origin of its own, so that even with a hole in this
list it could not act as one of our pages. Its links work.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SANDBOX = (
    "sandbox allow-downloads allow-popups allow-popups-to-escape-sandbox"
    " allow-top-navigation-by-user-activation"
)
ARCHIVE = (
    "default-src 'none'; img-src 'self' https: data:; style-src 'unsafe-inline'; base-uri 'none';"
    f" form-action 'none'; frame-ancestors 'none'; {_SANDBOX}"
)
_POWERS = (
    "accelerometer=(), autoplay=(), camera=(), display-capture=(), encrypted-media=(),"
    " fullscreen=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(),"
    " payment=(), picture-in-picture=(), publickey-credentials-get=(), screen-wake-lock=(),"
    " usb=(), web-share=(), xr-spatial-tracking=()"
)
_YEAR = 31_536_000

Pair = tuple[bytes, bytes]


class Careful:
    """Adds the headers that every answer has, unless it brings its own of that name."""

    def __init__(self, app: ASGIApp, secure: bool) -> None:  # noqa: FBT001 - by the framework
        """`secure`: the newsletter is read over HTTPS alone, and browsers shall remember it."""
        self._app = app
        always = {
            "x-content-type-options": "nosniff",
            "permissions-policy": _POWERS,
            "x-permitted-cross-domain-policies": "none",
        }
        if secure:
            always["strict-transport-security"] = f"max-age={_YEAR}"
        self._always = _pairs(always)
        # No Cross-Origin-Opener-Policy: with a sandbox, browsers refuse to show the page at all.
        # Pictures are shown in mails and in feed readers, so from anywhere.
        content = {
            "content-security-policy": ARCHIVE,
            "cross-origin-resource-policy": "cross-origin",
            "referrer-policy": "strict-origin-when-cross-origin",
            "x-frame-options": "DENY",
        }
        self._content = self._always + _pairs(content)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the app does, with these headers."""

        async def careful(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = self._completed(list(message.get("headers", ())))
            await send(message)

        await self._app(scope, receive, careful)

    def _completed(self, headers: list[Pair]) -> list[Pair]:
        given = {name.lower(): value for name, value in headers}
        policy = given.get(b"content-security-policy")
        wanted = self._content if policy is None else self._always + _page(policy)
        return headers + [pair for pair in wanted if pair[0] not in given]


_KNOWN: dict[bytes, tuple[Pair, ...]] = {}
_MOST = 100  # policies remembered; ours are a handful


def _page(policy: bytes) -> tuple[Pair, ...]:
    """Return what a page of ours needs beside its own policy: others may show some in a frame."""
    found = _KNOWN.get(policy)
    if found is None:
        alone = b"frame-ancestors 'none'" in policy or b"frame-ancestors" not in policy
        headers = {
            "cross-origin-resource-policy": "same-origin" if alone else "cross-origin",
            "referrer-policy": "no-referrer",  # its address may be a token
        }
        if b"sandbox" not in policy:
            headers["cross-origin-opener-policy"] = "same-origin"
        if alone:
            headers["x-frame-options"] = "DENY"
        found = _pairs(headers)
        if len(_KNOWN) < _MOST:
            _KNOWN[policy] = found
    return found


def _pairs(headers: dict[str, str]) -> tuple[Pair, ...]:
    return tuple((name.encode("ascii"), value.encode("ascii")) for name, value in headers.items())
