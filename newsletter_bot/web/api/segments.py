"""/segments: saved rules about people, and how many match."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from newsletter_bot.errors import DataError
from newsletter_bot.subscribers.segment_rules import Segment
from newsletter_bot.subscribers.segment_table import rule_table
from newsletter_bot.web.api.asked import Asked, needs
from newsletter_bot.web.api.keys import Scope
from newsletter_bot.web.api.pages import Page
from newsletter_bot.web.api.problems import READS, Kind, Problem, invalid, not_found, responses

router = APIRouter(tags=["segments"])

SegmentName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$", examples=["readers-of-late"])
]


class Name(BaseModel):
    """A segment by its name."""

    name: str


class SegmentPage(Page[Name]):
    """All segments: there is no other page."""


class Counted(Name):
    """A segment, its rule, and how many match it now."""

    title: str
    description: str
    rule: dict[str, Any] = Field(description="As docs/segments.md writes it")
    matching: int
    mailable: int = Field(description="Those of them who get mail")


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
        matching=measured.matching,
        mailable=measured.mailable,
    )


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
