"""POST /subscribers: ask somebody to confirm, or add somebody who agreed elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, BeforeValidator, Discriminator, Field
from pydantic import Tag as Variant

from newsletter_bot.subscribers.consent import By, Evidence, SignupRequest
from newsletter_bot.subscribers.model import AddOutcome, NewSubscriber
from newsletter_bot.web.api.asked import Answer, Asked, Writing, changes
from newsletter_bot.web.api.keys import Scope
from newsletter_bot.web.api.people_store import PersonRow, Wanted
from newsletter_bot.web.api.problems import (
    ADDITION,
    REQUEST,
    WRITES,
    Kind,
    Problem,
    responses,
)
from newsletter_bot.web.api.subscribers import address_of, people
from newsletter_bot.web.api.words import AddressText, Body, Line, ListId, Moment, Reason

router = APIRouter(tags=["subscribers"])

_REFUSED = {
    AddOutcome.UNSUBSCRIBED: (
        Kind.LEFT,
        "They unsubscribed, so only they can come back: ask them with `confirm: true`.",
    ),
    AddOutcome.SUPPRESSED: (Kind.SUPPRESSED, "This address must not be mailed."),
}


class Consent(Body):
    """What shows later that the person agreed: it is kept with the subscription."""

    source: Annotated[Reason, Field(examples=["order form of shop.example.com"])]
    given_at: Moment
    page: Annotated[Line, Field(description="The address of the page")] = ""
    wording: Annotated[Line, Field(description="What they agreed to")] = ""
    version: Annotated[Line, Field(description="Which version of it")] = ""

    def recorded(self) -> dict[str, str]:
        """Return it as it is kept."""
        said = self.model_dump(mode="json")
        return {name: value for name, value in said.items() if value}


def _plain(value: Any) -> bool:
    """Refuse 1 for true and 0 for false, which are equal to Python."""
    if not isinstance(value, bool):
        raise ValueError("true or false is needed")  # noqa: TRY004 - pydantic's way
    return value


class _New(Body):
    address: AddressText
    lists: Annotated[list[ListId], Field(min_length=1, max_length=100)]
    name: Line = ""
    language: Annotated[Line, Field(examples=["en"])] = ""


class Request(_New):
    """Somebody who is asked, by mail, whether it was them: nothing is sent before they say yes."""

    confirm: Annotated[Literal[True], BeforeValidator(_plain)]
    page: Annotated[Line, Field(description="The page on which they asked")] = ""
    wording: Annotated[Line, Field(description="What they agreed to there")] = ""
    version: Annotated[Line, Field(description="Which version of it")] = ""


class Addition(_New):
    """Somebody who gets mail at once: their consent was given elsewhere, and can be shown."""

    confirm: Annotated[Literal[False], BeforeValidator(_plain)]
    consent: Consent
    fields: dict[str, Annotated[str, Field(max_length=1000)]] = Field(
        default_factory=dict, max_length=100, description="Fields of the newsletter's own"
    )


class Added(BaseModel):
    """What became of an addition."""

    subscriber_id: int
    outcome: Literal["added", "updated", "unchanged"]


def _variant(value: Any) -> str:
    """Tell which of the two is meant; what is neither is told what a request lacks."""
    confirm = value.get("confirm") if isinstance(value, Mapping) else None
    return ADDITION if confirm is False else REQUEST


New = Annotated[
    Annotated[Request, Variant(REQUEST)] | Annotated[Addition, Variant(ADDITION)],
    Discriminator(_variant),
]


@router.post(
    "/subscribers",
    summary="Ask somebody to confirm, or add somebody who agreed",
    status_code=201,
    response_model=Added,
    responses={
        200: {"model": Added, "description": "They were there before"},
        202: {"description": "If need be, they are asked by mail", "model": None},
        **responses(*WRITES, Kind.LEFT, Kind.SUPPRESSED),
    },
)
def add_subscriber(
    asked: Annotated[Writing, changes(Scope.SUBSCRIBERS_WRITE)], body: New
) -> Response:
    """With `confirm: true`, answer 202, the same for those we know and those we do not.

    With `confirm: false`, which needs the scope subscribers:activate too, subscribe at once.
    """
    if isinstance(body, Request):
        return _ask(asked, body)
    asked.need(Scope.SUBSCRIBERS_ACTIVATE)
    person = _person(body)
    return asked.once(lambda: _added(asked, person, body))


def _ask(asked: Writing, body: Request) -> Response:
    address_of(body.address)
    request = SignupRequest(
        address=body.address,
        lists=tuple(body.lists),
        name=body.name,
        language=body.language,
        # No network: the program's own would say nothing about the person.
        evidence=Evidence(body.page, body.wording, body.version),
    )

    def change() -> Answer:
        asked.bot.people.invite(request, By.API)
        return Answer(202)

    return asked.once(change, "people")


def _person(body: Addition) -> NewSubscriber:
    return NewSubscriber(address_of(body.address), body.name, body.language, body.fields)


def _added(asked: Asked, person: NewSubscriber, body: Addition) -> Answer:
    outcomes = {subscribe(asked, person, one, body.consent) for one in body.lists}
    order = (AddOutcome.ADDED, AddOutcome.UPDATED, AddOutcome.UNCHANGED)
    outcome = next(one for one in order if one in outcomes)
    row = people(asked).now(Wanted(address_key=person.address.key))
    assert isinstance(row, PersonRow), "they were added above"
    added = Added.model_validate({"subscriber_id": row.id, "outcome": outcome.value})
    if outcome is not AddOutcome.ADDED:
        return Answer(200, added)
    return Answer(201, added, f"{asked.request.url.path}/{row.id}")


def subscribe(asked: Asked, person: NewSubscriber, list_id: str, consent: Consent) -> AddOutcome:
    """Subscribe somebody to one list; raises Problem when they must not be."""
    outcome = asked.bot.people.subscribe(person, list_id, consent.recorded(), By.API)
    if outcome in _REFUSED:
        raise Problem(*_REFUSED[outcome])
    return outcome
