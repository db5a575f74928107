"""The ways out and back: relays, what they tell of later, and the mailboxes of bounces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from newsletter_bot import settings as configuration
from newsletter_bot.delivery.composing.headers import a_labels
from newsletter_bot.delivery.composing.senders import domain_of, senders_of
from newsletter_bot.delivery.transports import Looked, kinds, open_transport
from newsletter_bot.errors import ConfigurationError
from newsletter_bot.feedback.mailboxes import Cursor, Desk, MailboxError, open_mailbox
from newsletter_bot.service.doctor.domains import SenderDomain
from newsletter_bot.service.doctor.model import Check, error, of_finding, warning, well
from newsletter_bot.settings import Settings
from newsletter_bot.settings.mailboxes import MailboxTable
from newsletter_bot.settings.tables import NamedRelayTable


def sender_domains(settings: Settings) -> list[SenderDomain]:
    """Return the domains in whose name mail is sent, each with who carries it.

    Raises ConfigurationError, DataError.
    """
    found: dict[str, bool] = {}
    for table in settings.routes:
        for domain in _carried(settings, table):
            found[domain] = found.get(domain, False) or not _by_provider(table)
    return [SenderDomain(name, ours) for name, ours in found.items()]


def _by_provider(table: NamedRelayTable) -> bool:
    """Tell whether a provider's API carries it: one that tells of events."""
    return hasattr(kinds().get(table.kind), "open_events")


def _carried(settings: Settings, table: NamedRelayTable) -> list[str]:
    senders = senders_of(settings)
    ids = [one.id for one in settings.lists if not table.lists or one.id in table.lists]
    names = (domain_of((senders.get(one) or senders[""])[1]) for one in ids)
    domains = dict.fromkeys(a_labels(one).lower() for one in names)
    allowed = {one.lower() for one in table.from_domains}
    return [one for one in domains if not allowed or one in allowed]


def look(settings: Settings, table: NamedRelayTable, *, offline: bool) -> Iterator[Check]:
    """Look at a relay without sending; raises ConfigurationError."""
    name = f"relay {table.name}"
    transport = open_transport(table, settings.folder)
    domains = _carried(settings, table)
    if not domains:
        yield warning(name, "Nothing is sent this way.", "Look at its lists and from_domains.")
    elif offline or not isinstance(transport, Looked):
        yield well(name, f"{table.kind}: its options are in order")
    else:
        yield from _asked(name, transport, domains)


def _asked(name: str, transport: Looked, domains: Sequence[str]) -> Iterator[Check]:
    # What is true of the account comes with each domain, and is said once.
    seen: set[Check] = set()
    for domain in domains:
        for finding in transport.check(domain):
            check = of_finding(name, finding)
            if check not in seen:
                seen.add(check)
                yield check


def hearing(settings: Settings, table: NamedRelayTable) -> Iterator[Check]:
    """Say whether what becomes of a relay's messages is heard; raises ConfigurationError."""
    name = f"events {table.name}"
    kind = kinds().get(table.kind)
    if kind is None:
        return  # said of the relay
    opening = getattr(kind, "open_events", None)
    if opening is None:
        if _needs_mailbox(settings, table):
            yield warning(
                name,
                "Bounces come by mail, and nothing here reads any.",
                "Add [[mailboxes]], or let your mail server pipe bounce+…@ into"
                " `newsletter-bot bounces ingest -`: docs/mailboxes.md.",
            )
        return
    try:
        options = configuration.read_options(
            kind.Options, table.options, table.place, settings.folder
        )
    except ConfigurationError:
        return  # said of the relay
    address = f"{settings.newsletter.url}/hooks/{table.kind}"
    if opening(options, settings.folder) is None:
        yield warning(
            name,
            f"Nothing that {table.kind} tells would be believed: bounces and complaints are not"
            " heard.",
            f"Add a webhook to {address} there, and what it is signed with here:"
            " docs/transports.md.",
        )
    else:
        yield well(name, f"webhooks are believed at {address}")


def _needs_mailbox(settings: Settings, table: NamedRelayTable) -> bool:
    return table.kind != "maildir" and not settings.mailboxes


def mailbox(settings: Settings, table: MailboxTable, *, offline: bool) -> Iterator[Check]:
    """Look into a mailbox and take nothing from it; raises ConfigurationError."""
    name = f"mailbox {table.name}"
    box = open_mailbox(table, settings.folder)
    if offline:
        yield well(name, f"{table.kind}: its options are in order")
        return
    # Its time is over before it begins: it connects, logs in, finds the folder, and that is all.
    desk = Desk(keep=lambda _body: False, save=lambda _cursor: None, most=1, ended=lambda: True)
    try:
        box.visit(Cursor(), desk)
    except MailboxError as found:
        yield error(
            name,
            f"It cannot be read: {found.reason}.",
            "Check its address, its name and password, and the folder: docs/mailboxes.md.",
        )
        return
    if desk.found.remark:
        yield warning(name, desk.found.remark, "See docs/mailboxes.md.")
    else:
        yield well(name, f"{table.kind}: it can be read")
