"""A change of address: asked for in the preferences, agreed to from both mailboxes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from newsletter_bot.bot import Bot
from newsletter_bot.errors import DataError
from newsletter_bot.logs import log
from newsletter_bot.subscribers.address import AddressError
from newsletter_bot.subscribers.consent import AddressChange, ChangeState, LimitError
from newsletter_bot.subscribers.tokens import Link
from newsletter_bot.web.readers.pages import Answers, Notice
from newsletter_bot.web.readers.persons import Person, Persons
from newsletter_bot.web.serving.bodies import Form, form_of
from newsletter_bot.web.serving.visitors import Visitor

_SIDES = {"old": Link.AGREE_OLD, "new": Link.AGREE_NEW}


def add_moving(app: FastAPI, moving: Moving) -> None:
    """Answer `/p/TOKEN/address`, `/a/old/TOKEN` and `/a/new/TOKEN`."""
    persons = moving.persons

    @app.api_route("/p/{token}/address", methods=["GET", "HEAD"])
    def show(token: str, request: Request) -> Response:
        return persons.answer(token, request, moving.show)

    @app.post("/p/{token}/address")
    async def ask(token: str, request: Request) -> Response:
        form = await form_of(request)
        return await run_in_threadpool(
            persons.answer, token, request, lambda person: moving.ask(person, form)
        )

    @app.api_route("/a/{side}/{token}", methods=["GET", "HEAD"])
    def question(side: str, token: str, request: Request) -> Response:
        return moving.question(side, token, moving.visitor(request))

    @app.post("/a/{side}/{token}")
    async def agree(side: str, token: str, request: Request) -> Response:
        await form_of(request)
        return await run_in_threadpool(moving.agree, side, token, moving.visitor(request))


class Moving:
    """The form for a new address, and the two pages that agree to it."""

    def __init__(
        self, bot: Bot, answers: Answers, persons: Persons, ring: Callable[[str], None]
    ) -> None:
        self._bot = bot
        self._ring = ring
        self._answers = answers
        self.persons = persons

    def visitor(self, request: Request) -> Visitor:
        """Return who asks."""
        return Visitor.of(request, self._bot.settings.newsletter.language)

    # ── asked for in the preferences ─────────────────────────────────────────────────────────

    def show(self, person: Person) -> Response:
        """Show the form."""
        return self._form(person, "")

    def ask(self, person: Person, form: Form) -> Response:
        """Write to both mailboxes; nobody learns whether the new address is known."""
        wanted = form.one("address")
        try:
            self._bot.people.ask_address_change(person.id, wanted)
        except (AddressError, DataError):
            return self._form(person, wanted, problem="wrong_address", status=422)
        except LimitError as error:
            return self._form(person, wanted, retry_after=error.retry_after, status=429)
        log("web.address_change", subscriber=person.id)
        self._ring("letters")
        return self._answers.notice(person.language, self._sent(person))

    def _sent(self, person: Person) -> Notice:
        say, language = self._answers.say, person.language
        back = (self._answers.link(f"p/{person.token}"), say(language, "all_preferences"))
        texts = (say(language, "look_into_both_text"),)
        return Notice(say(language, "look_into_both"), texts, links=(back,))

    def _form(
        self,
        person: Person,
        wanted: str,
        *,
        problem: str = "",
        retry_after: int = 0,
        status: int = 200,
    ) -> Response:
        say, language = self._answers.say, person.language
        minutes = math.ceil(retry_after / 60)
        headers: Mapping[str, str] = {"Retry-After": str(retry_after)} if retry_after else {}
        return self._answers.page(
            "address.html.j2",
            language,
            status=status,
            headers=headers,
            now=person.address,
            address=wanted,
            problems={"address": say(language, problem)} if problem else {},
            message=say(language, "too_many", minutes=minutes) if retry_after else "",
            back=f"../{person.token}",
        )

    # ── agreed to from both mailboxes ────────────────────────────────────────────────────────

    def question(self, side: str, token: str, visitor: Visitor) -> Response:
        """Show what would change, and the button while this side has not agreed."""
        change = self._find(side, token)
        return self._told(side, change, visitor)

    def agree(self, side: str, token: str, visitor: Visitor) -> Response:
        """Agree for one mailbox; again and again with the same answer."""
        change = self._find(side, token)
        after = self._bot.people.agree(change.id, _SIDES[side]) if change else None
        if after is not None:
            log("web.agreed", subscriber=after.subscriber_id, side=side, state=after.state)
            self._ring("letters")
        return self._told(side, after, visitor)

    def _find(self, side: str, token: str) -> AddressChange | None:
        link = _SIDES.get(side)
        number = None if link is None else self._bot.signer.read_link_token(link, token)
        return None if number is None else self._bot.people.address_change(number)

    def _told(self, side: str, change: AddressChange | None, visitor: Visitor) -> Response:
        if change is None:
            return self._answers.dead(visitor.language)
        return self._answers.notice(visitor.language, self._state(side, change, visitor.language))

    def _state(self, side: str, change: AddressChange, language: str) -> Notice:
        say = self._answers.say
        agreed = change.old_agreed if side == "old" else change.new_agreed
        if change.state is ChangeState.DONE:
            return Notice(say(language, "moved"), (say(language, "moved_text"),))
        if change.state is ChangeState.EXPIRED:
            text = say(language, "change_expired_text")
            return Notice(say(language, "expired"), (text,), status=410)
        if agreed:
            return Notice(say(language, "agreed"), (say(language, "agreed_text"),))
        text = say(language, f"agree_{side}_text", address=change.new)
        return Notice(
            say(language, "agree_question"),
            (text, say(language, "nothing_yet")),
            button=say(language, "agree"),
        )
