"""The pages of readers, put together: signing up, confirming, choosing, moving, leaving."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI

from newsletter_bot.bot import Bot
from newsletter_bot.web.readers.confirming import Confirming, add_confirming
from newsletter_bot.web.readers.failing import add_failing
from newsletter_bot.web.readers.leaving import Leaving, add_leaving
from newsletter_bot.web.readers.moving import Moving, add_moving
from newsletter_bot.web.readers.pages import Answers
from newsletter_bot.web.readers.parting import Parting, add_parting
from newsletter_bot.web.readers.persons import Persons
from newsletter_bot.web.readers.preferring import Preferring, add_preferring
from newsletter_bot.web.readers.signing_up import SigningUp, add_signing_up


def add_pages(app: FastAPI, bot: Bot, ring: Callable[[str], None]) -> None:
    """Answer everything that readers open in a browser, and failures."""
    answers = Answers(bot.settings)
    persons = Persons(bot, answers)
    add_leaving(app, Leaving(bot, answers))
    add_signing_up(app, SigningUp(bot, answers, ring))
    add_confirming(app, Confirming(bot, answers, ring))
    add_preferring(app, Preferring(bot, answers, persons))
    add_parting(app, Parting(bot, answers, persons))
    add_moving(app, Moving(bot, answers, persons, ring))
    add_failing(app, answers)
