"""What a plain implementation would do, on the same server: `python -m tests.bench.web_peers`.

`events FOLDER` is FastAPI with an INSERT for each event and a commit for each request, without
looking at signatures. `files SITE` serves a built archive with Starlette's StaticFiles.
`unsubscribe FOLDER` is FastAPI with a transaction of SQLAlchemy for each request. Tokens, tables
and durability are ours.
"""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import Body, FastAPI, HTTPException
from fastapi.responses import HTMLResponse
from sqlalchemy import insert, select, update
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from newsletter_bot.bot import Bot
from newsletter_bot.storage.tables import deliveries, events, subscription_changes, subscriptions

_PAGE = "<!doctype html><html lang=en><title>Newsletter</title><p>You are unsubscribed.</p></html>"


def files(site: Path) -> ASGIApp:
    """Serve a folder."""
    return Starlette(routes=[Mount("/", StaticFiles(directory=site, html=True))])


def unsubscribe(folder: Path) -> ASGIApp:
    """Answer one-click POSTs."""
    app = FastAPI()
    bot = Bot.open(folder)
    engine, signer = bot.engine, bot.signer

    @app.post("/u/{token}")
    def leave(token: str) -> HTMLResponse:
        claim = signer.read_unsubscribe_token(token)
        if claim is None:
            raise HTTPException(404)
        now = int(time.time())
        who = subscriptions.c.subscriber_id == claim.subscriber_id
        is_active = subscriptions.c.state != "unsubscribed"
        change = {"subscriber_id": claim.subscriber_id, "list": "weekly", "by": "one-click"}
        with engine.begin() as connection:
            ended = connection.execute(
                update(subscriptions)
                .where(who, is_active, subscriptions.c.list == "weekly")
                .values(state="unsubscribed", changed_at=now)
            )
            if ended.rowcount:
                values = {**change, "state": "unsubscribed", "at": now}
                connection.execute(insert(subscription_changes).values(values))
        return HTMLResponse(_PAGE)

    return app


def told(folder: Path) -> ASGIApp:
    """Answer what providers post: stored as it is told, and nothing done about it."""
    app = FastAPI()
    bot = Bot.open(folder)
    engine, signer = bot.engine, bot.signer

    @app.post("/hooks/{name}")
    def hear(name: str, batch: Annotated[Any, Body()]) -> dict[str, int]:
        several = batch if isinstance(batch, list) else [batch["event-data"]]
        with engine.begin() as connection:
            for one in several:
                token = one.get("ref") or one["user-variables"]["ref"]
                number = signer.read_bounce_token(token)
                query = select(deliveries.c.issue_id, deliveries.c.subscriber_id)
                found = connection.execute(query.where(deliveries.c.id == number)).one()
                row = {
                    "source": name,
                    "key": one.get("sg_event_id") or one["id"],
                    "kind": one["event"],
                    "issue_id": found[0],
                    "delivery_id": number,
                    "subscriber_id": found[1],
                    "at": int(one["timestamp"]),
                    "received_at": int(time.time()),
                    "reason": one.get("reason", ""),
                }
                connection.execute(insert(events).values(row))
        return {"kept": len(several)}

    return app


_APPS = {"files": files, "unsubscribe": unsubscribe, "events": told}


def main() -> None:
    """Serve, and print the port."""
    kind, place = sys.argv[1], Path(sys.argv[2])
    app = _APPS[kind](place)
    listening = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"http://127.0.0.1:{listening.getsockname()[1]}/\n")
    sys.stdout.flush()
    config = uvicorn.Config(app, access_log=False, log_level="warning", loop="uvloop")
    uvicorn.Server(config).run([listening])


if __name__ == "__main__":
    main()
