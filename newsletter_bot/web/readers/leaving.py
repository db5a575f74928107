"""The unsubscribe page, its button, and the one-click POST of mail programs (RFC 8058)."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.routing import Route

from newsletter_bot.bot import Bot
from newsletter_bot.logs import log
from newsletter_bot.subscribers.consent import By
from newsletter_bot.subscribers.tokens import UnsubscribeClaim
from newsletter_bot.web.readers.languages import language_of
from newsletter_bot.web.readers.pages import Answers, Notice
from newsletter_bot.web.serving.bodies import body_of
from newsletter_bot.web.serving.changing import Changes

# What a mail program's one-click POST says (RFC 8058 section 3.2), in whatever encoding.
_ONE_CLICK = b"List-Unsubscribe"


def add_leaving(app: FastAPI, leaving: Leaving) -> None:
    """Answer `/u/…`."""

    async def leave(request: Request) -> Response:
        body = await body_of(request)
        by = By.ONE_CLICK if _ONE_CLICK in body else By.PAGE
        return await leaving.leave(request.path_params["token"], language_of(request), by)

    # Starlette's own route: mail programs post thousands at a time, and FastAPI's would cost more
    # than everything else about it.
    app.router.routes.append(Route("/u/{token}", leave, methods=["POST"]))

    @app.api_route("/u/{token}", methods=["GET", "HEAD"])
    def ask(token: str, request: Request) -> Response:
        return leaving.ask(token, language_of(request))


class Leaving:
    """The unsubscribe page, and what its button does.

    Its token is no way to the preferences: mails are forwarded, and it stands in each of them.
    """

    def __init__(self, bot: Bot, answers: Answers) -> None:
        self._bot = bot
        self._settings = bot.settings
        self._answers = answers
        self._changes = Changes(bot.writer)

    def ask(self, token: str, language: str) -> Response:
        """Show the page with the button."""
        claim = self._bot.signer.read_unsubscribe_token(token)
        return self._page("broken" if claim is None else "ask", language, claim)

    async def leave(self, token: str, language: str, by: By) -> Response:
        """End the subscription; again and again, and for somebody erased, with the same answer."""
        claim = self._bot.signer.read_unsubscribe_token(token)
        if claim is None:
            return self._page("broken", language, claim)
        # A list that was removed meanwhile has no name any more: then from all of them.
        lists = [one.id for one in self._settings.lists if claim.matches(one.id)]
        change = self._bot.people.unsubscribing(claim.subscriber_id, lists, by)
        ended = await self._changes.make(change)
        log("web.unsubscribed", subscriber=claim.subscriber_id, ended=ended)
        return self._page("left", language, claim)

    def _list_name(self, claim: UnsubscribeClaim | None) -> str:
        lists = self._settings.lists if claim else ()
        names = [one.name for one in lists if claim and claim.matches(one.id)]
        return names[0] if names else self._settings.newsletter.name

    def _page(self, step: str, language: str, claim: UnsubscribeClaim | None) -> Response:
        language = language or self._settings.newsletter.language
        name = self._list_name(claim)
        notices = {"ask": self._question, "left": self._farewell, "broken": self._broken}
        return self._answers.kept(language, notices[step](language, name))

    def _question(self, language: str, name: str) -> Notice:
        say = self._answers.say
        text = say(language, "leave_text", list=name)
        return Notice(say(language, "leave_question"), (text,), button=say(language, "leave"))

    def _farewell(self, language: str, name: str) -> Notice:
        say = self._answers.say
        again = (self._answers.link("subscribe"), say(language, "subscribe_again"))
        text = say(language, "left_text", list=name)
        links = (again,) if self._settings.signup.open else ()
        return Notice(say(language, "left"), (text,), links=links)

    def _broken(self, language: str, name: str) -> Notice:
        say = self._answers.say
        del name
        text = say(language, "broken_link_text")
        return Notice(say(language, "broken_link"), (text,), contact=True, status=404)
