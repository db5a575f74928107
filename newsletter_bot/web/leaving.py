"""The unsubscribe page, its button, and the one-click POST of mail programs (RFC 8058)."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response

from newsletter_bot.logs import log
from newsletter_bot.rendering.web_page import Pages
from newsletter_bot.settings import Settings
from newsletter_bot.subscribers.store import SubscriberStore
from newsletter_bot.subscribers.tokens import TokenSigner, UnsubscribeClaim
from newsletter_bot.web.bodies import is_short
from newsletter_bot.web.headers import CLOSED
from newsletter_bot.web.languages import language_of

_FORM = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; form-action 'self'"


def add_leaving(app: FastAPI, leaving: Leaving) -> None:
    """Answer `/u/…`."""

    @app.api_route("/u/{token}", methods=["GET", "HEAD"])
    def ask(token: str, request: Request) -> Response:
        return leaving.ask(token, language_of(request))

    @app.post("/u/{token}")
    async def leave(token: str, request: Request) -> Response:
        if not await is_short(request):
            return Response(status_code=413)
        return await run_in_threadpool(leaving.leave, token, language_of(request))


class Leaving:
    """The unsubscribe page, and what its button does."""

    def __init__(
        self, settings: Settings, subscribers: SubscriberStore, signer: TokenSigner
    ) -> None:
        self._settings = settings
        self._subscribers = subscribers
        self._signer = signer
        self._pages = Pages(settings)

    def ask(self, token: str, language: str) -> Response:
        """Show the page with the button."""
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
            "Content-Security-Policy": f"{_FORM}; {CLOSED}",
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Robots-Tag": "noindex",
            "Vary": "Accept-Language",
        }
        return HTMLResponse(html, status, headers)
