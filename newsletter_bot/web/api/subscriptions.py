"""/subscribers/…/tags and …/subscriptions: a person's tags and lists, one at a time."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response

from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.consent import By
from newsletter_bot.subscribers.model import NewSubscriber
from newsletter_bot.web.api.adding import Consent, subscribe
from newsletter_bot.web.api.asked import Answer, Writing, changes
from newsletter_bot.web.api.keys import Scope
from newsletter_bot.web.api.problems import WRITES, Kind, not_found, responses
from newsletter_bot.web.api.subscribers import Left, must_be
from newsletter_bot.web.api.words import Body, Id, ListId, Tag

router = APIRouter(tags=["subscribers"])


class Joining(Body):
    """Why a subscription may begin."""

    consent: Consent


@router.put(
    "/subscribers/{subscriber_id:int}/tags/{tag:path}",
    summary="Tag somebody",
    status_code=204,
    responses=responses(*WRITES, Kind.NOT_FOUND),
)
def add_tag(
    asked: Annotated[Writing, changes(Scope.SUBSCRIBERS_WRITE)], subscriber_id: Id, tag: Tag
) -> Response:
    """Give a person one of your tags; tags are in lower case."""
    return asked.once(lambda: _tagged(asked, subscriber_id, [tag], []))


@router.delete(
    "/subscribers/{subscriber_id:int}/tags/{tag:path}",
    summary="Take a tag from somebody",
    status_code=204,
    responses=responses(*WRITES, Kind.NOT_FOUND),
)
def remove_tag(
    asked: Annotated[Writing, changes(Scope.SUBSCRIBERS_WRITE)], subscriber_id: Id, tag: Tag
) -> Response:
    """Take a tag away; one that is not there is no mistake."""
    return asked.once(lambda: _tagged(asked, subscriber_id, [], [tag]))


def _tagged(asked: Writing, subscriber_id: int, add: list[str], remove: list[str]) -> Answer:
    must_be(asked, subscriber_id)
    asked.bot.people.set_tags(subscriber_id, add, remove)
    return Answer(204)


@router.put(
    "/subscribers/{subscriber_id:int}/subscriptions/{list_id}",
    summary="Subscribe somebody who agreed",
    status_code=204,
    responses=responses(*WRITES, Kind.NOT_FOUND, Kind.LEFT, Kind.SUPPRESSED),
)
def join_list(
    asked: Annotated[Writing, changes(Scope.SUBSCRIBERS_ACTIVATE)],
    subscriber_id: Id,
    list_id: ListId,
    body: Joining,
) -> Response:
    """Subscribe a person to one more list at once, with evidence that they agreed to it."""
    _must_have(asked, list_id)

    def change() -> Answer:
        person = NewSubscriber(parse_address(must_be(asked, subscriber_id).address))
        subscribe(asked, person, list_id, body.consent)
        return Answer(204)

    return asked.once(change)


@router.delete(
    "/subscribers/{subscriber_id:int}/subscriptions/{list_id}",
    summary="End one subscription",
    response_model=Left,
    responses=responses(*WRITES, Kind.NOT_FOUND),
)
def leave_list(
    asked: Annotated[Writing, changes(Scope.SUBSCRIBERS_WRITE)],
    subscriber_id: Id,
    list_id: ListId,
) -> Response:
    """End the subscription to one list; one that ended before is no mistake."""
    _must_have(asked, list_id)

    def change() -> Answer:
        must_be(asked, subscriber_id)
        ended = asked.bot.people.unsubscribe(subscriber_id, [list_id], By.API)
        return Answer(200, Left(subscriber_id=subscriber_id, unsubscribed=ended))

    return asked.once(change)


def _must_have(asked: Writing, list_id: str) -> None:
    if list_id not in asked.bot.settings.list_ids:
        raise not_found("list")
