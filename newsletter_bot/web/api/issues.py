"""/issues and /reports: what was planned, what became of it, and the numbers."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from newsletter_bot.delivery.model import DeliveryState, IssueKind, IssueState, Tally
from newsletter_bot.delivery.planning.plan_store import IssueRow
from newsletter_bot.delivery.report_store import AGES, Stuck
from newsletter_bot.logs import redacted
from newsletter_bot.web.api.asked import Asked, needs
from newsletter_bot.web.api.cursors import to_place
from newsletter_bot.web.api.keys import Scope
from newsletter_bot.web.api.listings_store import DeliveryRow, ListingStore
from newsletter_bot.web.api.pages import Listing, Page, Paging
from newsletter_bot.web.api.problems import READS, Kind, not_found, responses
from newsletter_bot.web.api.words import Identity, Moment, moment

router = APIRouter()


class Issue(BaseModel):
    """An issue that was planned, or a sequence message."""

    identity: str
    kind: IssueKind
    title: str
    state: IssueState
    reason: str = Field(description="Why it is paused or cancelled")
    lists: list[str]
    url: str
    planned_at: Moment
    finished_at: Moment | None


class IssuePage(Page[Issue]):
    """A page of issues, the newest first."""


class Delivery(BaseModel):
    """What became of one message."""

    id: int
    subscriber_id: int
    address: str | None = Field(
        description="null without the scope subscribers:read, and for somebody forgotten"
    )
    list: str
    state: DeliveryState
    attempts: int
    attempted_at: Moment | None
    not_before: Moment | None
    reason: str = Field(description="The server's words, or why it was skipped")
    relay: str
    changed_at: Moment


class DeliveryPage(Page[Delivery]):
    """A page of deliveries, in the order they were planned."""


class Filter(Paging):
    """Which deliveries."""

    state: DeliveryState | None = None


class Reason(BaseModel):
    """Why deliveries are in a state, and how many."""

    state: DeliveryState
    reason: str
    count: int


class Domain(BaseModel):
    """Deliveries to one domain that were tried and have not arrived."""

    domain: str
    total: int
    by_age: list[int] = Field(
        description=f"By minutes since the first attempt: under {', '.join(map(str, AGES))}, older"
    )


class Report(BaseModel):
    """The numbers of an issue; `planned` is the sum of all others."""

    model_config = ConfigDict(extra="forbid")

    issue: str
    state: IssueState
    planned: int
    accepted: int
    deferred: int
    refused: int
    skipped: int
    unknown: int
    expired: int
    sending: int
    remaining: int
    balanced: bool
    reasons: list[Reason]
    domains: list[Domain]


@router.get("/issues", tags=["issues"], summary="List issues", responses=responses(*READS))
def list_issues(
    asked: Annotated[Asked, needs(Scope.ISSUES_READ)],
    query: Annotated[Paging, Query()],
    response: Response,
) -> IssuePage:
    """List the issues that were planned, the newest first. Drafts are files, and not here."""
    listing = Listing(asked, query, "issues")
    before = listing.after()
    rows = sorted(asked.bot.mailroom.issues(), key=lambda row: -row.id)
    older = [row for row in rows if not before or row.id < before]
    found, cursor = listing.page(older, lambda row: to_place(row.id), response)
    return IssuePage(data=[_issue(asked, row) for row in found], next=cursor)


@router.get(
    "/issues/{identity}",
    tags=["issues"],
    summary="Show an issue",
    responses=responses(*READS, Kind.NOT_FOUND),
)
def show_issue(asked: Annotated[Asked, needs(Scope.ISSUES_READ)], identity: Identity) -> Issue:
    """Show an issue that was planned, or a sequence message."""
    return _issue(asked, _must_be(asked, identity))


@router.get(
    "/issues/{identity}/deliveries",
    tags=["issues"],
    summary="List what became of an issue's messages",
    responses=responses(*READS, Kind.NOT_FOUND),
)
def list_deliveries(
    asked: Annotated[Asked, needs(Scope.DELIVERIES_READ)],
    identity: Identity,
    query: Annotated[Filter, Query()],
    response: Response,
) -> DeliveryPage:
    """List deliveries. Addresses, also those in servers' words, need subscribers:read too."""
    row = _must_be(asked, identity)
    listing = Listing(asked, query, f"deliveries/{row.id}")
    after = listing.after()
    rows = ListingStore(asked.bot.engine).deliveries(row.id, query.state, after, query.limit + 1)
    found, cursor = listing.page(rows, lambda one: to_place(one.id), response)
    return DeliveryPage(data=[_delivery(asked, one) for one in found], next=cursor)


@router.get(
    "/reports/{identity}",
    tags=["reports"],
    summary="Show the numbers of an issue",
    responses=responses(*READS, Kind.NOT_FOUND),
)
def show_report(asked: Annotated[Asked, needs(Scope.REPORTS_READ)], identity: Identity) -> Report:
    """Count an issue's deliveries by state and reason, and those that are stuck by domain."""
    _must_be(asked, identity)
    mailroom = asked.bot.mailroom
    tally: Tally = mailroom.status(identity)
    said = [
        Reason(state=state, reason=_words(asked, reason), count=count)
        for state, reason, count in mailroom.reasons(identity)
        if reason
    ]
    domains = [_domain(one) for one in mailroom.stuck(identity)]
    numbers: dict[str, Any] = tally.to_json()
    return Report(**numbers, reasons=said, domains=domains)


def _must_be(asked: Asked, identity: str) -> IssueRow:
    row = asked.bot.mailroom.issue(identity)
    if row is None:
        raise not_found("planned issue")
    return row


def _issue(asked: Asked, row: IssueRow) -> Issue:
    return Issue(
        identity=row.identity,
        kind=row.kind,
        title=row.title,
        state=row.state,
        reason=row.reason,
        lists=list(row.lists),
        url=asked.bot.page_url(row.identity),
        planned_at=moment(row.planned_at),
        finished_at=moment(row.finished_at),
    )


def _delivery(asked: Asked, row: DeliveryRow) -> Delivery:
    return Delivery(
        id=row.id,
        subscriber_id=row.subscriber_id,
        address=row.address if asked.may(Scope.SUBSCRIBERS_READ) else None,
        list=row.list,
        state=row.state,
        attempts=row.attempts,
        attempted_at=moment(row.attempted_at),
        not_before=moment(row.not_before),
        reason=_words(asked, row.reason),
        relay=row.relay,
        changed_at=moment(row.changed_at),
    )


def _words(asked: Asked, reason: str) -> str:
    """Return a server's words: they often hold the address."""
    return reason if asked.may(Scope.SUBSCRIBERS_READ) else redacted(reason)


def _domain(one: Stuck) -> Domain:
    return Domain(domain=one.domain, total=one.total, by_age=list(one.by_age))
