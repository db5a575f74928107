"""What counts visits, put together: links that lead on, the picture, and what is noted."""

from __future__ import annotations

import time

from fastapi import FastAPI

from newsletter_bot.bot import Bot
from newsletter_bot.delivery.planning.links_store import LinksStore
from newsletter_bot.web.visits.destinations import Destinations
from newsletter_bot.web.visits.following import Following, add_following
from newsletter_bot.web.visits.pixel import Pixel, add_pixel
from newsletter_bot.web.visits.visiting import Visiting


def add_counting(app: FastAPI, bot: Bot) -> None:
    """Answer links and pictures, also when nothing is counted any more: old mails have them."""
    destinations = Destinations(LinksStore(bot.engine).find)
    visiting = Visiting(bot.settings.tracking, bot.visit_counter.note, time.time)
    add_following(app, Following(bot.signer, destinations, visiting))
    add_pixel(app, Pixel(bot.signer, destinations, visiting))
