"""The editor's preview of one issue: a page for this machine alone, live while files are saved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse, HTMLResponse, Response, StreamingResponse
from starlette.datastructures import MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from newsletter_bot.shipped import shipped
from newsletter_bot.web.previewing.scheme import Scheme, in_scheme
from newsletter_bot.web.previewing.snapshot import Snapshot, Specimen
from newsletter_bot.web.previewing.watch import Watch

_NOTHING = "default-src 'none'; frame-ancestors 'none'; sandbox"
_PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)
# An issue's HTML is shown without scripts and forms. It keeps its origin, so that our page can
# make the frame as high as its content; with no scripts inside, nothing can use that.
_ISSUE = (
    "default-src 'none'; img-src 'self' data: https: http:; style-src 'unsafe-inline';"
    " font-src https:; base-uri 'none'; form-action 'none'; frame-ancestors 'self';"
    " sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox"
)
_ASSETS = frozenset({"preview.css", "preview.js", "icon.svg"})


def make_app(folder: Path, issue_path: Path) -> FastAPI:
    """Return the preview of `issue_path`, an issue file of the newsletter in `folder`.

    Nothing is read until a page is asked for. `app.state.watch.stop()` ends open event streams.
    """
    app = FastAPI(openapi_url=None)
    app.state.watch = watch = Watch(folder, issue_path)
    # A name that some other site points at this machine must not open its pages to that site.
    app.add_middleware(
        TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"], www_redirect=False
    )
    app.add_middleware(_Careful)
    _add_page(app)
    _add_issue(app, watch)
    return app


def _add_page(app: FastAPI) -> None:
    files = shipped("templates/preview")

    @app.get("/")
    def page() -> Response:
        policy = {"Content-Security-Policy": _PAGE}
        return FileResponse(files / "index.html", headers=policy)

    @app.get("/assets/{name}")
    def asset(name: str) -> Response:
        if name not in _ASSETS:
            raise HTTPException(404)
        return FileResponse(files / name)


def _add_issue(app: FastAPI, watch: Watch) -> None:
    @app.get("/events")
    def events() -> Response:
        return StreamingResponse(_events(watch), media_type="text/event-stream")

    @app.get("/issue/mail-{scheme}")
    def mail(scheme: Scheme) -> Response:
        return _framed(_specimen(watch).mail, scheme)

    @app.get("/issue/web-{scheme}")
    def web(scheme: Scheme) -> Response:
        return _framed(_specimen(watch).web, scheme)

    @app.get("/issue/{place:path}")
    def picture(place: str) -> Response:
        # Only what the issue shows has a place here: no path from the address reaches the disk.
        found = _specimen(watch).pictures.get(place)
        if found is None or not found.is_file():
            raise HTTPException(404)
        return FileResponse(found)


def _specimen(watch: Watch) -> Specimen:
    found = watch.snapshot().specimen
    if found is None:
        raise HTTPException(404)
    return found


def _framed(html: str, scheme: Scheme) -> Response:
    content = in_scheme(html, scheme).encode(errors="replace")
    return HTMLResponse(content, headers={"Content-Security-Policy": _ISSUE})


def _events(watch: Watch) -> Iterator[str]:
    """Write server-sent events (HTML Standard section 9.2); a comment when nothing changed."""
    yield "retry: 500\n\n"
    for snapshot in watch.changes():
        yield _event(snapshot) if snapshot else ":\n\n"


def _event(snapshot: Snapshot) -> str:
    # ASCII: a stray half of a surrogate pair in a file must not end the stream.
    return f"data: {json.dumps(snapshot.to_json())}\n\n"


class _Careful:
    """Adds to every answer what keeps it on this machine, in this page, and out of caches."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def careful(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", _NOTHING)
                headers["Cache-Control"] = "no-store"
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
                headers["Referrer-Policy"] = "no-referrer"
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        await self._app(scope, receive, careful)
