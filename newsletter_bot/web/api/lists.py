"""/lists: what people can be subscribed to."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel

from newsletter_bot.subscribers.model import SubscriptionState
from newsletter_bot.web.api.asked import Asked, needs
from newsletter_bot.web.api.keys import Scope
from newsletter_bot.web.api.listings_store import ListingStore
from newsletter_bot.web.api.pages import Page
from newsletter_bot.web.api.problems import READS, Kind, not_found, responses
from newsletter_bot.web.api.words import ListId

router = APIRouter(tags=["lists"])


class MailingList(BaseModel):
    """A list of newsletter.toml."""

    id: str
    name: str
    description: str
    public: bool


class ListPage(Page[MailingList]):
    """All lists: there is no other page."""


class Sizes(MailingList):
    """A list, and how many subscriptions are in each state."""

    subscriptions: dict[SubscriptionState, int]


@router.get("/lists", summary="List the lists", responses=responses(*READS))
def list_lists(asked: Annotated[Asked, needs(Scope.LISTS_READ)]) -> ListPage:
    """List all mailing lists."""
    found = [
        MailingList(id=one.id, name=one.name, description=one.description, public=one.public)
        for one in asked.bot.settings.lists
    ]
    return ListPage(data=found, next=None)


@router.get(
    "/lists/{list_id}", summary="Show one list", responses=responses(*READS, Kind.NOT_FOUND)
)
def show_list(asked: Annotated[Asked, needs(Scope.LISTS_READ)], list_id: ListId) -> Sizes:
    """Show a list, and how many people are on it."""
    found = next((one for one in asked.bot.settings.lists if one.id == list_id), None)
    if found is None:
        raise not_found("list")
    counts = ListingStore(asked.bot.engine).sizes(list_id)
    return Sizes(
        id=found.id,
        name=found.name,
        description=found.description,
        public=found.public,
        subscriptions={state: counts.get(state, 0) for state in SubscriptionState},
    )
