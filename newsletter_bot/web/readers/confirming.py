"""The page of a confirm link: a button, and only the button confirms."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from newsletter_bot.bot import Bot
from newsletter_bot.subscribers.consent import Confirmed, SignupState
from newsletter_bot.subscribers.tokens import Link
from newsletter_bot.web.readers.pages import Answers, Notice
from newsletter_bot.web.serving.bodies import form_of
from newsletter_bot.web.serving.visitors import Visitor


def add_confirming(app: FastAPI, confirming: Confirming) -> None:
    """Answer `/c/…`."""

    @app.api_route("/c/{token}", methods=["GET", "HEAD"])
    def ask(token: str, request: Request) -> Response:
        return confirming.ask(token, confirming.visitor(request))

    @app.post("/c/{token}")
    async def confirm(token: str, request: Request) -> Response:
        await form_of(request)
        return await run_in_threadpool(confirming.confirm, token, confirming.visitor(request))


class Confirming:
    """What a confirm link shows, and what its button does."""

    def __init__(self, bot: Bot, answers: Answers, ring: Callable[[str], None]) -> None:
        self._bot = bot
        self._answers = answers
        self._ring = ring

    def visitor(self, request: Request) -> Visitor:
        """Return who asks."""
        return Visitor.of(request, self._bot.settings.newsletter.language)

    def ask(self, token: str, visitor: Visitor) -> Response:
        """Show what the link is for, and the button while it is waited for."""
        number = self._bot.signer.read_link_token(Link.CONFIRM, token)
        pending = None if number is None else self._bot.people.signup(number)
        if pending is None:
            return self._answers.dead(visitor.language)
        if pending.state is SignupState.WAITING:
            return self._answers.notice(visitor.language, self._question(visitor, pending.lists))
        return self._told(visitor, pending.state, pending.lists)

    def confirm(self, token: str, visitor: Visitor) -> Response:
        """Confirm; again and again with a friendly answer."""
        number = self._bot.signer.read_link_token(Link.CONFIRM, token)
        before = None if number is None else self._bot.people.signup(number)
        after = self._bot.people.confirm(before.id, visitor.prefix) if before else None
        if before is None or after is None:
            return self._answers.dead(visitor.language)
        if before.state is SignupState.WAITING and after.state is SignupState.CONFIRMED:
            self._ring("letters")  # a welcome
            notice = self._thanks(visitor, "confirmed", after)
            return self._answers.notice(visitor.language, notice)
        return self._told(visitor, after.state, after.lists, after)

    def _question(self, visitor: Visitor, lists: tuple[str, ...]) -> Notice:
        say, language = self._answers.say, visitor.language
        return Notice(
            say(language, "confirm_question"),
            (say(language, "confirm_text"), say(language, "nothing_yet")),
            self._answers.names(lists),
            button=say(language, "confirm"),
        )

    def _told(
        self,
        visitor: Visitor,
        state: SignupState,
        lists: tuple[str, ...],
        after: Confirmed | None = None,
    ) -> Response:
        """Tell how things stand when there is nothing to press."""
        say, language = self._answers.say, visitor.language
        if state is SignupState.CONFIRMED:
            known = after or Confirmed(state, None, lists)
            notice = self._thanks(visitor, "already_confirmed", known)
            return self._answers.notice(language, notice)
        again = (self._answers.link("subscribe"), say(language, "subscribe_again"))
        expired = Notice(
            say(language, "expired"), (say(language, "expired_text"),), links=(again,), status=410
        )
        return self._answers.notice(language, expired)

    def _thanks(self, visitor: Visitor, word: str, after: Confirmed) -> Notice:
        say, language = self._answers.say, visitor.language
        links: tuple[tuple[str, str], ...] = ()
        if after.subscriber_id is not None:
            token = self._bot.signer.link_token(Link.PREFERENCES, after.subscriber_id)
            links = ((self._answers.link(f"p/{token}"), say(language, "preferences")),)
        text = (say(language, f"{word}_text"),)
        return Notice(say(language, word), text, self._answers.names(after.lists), links=links)
