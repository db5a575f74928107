"""What else somebody may do from their preferences: leave, take their data, be erased."""

from __future__ import annotations

import json

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from newsletter_bot.bot import Bot
from newsletter_bot.logs import log
from newsletter_bot.subscribers.consent import By
from newsletter_bot.web.readers.pages import PRIVATE, Answers, Notice
from newsletter_bot.web.readers.persons import Person, Persons
from newsletter_bot.web.serving.bodies import form_of


def add_parting(app: FastAPI, parting: Parting) -> None:
    """Answer `/p/TOKEN/leave`, `/p/TOKEN/data` and `/p/TOKEN/erase`."""
    persons = parting.persons

    @app.api_route("/p/{token}/leave", methods=["GET", "HEAD"])
    def ask_leave(token: str, request: Request) -> Response:
        return persons.answer(token, request, parting.ask_leave)

    @app.post("/p/{token}/leave")
    async def leave(token: str, request: Request) -> Response:
        await form_of(request)
        return await run_in_threadpool(persons.answer, token, request, parting.leave)

    @app.api_route("/p/{token}/data", methods=["GET", "HEAD"])
    def data(token: str, request: Request) -> Response:
        return persons.answer(token, request, parting.data)

    @app.api_route("/p/{token}/erase", methods=["GET", "HEAD"])
    def ask_erase(token: str, request: Request) -> Response:
        return persons.answer(token, request, parting.ask_erase)

    @app.post("/p/{token}/erase")
    async def erase(token: str, request: Request) -> Response:
        await form_of(request)
        return await run_in_threadpool(persons.answer, token, request, parting.erase)


class Parting:
    """Questions with a button, and what the buttons do."""

    def __init__(self, bot: Bot, answers: Answers, persons: Persons) -> None:
        self._bot = bot
        self._answers = answers
        self.persons = persons

    def ask_leave(self, person: Person) -> Response:
        """Ask before all subscriptions end."""
        texts = ("leave_all_text", "nothing_yet")
        return self._question(person, "leave_question", texts, "leave_all")

    def leave(self, person: Person) -> Response:
        """End them all."""
        ended = self._bot.people.unsubscribe(person.id, (), By.PAGE)
        log("web.unsubscribed", subscriber=person.id, ended=ended)
        say, language = self._answers.say, person.language
        links = (self._back(person),)
        notice = Notice(say(language, "left"), (say(language, "left_all_text"),), links=links)
        return self._answers.notice(language, notice)

    def data(self, person: Person) -> Response:
        """Give all that is held about them, as a file."""
        held = self._bot.people.dossier(person.id)
        if held is None:
            return self._answers.dead(person.language)
        headers = {
            **PRIVATE.headers(""),
            "Content-Disposition": 'attachment; filename="my-data.json"',
        }
        text = json.dumps(held, ensure_ascii=False, indent=2)
        return Response(text, headers=headers, media_type="application/json")

    def ask_erase(self, person: Person) -> Response:
        """Ask before they are erased."""
        return self._question(person, "erase_question", ("erase_text",), "erase")

    def erase(self, person: Person) -> Response:
        """Erase them."""
        self._bot.people.forget(person.id, By.PAGE)
        log("web.erased", subscriber=person.id)
        say, language = self._answers.say, person.language
        notice = Notice(say(language, "erased"), (say(language, "erased_text"),))
        return self._answers.notice(language, notice)

    def _question(
        self, person: Person, title: str, texts: tuple[str, ...], button: str
    ) -> Response:
        say, language = self._answers.say, person.language
        notice = Notice(
            say(language, title),
            tuple(say(language, one) for one in texts),
            button=say(language, button),
            links=(self._back(person),),
        )
        return self._answers.notice(language, notice)

    def _back(self, person: Person) -> tuple[str, str]:
        words = self._answers.say(person.language, "all_preferences")
        return self._answers.link(f"p/{person.token}"), words
