"""The REST API: what programs that hold a key may see and do, under /api/v1.

Everything is done by the functions that the command line and the pages use. `gate.py` stands before
it; each other module has one kind of thing. Imports wait until it is made: `api-key` needs none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI

    from newsletter_bot.bot import Bot


def add_api(app: FastAPI, bot: Bot, ring: Callable[[str], None]) -> None:
    """Answer everything under /api/v1, when newsletter.toml does not forbid it."""
    if bot.settings.api.enabled:
        from newsletter_bot.web.api.app import Everything

        app.router.routes.append(Everything(make_api(bot, ring)))


def make_api(bot: Bot, ring: Callable[[str], None] = lambda _duty: None) -> FastAPI:
    """Return the API, for a mount at /api/v1; `ring` lets a duty begin at once."""
    from newsletter_bot.web.api.app import assemble

    return assemble(bot, ring)
