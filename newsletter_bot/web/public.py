"""What the world sees: the archive, unsubscribe pages, and whether the service is well.

GET and HEAD change nothing (promise 5): a link scanner that opens every address in a mail sees a
page with a button. Only POST acts, the button's and that of a mail program (RFC 8058).
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI

from newsletter_bot.bot import Bot
from newsletter_bot.web.api import add_api
from newsletter_bot.web.health import add_health
from newsletter_bot.web.providers import ProviderHooks
from newsletter_bot.web.readers import add_pages
from newsletter_bot.web.serving.headers import Careful
from newsletter_bot.web.site import First, Site
from newsletter_bot.web.visits.counting import add_counting


def make_public(
    bot: Bot,
    unready: Callable[[], list[str]] = list,
    ring: Callable[[str], None] = lambda _duty: None,
) -> FastAPI:
    """Return the public web.

    `unready` tells why the service is not ready, empty when it is. `ring` lets a duty of this
    process (by its name in service/service.py) begin at once; without it, it comes by itself.
    """
    settings = bot.settings
    # An address with a slash too many is none: a redirect would name the host that was asked for.
    # The framework would tell whoever traces programs the addresses of pages, which are tokens.
    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    site = Site(settings.folder / settings.archive.folder)
    app.add_middleware(First, site)
    app.add_middleware(Careful, settings.newsletter.url.startswith("https://"))
    app.add_middleware(ProviderHooks, bot, ring)  # the last one is asked first
    add_health(app, bot.subscribers, unready)
    add_pages(app, bot, ring)
    add_api(app, bot, ring)
    add_counting(app, bot)
    app.mount("/", site)
    return app
