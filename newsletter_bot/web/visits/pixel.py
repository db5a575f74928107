"""The picture of one transparent dot that tells of an open, where opens are counted."""

from __future__ import annotations

import base64
from http import HTTPStatus

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from newsletter_bot.errors import TryAgainError
from newsletter_bot.feedback.visits.visitors import Action
from newsletter_bot.rendering.tracked import OPENED
from newsletter_bot.subscribers.tokens import TokenSigner
from newsletter_bot.web.visits.destinations import Destinations
from newsletter_bot.web.visits.following import UNKEPT
from newsletter_bot.web.visits.visiting import Place, Visiting

_GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")


def add_pixel(app: FastAPI, pixel: Pixel) -> None:
    """Answer `/o/…`."""
    app.router.routes[:0] = [
        Route("/o/{token}.gif", pixel.of_reader, methods=["GET"]),
        Route("/o/{issue}/{mac}.gif", pixel.of_everybody, methods=["GET"]),
    ]


class Pixel:
    """Shows the same picture whatever was asked for: a mail must not look broken for ours."""

    def __init__(self, signer: TokenSigner, destinations: Destinations, visiting: Visiting) -> None:
        self._signer = signer
        self._destinations = destinations
        self._visiting = visiting

    async def of_everybody(self, request: Request) -> Response:
        """Show the picture of all readers' copies."""
        issue, mac = request.path_params["issue"], request.path_params["mac"]
        if self._signer.is_place_mac(issue, OPENED, mac):
            await self._note(request, issue)
        return _picture()

    async def of_reader(self, request: Request) -> Response:
        """Show the picture of one reader's copy."""
        claim = self._signer.read_visit_token(request.path_params["token"])
        if claim is not None:
            self._visiting.note(request, Place(Action.OPENED, claim.issue_id, claim=claim))
        return _picture()

    async def _note(self, request: Request, issue: str) -> None:
        try:
            found = await self._destinations.issue(issue)
        except TryAgainError:
            return  # a count is lost, the mail looks as it should
        if found is not None:
            self._visiting.note(request, Place(Action.OPENED, found))


def _picture() -> Response:
    return Response(_GIF, HTTPStatus.OK, UNKEPT, "image/gif")
