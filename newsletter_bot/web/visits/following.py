"""Links of mails that lead through our site: on to the address in the issue's table, and no other.

GET and HEAD are answered the same. A visit leaves a count and nothing else (promise 5: nobody is
subscribed, confirmed or changed by it), and that is handed in without waiting.
"""

from __future__ import annotations

import re

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from newsletter_bot.feedback.visits.visitors import Action
from newsletter_bot.subscribers.tokens import TokenSigner
from newsletter_bot.web.visits.destinations import Destinations
from newsletter_bot.web.visits.visiting import Place, Visiting

# For links and the picture: nobody keeps, indexes or passes on an address that may be a token.
UNKEPT = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}
_NUMBER = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


def add_following(app: FastAPI, following: Following) -> None:
    """Answer `/r/…`; before all others, for after an issue nothing is asked for as often."""
    routes = [
        Route("/r/{token}/{number}", following.of_reader, methods=["GET"]),
        Route("/r/{issue}/{number}/{mac}", following.of_everybody, methods=["GET"]),
    ]
    app.router.routes[:0] = routes


class Following:
    """Sends readers on."""

    def __init__(self, signer: TokenSigner, destinations: Destinations, visiting: Visiting) -> None:
        self._signer = signer
        self._destinations = destinations
        self._visiting = visiting

    async def of_everybody(self, request: Request) -> Response:
        """Follow a link that is the same for all readers."""
        issue, number = request.path_params["issue"], _number(request)
        if not self._signer.is_place_mac(issue, number, request.path_params["mac"]):
            raise HTTPException(404)
        found = await self._destinations.link(issue, number)
        if found is None:
            raise HTTPException(404)
        self._visiting.note(request, Place(Action.CLICKED, found[0], number))
        return _away(found[1])

    async def of_reader(self, request: Request) -> Response:
        """Follow a link of one reader's copy."""
        claim, number = (
            self._signer.read_visit_token(request.path_params["token"]),
            _number(request),
        )
        found = claim and await self._destinations.link(claim.issue_id, number)
        if not found:
            raise HTTPException(404)
        self._visiting.note(request, Place(Action.CLICKED, found[0], number, claim))
        return _away(found[1])


def _away(url: str) -> Response:
    # The library's RedirectResponse would write the address anew: this one was checked, and is as
    # the editor wrote it.
    return Response(status_code=302, headers={**UNKEPT, "Location": url})


def _number(request: Request) -> int:
    written = request.path_params["number"]
    if not _NUMBER.fullmatch(written):
        raise HTTPException(404)
    return int(written)
