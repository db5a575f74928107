"""`doctor`: looks at everything an operator can break, and says what to do; it sends nothing.

Whatever waits for somebody else does so in a thread of its own, all at once, and no longer than it
may. A check that fails in a way nobody foresaw is a check that failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from newsletter_bot.bot import Bot
from newsletter_bot.errors import NewsletterError
from newsletter_bot.service.doctor import around, database, domains, folder, relays
from newsletter_bot.service.doctor.model import Check, Look, Started, explained, well
from newsletter_bot.service.doctor.names import Names
from newsletter_bot.settings import FILE_NAME, Settings, load

_QUICK = 30.0  # seconds for what lies on this machine
_SLOW = 25.0  # seconds for what somebody else must answer


def examine(place: Path, names: Names | None) -> Iterator[Check]:
    """Look at the newsletter in a folder; without `names` no network is asked.

    The database is opened in either case, on whatever machine it is.
    """
    try:
        settings = load(place)
    except NewsletterError as found:
        yield explained(FILE_NAME, found)
        return
    yield well(FILE_NAME, f"{settings.newsletter.name}: it can be read")
    bot = Bot(settings)
    within = _QUICK if names is None else _SLOW
    begun = [Started("secret", partial(folder.look, settings), _QUICK)]
    begun.append(Started("database", partial(database.look, bot), _QUICK))
    begun += [Started(name, look, within) for name, look in _looks(settings, names)]
    for one in begun:
        yield from one.wait()
    bot.close()


def _looks(settings: Settings, names: Names | None) -> Iterator[tuple[str, Look]]:
    offline = names is None
    for table in settings.routes:
        name = f"relay {table.name}"
        yield name, partial(relays.look, settings, table, offline=offline)
        yield f"events {table.name}", partial(relays.hearing, settings, table)
    if names is not None:
        yield from _dns(settings, names)
    for box in settings.mailboxes:
        yield f"mailbox {box.name}", partial(relays.mailbox, settings, box, offline=offline)
    yield "public address", partial(around.public_address, settings, offline=offline)
    yield "alerts", partial(around.alerts, settings)
    for channel in settings.channels:
        yield f"channel {channel}", partial(around.channel, settings, channel)


def _dns(settings: Settings, names: Names) -> Iterator[tuple[str, Look]]:
    try:
        senders = relays.sender_domains(settings)
    except NewsletterError as found:
        check = explained("senders", found)
        yield "senders", lambda: [check]
        return
    for domain in senders:
        yield f"dns {domain.name}", partial(domains.look, names, domain)
    if settings.dkim is not None or any(one.ours for one in senders):
        yield "dkim", partial(domains.dkim, names, settings)
