"""The editor's preview: the issue as mail, page, plain text and checks, anew after every save.

It listens on the loopback address only and changes nothing. The issue's own HTML is shown in
sandboxed frames under a policy without scripts: a hostile issue cannot reach this page.
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse, StreamingResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from newsletter_bot.errors import Severity
from newsletter_bot.shipped import shipped
from newsletter_bot.web.look import Look, Viewer
from newsletter_bot.web.watch import Watch

_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg"})
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]", "testserver"})
_OWN_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src 'self'"
)
_MAIL_POLICY = "default-src 'none'; img-src 'self' https: http:; style-src 'unsafe-inline'"
_HEARTBEAT = 10.0  # seconds after which an idle stream says that it lives
_GMAIL_LIMIT = 102_400  # bytes


def make_app(folder: Path, issue: Path) -> FastAPI:
    """Make the preview of one issue file of the newsletter in `folder`."""
    watch = Watch(folder, issue)
    viewer = Viewer(folder, issue)

    @asynccontextmanager
    async def life(_app: FastAPI):  # type: ignore[no-untyped-def]  # noqa: ANN202
        watch.start()
        yield
        watch.stop()

    app = FastAPI(lifespan=life, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.watch = watch
    app.middleware("http")(_loopback_only)
    _add_pages(app, viewer, watch, issue)
    return app


def _add_pages(app: FastAPI, viewer: Viewer, watch: Watch, issue: Path) -> None:
    templates = Environment(
        loader=FileSystemLoader(shipped("templates/preview")),
        autoescape=True,
        undefined=StrictUndefined,
    )

    def look() -> Look:
        return viewer.look(watch.version)

    @app.get("/")
    def page() -> HTMLResponse:
        text = templates.get_template("page.html.j2").render(_page_values(look(), issue))
        return HTMLResponse(text, headers={"Content-Security-Policy": _OWN_POLICY})

    @app.get("/state")
    def state() -> Response:
        text = templates.get_template("state.html.j2").render(_page_values(look(), issue))
        return HTMLResponse(text, headers={"Content-Security-Policy": _OWN_POLICY})

    @app.get("/mail/{scheme}")
    def mail(scheme: str) -> HTMLResponse:
        return _framed(look().mail("dark" if scheme == "dark" else "light"))

    @app.get("/issue/")
    def web() -> HTMLResponse:
        return HTMLResponse(look().web)

    @app.get("/text")
    def text() -> PlainTextResponse:
        return PlainTextResponse(look().text, headers={"Content-Security-Policy": _MAIL_POLICY})

    @app.get("/issue/{name:path}")
    def picture(name: str) -> Response:
        return _picture(issue.parent, name)

    @app.get("/events")
    def events() -> StreamingResponse:
        return StreamingResponse(_events(watch), media_type="text/event-stream")

    for name in ("preview.js", "preview.css"):
        app.get(f"/{name}")(_static(name))


def _page_values(look: Look, issue: Path) -> dict[str, object]:
    errors = [one for one in look.problems if one.severity is Severity.ERROR]
    return {
        "look": look,
        "file": issue.name,
        "kilobytes": f"{look.size / 1024:.1f}",
        "limit": f"{_GMAIL_LIMIT // 1024}",
        "error_count": len(errors),
        "warning_count": len(look.problems) - len(errors),
    }


def _framed(html: str) -> HTMLResponse:
    return HTMLResponse(html, headers={"Content-Security-Policy": _MAIL_POLICY})


def _picture(folder: Path, name: str) -> Response:
    path = (folder / name).resolve()
    inside = path.is_relative_to(folder.resolve())
    if not inside or path.suffix.lower() not in _PICTURES or not path.is_file():
        return PlainTextResponse("There is no such picture.", status_code=404)
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return FileResponse(path, media_type=kind, headers={"Content-Security-Policy": _MAIL_POLICY})


def _static(name: str) -> Callable[[], FileResponse]:
    def serve() -> FileResponse:
        return FileResponse(shipped("templates/preview") / name)

    return serve


def _events(watch: Watch) -> Iterator[str]:
    known = watch.version
    yield f"data: {json.dumps({'version': known})}\n\n"
    while not watch.ended:
        version = watch.wait(known, _HEARTBEAT)
        if version == known:
            yield ": still here\n\n"
        else:
            known = version
            yield f"data: {json.dumps({'version': known})}\n\n"


async def _loopback_only(
    request: Request, go_on: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Refuse other names for this address: a web page could point its own name here."""
    host = request.headers.get("host", "")
    name = host if host.startswith("[") and host.endswith("]") else host.rpartition(":")[0] or host
    if name not in _LOOPBACK:
        return PlainTextResponse("This preview answers on the loopback address only.", 421)
    response = await go_on(request)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
    return response
