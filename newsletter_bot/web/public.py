"""What the world sees: the archive, unsubscribe pages, and whether the service is well.

GET and HEAD change nothing (promise 5): a link scanner that opens every address in a mail sees a
page with a button. Only POST acts, the button's and that of a mail program (RFC 8058).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.datastructures import MutableHeaders
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from newsletter_bot.logs import log
from newsletter_bot.rendering.web_page import Pages
from newsletter_bot.settings import Settings
from newsletter_bot.subscribers.store import SubscriberStore
from newsletter_bot.subscribers.tokens import TokenSigner, UnsubscribeClaim

_BODY = 8 * 1024  # bytes of a form
_PATIENCE = 10.0  # seconds for a body to arrive
_LANGUAGES = ("en", "de", "fr", "ja", "zh")  # of templates/web/strings.toml
_FORM = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; form-action 'self'"
_CLOSED = "base-uri 'none'; frame-ancestors 'none'"
_ARCHIVE = "default-src 'none'; img-src 'self' https: data:; style-src 'unsafe-inline'"


def make_public(
    settings: Settings,
    subscribers: SubscriberStore,
    signer: TokenSigner,
    unready: Callable[[], list[str]] = list,
) -> FastAPI:
    """Return the public web; `unready` tells why the service is not ready, empty when it is."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(_Careful, settings.newsletter.url.startswith("https://"))
    _add_health(app, subscribers, unready)
    _add_unsubscribe(app, _Leaving(settings, subscribers, signer))
    folder = settings.folder / settings.archive.folder
    app.mount("/", _Archive(directory=folder, html=True, check_dir=False))
    return app


def _add_health(
    app: FastAPI, subscribers: SubscriberStore, unready: Callable[[], list[str]]
) -> None:
    @app.get("/healthz")
    def health() -> Response:
        return JSONResponse({"ok": True})

    @app.get("/readyz")
    def ready() -> Response:
        reasons = unready()
        try:
            subscribers.ping()
        except Exception as error:  # noqa: BLE001 - whatever it is, we are not ready
            log("web.unready", error=error)
            reasons = [*reasons, "the database does not answer"]
        return JSONResponse({"ok": not reasons, "reasons": reasons}, 503 if reasons else 200)


def _add_unsubscribe(app: FastAPI, leaving: _Leaving) -> None:
    @app.api_route("/u/{token}", methods=["GET", "HEAD"])
    def ask(token: str, request: Request) -> Response:
        return leaving.ask(token, _language(request))

    @app.post("/u/{token}")
    async def leave(token: str, request: Request) -> Response:
        if not await _short(request):
            return Response(status_code=413)
        return await run_in_threadpool(leaving.leave, token, _language(request))


class _Leaving:
    """The unsubscribe page, and what its button does."""

    def __init__(
        self, settings: Settings, subscribers: SubscriberStore, signer: TokenSigner
    ) -> None:
        self._settings = settings
        self._subscribers = subscribers
        self._signer = signer
        self._pages = Pages(settings)

    def ask(self, token: str, language: str) -> Response:
        claim = self._signer.read_unsubscribe_token(token)
        if claim is None:
            return self._page("broken", language, status=404)
        return self._page("ask", language, self._list_name(claim))

    def leave(self, token: str, language: str) -> Response:
        """End the subscription; again and again, and for somebody erased, with the same answer."""
        claim = self._signer.read_unsubscribe_token(token)
        if claim is None:
            return self._page("broken", language, status=404)
        # A list that was removed meanwhile has no name any more: then from all of them.
        lists = [one.id for one in self._settings.lists if claim.matches(one.id)]
        ended = self._subscribers.unsubscribe(claim.subscriber_id, lists)
        log("web.unsubscribed", subscriber=claim.subscriber_id, ended=ended)
        return self._page("left", language, self._list_name(claim))

    def _list_name(self, claim: UnsubscribeClaim) -> str:
        names = [one.name for one in self._settings.lists if claim.matches(one.id)]
        return names[0] if names else self._settings.newsletter.name

    def _page(self, step: str, language: str, name: str = "", status: int = 200) -> Response:
        language = language or self._settings.newsletter.language
        values = {"step": step, "list": name, "form_action": "'self'"}
        html = self._pages.render("unsubscribe.html.j2", language, **values)
        headers = {
            "Content-Security-Policy": f"{_FORM}; {_CLOSED}",
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Robots-Tag": "noindex",
            "Vary": "Accept-Language",
        }
        return HTMLResponse(html, status, headers)


class _Archive(StaticFiles):
    """The built site, without files whose name begins with a dot."""

    async def check_config(self) -> None:
        """Let a site that has not been built yet be one without pages."""

    def lookup_path(self, path: str) -> tuple[str, object]:  # type: ignore[override]
        """Find a file inside the folder; starlette refuses ways out of it."""
        if any(part.startswith(".") and part not in {".", ""} for part in Path(path).parts):
            return "", None
        return super().lookup_path(path)


async def _short(request: Request) -> bool:
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


def _language(request: Request) -> str:
    """Return the first language of Accept-Language that we have; empty for none of them."""
    wanted = []
    for place, part in enumerate(request.headers.get("accept-language", "")[:500].split(",")):
        tag, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality or 1)
        except ValueError:
            weight = 0.0
        wanted.append((-weight, place, tag.lower().partition("-")[0]))
    return next((one for _, _, one in sorted(wanted) if one in _LANGUAGES), "")


class _Careful:
    """Adds the headers that every answer has."""

    def __init__(self, app: ASGIApp, secure: bool) -> None:  # noqa: FBT001 - by the framework
        self._app = app
        self._secure = secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def careful(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", f"{_ARCHIVE}; {_CLOSED}")
                headers.setdefault("Referrer-Policy", "strict-origin-when-cross-origin")
                headers["X-Content-Type-Options"] = "nosniff"
                headers["X-Frame-Options"] = "DENY"
                if self._secure:
                    headers["Strict-Transport-Security"] = "max-age=31536000"
            await send(message)

        await self._app(scope, receive, careful)
