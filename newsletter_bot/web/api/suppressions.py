"""/suppressions: addresses that must not be mailed, of which a keyed hash alone is kept."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from newsletter_bot.web.api.asked import Answer, Asked, Writing, changes, needs
from newsletter_bot.web.api.cursors import from_place, to_place
from newsletter_bot.web.api.keys import Scope
from newsletter_bot.web.api.listings_store import ListingStore, SuppressionRow
from newsletter_bot.web.api.pages import Listing, Page, Paging
from newsletter_bot.web.api.problems import READS, WRITES, Kind, not_found, responses
from newsletter_bot.web.api.subscribers import address_of
from newsletter_bot.web.api.words import AddressText, Body, Moment, Reason, moment

router = APIRouter(tags=["suppressions"])


class Suppression(BaseModel):
    """Why and since when an address is suppressed; which, nobody can tell."""

    reason: str
    added_at: Moment


class SuppressionPage(Page[Suppression]):
    """A page of suppressions, the oldest first."""


class Suppressed(BaseModel):
    """Whether an address is suppressed, and why."""

    suppressed: bool
    reason: str | None = None
    added_at: Moment | None = None


class Which(Body):
    """Which address."""

    address: AddressText


class Suppress(Which):
    """Which address, and why, for those who ask later."""

    reason: Reason


@router.get("/suppressions", summary="List suppressions", responses=responses(*READS))
def list_suppressions(
    asked: Annotated[Asked, needs(Scope.SUPPRESSIONS_READ)],
    query: Annotated[Paging, Query()],
    response: Response,
) -> SuppressionPage:
    """List why and since when addresses are suppressed."""
    listing = Listing(asked, query, "suppressions")
    after = from_place(listing.place())
    rows = ListingStore(asked.bot.engine).suppressions(after, query.limit + 1)
    found, cursor = listing.page(rows, lambda row: to_place(row.added_at) + row.key, response)
    return SuppressionPage(data=[_shown(row) for row in found], next=cursor)


@router.post(
    "/suppressions/lookup",
    summary="Ask about one address",
    responses=responses(*READS, Kind.MALFORMED, Kind.TOO_LARGE, Kind.MEDIA_TYPE),
)
def look_up_suppression(
    asked: Annotated[Asked, needs(Scope.SUPPRESSIONS_READ)], body: Which
) -> Suppressed:
    """Tell whether an address is suppressed, known or not. It is a POST so that no log holds it."""
    key = asked.bot.subscribers.hashed(address_of(body.address))
    row = ListingStore(asked.bot.engine).suppression(key)
    if row is None:
        return Suppressed(suppressed=False)
    return Suppressed(suppressed=True, reason=row.reason, added_at=moment(row.added_at))


@router.post(
    "/suppressions",
    summary="Suppress an address",
    status_code=204,
    responses=responses(*WRITES),
)
def suppress(
    asked: Annotated[Writing, changes(Scope.SUPPRESSIONS_WRITE)], body: Suppress
) -> Response:
    """Never mail an address again, whatever the lists say; it need not be known.

    A later reason replaces the earlier.
    """
    address_of(body.address)

    def change() -> Answer:
        asked.bot.people.suppress(body.address, body.reason)
        return Answer(204)

    return asked.once(change)


@router.delete(
    "/suppressions",
    summary="Let an address be mailed again",
    status_code=204,
    responses=responses(*WRITES, Kind.NOT_FOUND),
)
def unsuppress(
    asked: Annotated[Writing, changes(Scope.SUPPRESSIONS_WRITE)], body: Which
) -> Response:
    """End a suppression. The address stands in the body, so that no log holds it."""
    address_of(body.address)

    def change() -> Answer:
        if not asked.bot.people.unsuppress(body.address):
            raise not_found("suppression")
        return Answer(204)

    return asked.once(change)


def _shown(row: SuppressionRow) -> Suppression:
    return Suppression(reason=row.reason, added_at=moment(row.added_at))
