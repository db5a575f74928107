"""Whether the service lives, and whether it can do its work."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response

from newsletter_bot.logs import log
from newsletter_bot.subscribers.store import SubscriberStore


def add_health(
    app: FastAPI, subscribers: SubscriberStore, unready: Callable[[], list[str]]
) -> None:
    """Answer `/healthz` and `/readyz`; `unready` tells why the service is not ready."""

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
