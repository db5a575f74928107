"""/subscribers: people, one by one and page by page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from newsletter_bot.errors import DataError
from newsletter_bot.subscribers.address import Address, AddressError, parse_address
from newsletter_bot.subscribers.consent import By, Choices, Frequency
from newsletter_bot.subscribers.given import checked_tags
from newsletter_bot.subscribers.model import SubscriptionState
from newsletter_bot.subscribers.segment_rules import Rule, Tagged
from newsletter_bot.web.api.asked import Answer, Asked, Writing, changes, needs
from newsletter_bot.web.api.cursors import to_place
from newsletter_bot.web.api.keys import Scope
from newsletter_bot.web.api.pages import Listing, Page, Paging
from newsletter_bot.web.api.people_store import PeopleStore, PersonRow, Wanted
from newsletter_bot.web.api.problems import (
    READS,
    WRITES,
    Kind,
    invalid,
    not_found,
    responses,
)
from newsletter_bot.web.api.segments import SegmentName, segment_of
from newsletter_bot.web.api.words import AddressText, Body, Id, Line, ListId, Moment, Tag, moment

router = APIRouter(tags=["subscribers"])


class Subscription(BaseModel):
    """A person's state on one list."""

    list: str
    state: SubscriptionState
    changed_at: Moment


class Subscriber(BaseModel):
    """A person, and what they chose."""

    id: int
    address: str
    name: str
    language: str
    fields: dict[str, str]
    tags: list[str]
    frequency: Frequency
    paused_until: Moment | None = Field(description="Nothing is planned for them before")
    added_at: Moment
    subscriptions: list[Subscription]
    suppressed: str | None = Field(description="Why the address must not be mailed")


class SubscriberPage(Page[Subscriber]):
    """A page of people, in the order they were added."""


class Filter(Paging):
    """Which people: those for whom all of it holds."""

    list: ListId | None = None
    state: SubscriptionState | None = None
    tag: Tag | None = None
    segment: SegmentName | None = None
    rules: Annotated[
        str | None, Field(max_length=4000, description="Rules as a query: docs/segments.md")
    ] = None


class Search(Body):
    """Whom to look for."""

    address: AddressText


class Changes(Body):
    """What is to be different; what is not said stays."""

    name: Line | None = None
    language: Annotated[Line | None, Field(examples=["en"])] = None
    frequency: Annotated[Frequency | None, Field(strict=False)] = None
    paused_until: Annotated[Moment | None, Field(description="null ends a pause")] = None


class NewAddress(Body):
    """Where a person wants their mail from now on."""

    address: AddressText


class Leaving(Body):
    """Which subscriptions end."""

    lists: list[ListId] = Field(
        default_factory=list, max_length=100, description="None of them: all"
    )


class Left(BaseModel):
    """How many subscriptions ended."""

    subscriber_id: int
    unsubscribed: int


def people(asked: Asked) -> PeopleStore:
    """Return what reads people."""
    return PeopleStore(asked.bot.engine, asked.bot.writer, asked.bot.segments.now())


def shown(row: PersonRow) -> Subscriber:
    """Return a person as they are shown."""
    return Subscriber(
        id=row.id,
        address=row.address,
        name=row.name,
        language=row.language,
        fields=row.fields,
        tags=row.tags,
        frequency=Frequency(row.frequency),
        paused_until=moment(row.paused_until),
        added_at=moment(row.added_at),
        subscriptions=[
            Subscription(list=name, state=state, changed_at=moment(at))
            for name, state, at in row.subscriptions
        ],
        suppressed=row.suppressed,
    )


def must_be(asked: Asked, subscriber_id: int) -> PersonRow:
    """Return a person as the change under way sees them; raises Problem for nobody."""
    row = people(asked).now(Wanted(id=subscriber_id))
    if row is None:
        raise not_found("subscriber")
    return row


def _rules(asked: Asked, query: Filter) -> Iterator[Rule]:
    if query.tag is not None:
        yield Tagged(tuple(checked_tags([query.tag])))
    if query.segment is not None:
        yield segment_of(asked, query.segment, "segment").rule
    if query.rules is not None:
        try:
            yield asked.bot.segments.parse_query(query.rules).rule
        except DataError as error:
            raise invalid(error.message, parameter="rules") from error


def address_of(text: str) -> Address:
    """Return an address that a body holds; raises Problem."""
    try:
        return parse_address(text)
    except AddressError as error:
        raise invalid(f"That is no address: {error}.", "/address") from error


@router.get("/subscribers", summary="List people", responses=responses(*READS, Kind.BROKEN))
def list_subscribers(
    asked: Annotated[Asked, needs(Scope.SUBSCRIBERS_READ)],
    query: Annotated[Filter, Query()],
    response: Response,
) -> SubscriberPage:
    """List the people for whom all filters hold, in the order they were added."""
    listing = Listing(asked, query, "subscribers")
    after = listing.after()
    wanted = Wanted(query.list, query.state, rules=tuple(_rules(asked, query)))
    rows = people(asked).page(wanted, after, query.limit + 1)
    found, cursor = listing.page(rows, lambda row: to_place(row.id), response)
    return SubscriberPage(data=list(map(shown, found)), next=cursor)


@router.post(
    "/subscribers/search",
    summary="Find somebody by address",
    responses=responses(*READS, Kind.MALFORMED, Kind.TOO_LARGE, Kind.MEDIA_TYPE),
)
def search_subscribers(
    asked: Annotated[Asked, needs(Scope.SUBSCRIBERS_READ)], body: Search
) -> SubscriberPage:
    """Return the person with this address, or nobody. It is a POST so that no log holds it."""
    rows = people(asked).page(Wanted(address_key=address_of(body.address).key), 0, 1)
    return SubscriberPage(data=list(map(shown, rows)), next=None)


@router.get(
    "/subscribers/{subscriber_id:int}",
    summary="Show somebody",
    responses=responses(*READS, Kind.NOT_FOUND),
)
def show_subscriber(
    asked: Annotated[Asked, needs(Scope.SUBSCRIBERS_READ)], subscriber_id: Id
) -> Subscriber:
    """Show one person and what they chose."""
    rows = people(asked).page(Wanted(id=subscriber_id), 0, 1)
    if not rows:
        raise not_found("subscriber")
    return shown(rows[0])


@router.get(
    "/subscribers/{subscriber_id:int}/export",
    summary="Export all that is held about somebody",
    responses=responses(*READS, Kind.NOT_FOUND),
)
def export_subscriber(
    asked: Annotated[Asked, needs(Scope.SUBSCRIBERS_READ)],
    subscriber_id: Id,
) -> dict[str, Any]:
    """Return everything: choices, evidence of consent, deliveries; for a person who asks for it."""
    found = asked.bot.people.dossier(subscriber_id)
    if found is None:
        raise not_found("subscriber")
    return found


@router.patch(
    "/subscribers/{subscriber_id:int}",
    summary="Change what somebody chose",
    status_code=204,
    responses=responses(*WRITES, Kind.NOT_FOUND),
)
def change_subscriber(
    asked: Annotated[Writing, changes(Scope.SUBSCRIBERS_WRITE)],
    subscriber_id: Id,
    body: Changes,
) -> Response:
    """Change name, language, frequency or pause, as the person asked you to."""
    return asked.once(lambda: _changed(asked, subscriber_id, body))


def _changed(asked: Writing, subscriber_id: int, body: Changes) -> Answer:
    row = must_be(asked, subscriber_id)
    until = None if body.paused_until is None else int(body.paused_until.timestamp())
    choices = Choices(
        name=row.name if body.name is None else body.name,
        language=row.language if body.language is None else body.language,
        frequency=body.frequency or Frequency(row.frequency),
        paused_until=until if "paused_until" in body.model_fields_set else row.paused_until,
        lists=row.active,
    )
    asked.bot.people.choose(subscriber_id, choices, By.API)
    return Answer(204)


@router.post(
    "/subscribers/{subscriber_id:int}/address",
    summary="Change somebody's address",
    status_code=202,
    response_class=Response,
    responses=responses(*WRITES, Kind.NOT_FOUND),
)
def change_address(
    asked: Annotated[Writing, changes(Scope.SUBSCRIBERS_WRITE)],
    subscriber_id: Id,
    body: NewAddress,
) -> Response:
    """Write to the old and the new address; once both agreed, mail goes to the new one.

    The answer is the same whether or not the new address is known.
    """
    address_of(body.address)

    def change() -> Answer:
        must_be(asked, subscriber_id)
        asked.bot.people.ask_address_change(subscriber_id, body.address)
        return Answer(202)

    return asked.once(change, "letters")


@router.post(
    "/subscribers/{subscriber_id:int}/unsubscribe",
    summary="End somebody's subscriptions",
    response_model=Left,
    responses=responses(*WRITES, Kind.NOT_FOUND),
)
def unsubscribe_subscriber(
    asked: Annotated[Writing, changes(Scope.SUBSCRIBERS_WRITE)],
    subscriber_id: Id,
    body: Leaving,
) -> Response:
    """End the subscriptions to these lists, or to all; those that ended before are not counted."""

    def change() -> Answer:
        must_be(asked, subscriber_id)
        ended = asked.bot.people.unsubscribe(subscriber_id, body.lists, By.API)
        return Answer(200, Left(subscriber_id=subscriber_id, unsubscribed=ended))

    return asked.once(change)


@router.delete(
    "/subscribers/{subscriber_id:int}",
    summary="Forget somebody",
    status_code=204,
    responses=responses(*WRITES, Kind.NOT_FOUND),
)
def forget_subscriber(
    asked: Annotated[Writing, changes(Scope.SUBSCRIBERS_ERASE)],
    subscriber_id: Id,
) -> Response:
    """Erase all about a person but the keyed hash that keeps the address from being mailed."""

    def change() -> Answer:
        if not asked.bot.people.forget(subscriber_id, By.API):
            raise not_found("subscriber")
        return Answer(204)

    return asked.once(change)
