"""/segments: saved rules about people, and how many match."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from newsletter_bot.errors import DataError
from newsletter_bot.subscribers.segment_explain import in_words
from newsletter_bot.subscribers.segment_query import to_query
from newsletter_bot.subscribers.segment_rules import Segment
from newsletter_bot.subscribers.segment_table import rule_table
from newsletter_bot.web.api.asked import Asked, needs
from newsletter_bot.web.api.keys import Scope
from newsletter_bot.web.api.pages import Page
from newsletter_bot.web.api.problems import READS, Kind, Problem, invalid, not_found, responses
from newsletter_bot.web.api.words import AddressText, Body

router = APIRouter(tags=["segments"])

SegmentName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$", examples=["readers-of-late"])
]


class Name(BaseModel):
    """A segment by its name."""

    name: str


class SegmentPage(Page[Name]):
    """All segments: there is no other page."""


class Alone(BaseModel):
    """One rule in words, and how many match it alone."""

    rule: str
    matching: int


class Counted(Name):
    """A segment, its rule, and how many match it now."""

    title: str
    description: str
    rule: dict[str, Any] = Field(description="As docs/segments.md writes it")
    query: str = Field(description="The same as a query, for `rules` of GET /subscribers")
    people: int = Field(description="All who are known")
    matching: int
    mailable: int = Field(description="Those of them who get mail")
    rules: list[Alone]


class Whom(Body):
    """About whom."""

    address: AddressText


class Explained(BaseModel):
    """A rule in words, whether it holds for the person, and why."""

    rule: str
    met: bool
    why: str
    parts: list[Explained] = []


@router.get("/segments", summary="List the segments", responses=responses(*READS))
def list_segments(asked: Annotated[Asked, needs(Scope.SEGMENTS_READ)]) -> SegmentPage:
    """List the names of all saved segments."""
    names = asked.bot.segments.names()
    return SegmentPage(data=[Name(name=one) for one in names], next=None)


@router.get(
    "/segments/{name}",
    summary="Show one segment",
    responses=responses(*READS, Kind.NOT_FOUND, Kind.BROKEN),
)
def show_segment(asked: Annotated[Asked, needs(Scope.SEGMENTS_READ)], name: SegmentName) -> Counted:
    """Show a segment's rule, and count who matches it."""
    segment = segment_of(asked, name)
    measured = asked.bot.segments.measure(segment)
    return Counted(
        name=name,
        title=segment.title,
        description=segment.description,
        rule=rule_table(segment.rule),
        query=to_query(segment),
        people=measured.people,
        matching=measured.matching,
        mailable=measured.mailable,
        rules=[Alone(rule=in_words(one), matching=count) for one, count in measured.rules],
    )


@router.post(
    "/segments/{name}/explain",
    summary="Tell why somebody matches or not",
    responses=responses(
        *READS, Kind.NOT_FOUND, Kind.BROKEN, Kind.MALFORMED, Kind.TOO_LARGE, Kind.MEDIA_TYPE
    ),
)
def explain_segment(
    asked: Annotated[Asked, needs(Scope.SEGMENTS_READ)], name: SegmentName, body: Whom
) -> Explained:
    """Tell of each rule whether it holds for a person and why; needs subscribers:read too."""
    asked.need(Scope.SUBSCRIBERS_READ)
    told = asked.bot.segments.explain(segment_of(asked, name), body.address)
    if told is None:
        raise not_found("subscriber")
    return Explained.model_validate(told.to_json())


def segment_of(asked: Asked, name: str, parameter: str = "") -> Segment:
    """Return a segment; raises Problem when there is none, or its file has a mistake."""
    segments = asked.bot.segments
    if name not in segments.names():
        if parameter:
            raise invalid("There is no such segment.", parameter=parameter)
        raise not_found("segment")
    try:
        return segments.load(name)
    except DataError as error:  # its words name folders of this machine
        detail = f"Its rule has a mistake; `newsletter-bot segments explain {name}` tells which."
        raise Problem(Kind.BROKEN, detail) from error
