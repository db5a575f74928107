"""The database: whether it answers, takes changes, and is the one that this machine may act on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from alembic.util import CommandError

from newsletter_bot.bot import Bot
from newsletter_bot.delivery.model import IssueState
from newsletter_bot.delivery.relaying.pacing_store import PacingStore
from newsletter_bot.errors import NewsletterError
from newsletter_bot.service.doctor.folder import disk
from newsletter_bot.service.doctor.model import Check, error, explained, warning, well
from newsletter_bot.storage.instance import Instance, state_folder
from newsletter_bot.storage.probe_store import try_to_write


def look(bot: Bot) -> Iterator[Check]:
    """Look at the database and what it says of itself."""
    name = "database"
    try:
        engine = bot.engine
        try_to_write(engine)
    except NewsletterError as found:
        yield explained(name, found)
        return
    except CommandError as found:
        yield error(
            name,
            f"The database is of another version of newsletter-bot: {found}.",
            "Run the version that used it last, or restore a backup of this one.",
        )
        return
    yield well(name, f"{engine.dialect.name}: it takes changes, and its tables are up to date")
    if engine.dialect.name == "sqlite" and engine.url.database:
        place = Path(engine.url.database).resolve().parent
        if place != bot.settings.folder.resolve():
            yield disk("database's disk", place)
    yield _instance(bot)
    yield from _paused(bot)
    yield from _failed_relays(bot)


def _instance(bot: Bot) -> Check:
    name = "instance"
    try:
        folder = state_folder(bot.settings)
        why = Instance(bot.engine, folder).objection()
    except NewsletterError as found:
        return explained(name, found)
    if not why:
        return well(name, "`run` may send from this machine")
    return error(
        name,
        f"In quarantine: {why}. `run` sends nothing.",
        "If this copy is the one to go on: newsletter-bot instance adopt. If your service keeps its"
        f" state elsewhere than in {folder}, ask as it does: set STATE_DIRECTORY.",
    )


def _paused(bot: Bot) -> Iterator[Check]:
    for row in bot.mailroom.issues():
        if row.state is IssueState.PAUSED:
            yield warning(
                f"issue {row.identity}",
                f"It is paused: {row.reason or 'somebody asked for it'}.",
                f"newsletter-bot resume {row.identity}, or cancel {row.identity}",
            )


def _failed_relays(bot: Bot) -> Iterator[Check]:
    known = {one.name for one in bot.settings.routes}
    for name, (failures, reason) in PacingStore(bot.engine).failures().items():
        if name in known:
            yield warning(
                f"relay {name}",
                f"It failed {failures} times in a row when it was used last: {reason}",
                "It is asked again by the next run; below stands how it is now.",
            )
