"""The API's app: routes, gate, problems, and its description in OpenAPI 3.1."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Mount

from newsletter_bot import __version__
from newsletter_bot.bot import Bot
from newsletter_bot.web.api import (
    adding,
    issues,
    lists,
    segments,
    subscribers,
    subscriptions,
    suppressions,
)
from newsletter_bot.web.api.asked import Tools
from newsletter_bot.web.api.failures import add_failures
from newsletter_bot.web.api.gate import OPEN, Gate
from newsletter_bot.web.api.problems import TOO_LONG, ProblemBody

PLACE = "/api/v1"
_ROUTERS = (
    subscribers.router,
    adding.router,
    subscriptions.router,
    lists.router,
    segments.router,
    suppressions.router,
    issues.router,
)
_ABOUT = "People, lists, segments, suppressions, issues and what became of them: docs/api.md."


class Everything(Mount):
    """The place of the API: addresses with line breaks in them, too, are answered by its gate."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(PLACE, app)
        self.path_regex = re.compile(f"^{PLACE}/(?P<path>.*)$", re.DOTALL)


def assemble(bot: Bot, ring: Callable[[str], None]) -> FastAPI:
    """Return the app."""
    app = FastAPI(
        title=f"{bot.settings.newsletter.name}: newsletter-bot",
        description=_ABOUT,
        version=__version__,
        openapi_url=OPEN,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        servers=[{"url": PLACE}],
        root_path_in_servers=False,
        generate_unique_id_function=_operation_id,
    )
    app.state.tools = Tools(bot, ring)
    app.add_middleware(Gate, bot=bot)
    add_failures(app)
    for router in _ROUTERS:
        app.include_router(router)
    describe = app.openapi
    fields = ("first_name", *bot.settings.subscribers.fields)
    app.openapi = cache(lambda: _completed(describe(), fields))  # type: ignore[method-assign]
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name


def _completed(schema: dict[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """Add what FastAPI cannot know: how problems look, and which fields this newsletter has."""
    template = "#/components/schemas/{model}"
    body = ProblemBody.model_json_schema(ref_template=template)
    schemas = schema["components"]["schemas"]
    schemas.update(body.pop("$defs"), Problem={**body, "title": "Problem"})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    described = schemas["Addition"]["properties"]["fields"]
    described["properties"] = dict.fromkeys(fields, described.pop("additionalProperties"))
    described["additionalProperties"] = False
    for operations in schema["paths"].values():
        for operation in operations.values():
            operation["responses"]["414"] = TOO_LONG
    return schema
