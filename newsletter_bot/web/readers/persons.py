"""Whose page it is: what a preferences token opens, for those who are still there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import Response

from newsletter_bot.bot import Bot
from newsletter_bot.subscribers.consent import Choices, UnknownPersonError
from newsletter_bot.subscribers.tokens import Link
from newsletter_bot.web.readers.pages import Answers
from newsletter_bot.web.serving.visitors import Visitor


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who opened the link that came to their own mailbox."""

    id: int
    token: str
    address: str
    choices: Choices
    visitor: Visitor

    @property
    def language(self) -> str:
        """The language of the pages they get."""
        return self.visitor.language


class Persons:
    """Finds people by their token."""

    def __init__(self, bot: Bot, answers: Answers) -> None:
        self._bot = bot
        self._answers = answers

    def answer(self, token: str, request: Request, page: Callable[[Person], Response]) -> Response:
        """Answer with a page of the person; a neutral one for nobody and for those erased."""
        visitor = Visitor.of(request, self._bot.settings.newsletter.language)
        number = self._bot.signer.read_link_token(Link.PREFERENCES, token)
        person = None if number is None else self._find(number, token, visitor)
        if person is None:
            return self._answers.dead(visitor.language)
        try:
            return page(person)
        except UnknownPersonError:  # erased since we looked
            return self._answers.dead(visitor.language)

    def _find(self, number: int, token: str, visitor: Visitor) -> Person | None:
        address, choices = self._bot.people.address_of(number), self._bot.people.choices(number)
        if address is None or choices is None:
            return None
        return Person(number, token, address, choices, visitor)
