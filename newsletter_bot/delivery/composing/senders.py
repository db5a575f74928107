"""In whose name mail is sent: the newsletter's sender, those of its lists, and their signature."""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import parseaddr

from newsletter_bot.delivery.composing import headers
from newsletter_bot.delivery.composing.dkim import Signer, aligned
from newsletter_bot.errors import ConfigurationError, DataError
from newsletter_bot.settings import Settings
from newsletter_bot.settings.tables import NewsletterTable

Sender = tuple[str, str]  # name and address


def senders_of(settings: Settings) -> dict[str, Sender]:
    """Return name and address of the lists' own senders, and under "" of the newsletter's.

    Raises ConfigurationError for one without an address.
    """
    senders = {"": _sender(settings.newsletter.from_, "newsletter.from")}
    for one in settings.lists:
        if one.from_:
            senders[one.id] = _sender(one.from_, f"lists.from of {one.id}")
    return senders


def signer_of(settings: Settings, senders: Iterable[Sender]) -> Signer | None:
    """Return what signs for these senders, None without [dkim].

    Raises ConfigurationError for a key of no use, or a domain that does not vouch for one of them.
    """
    if settings.dkim is None:
        return None
    signer = Signer.of(settings.dkim, settings.folder)
    for _, address in senders:
        if not aligned(domain_of(address), signer.domain):
            raise ConfigurationError(
                f"newsletter.toml: dkim.domain {signer.domain} does not vouch for {address}:"
                " DMARC fails, and large mailbox providers refuse such mail.",
                f"Sign for {domain_of(address)} or a domain above it, and publish the key there.",
            )
    return signer


def in_whose_name(sender: Sender, newsletter: NewsletterTable) -> list[tuple[str, str]]:
    """Return From, and Reply-To where there is one."""
    found = [("From", headers.mailbox(*sender, "From"))]
    if newsletter.reply_to:
        name, address = parseaddr(newsletter.reply_to)
        address = headers.wire_address(address or newsletter.reply_to)
        found.append(("Reply-To", headers.mailbox(name, address, "Reply-To")))
    return found


def domain_of(address: str) -> str:
    """Return an address's domain."""
    return address.rpartition("@")[2]


def _sender(value: str, key: str) -> Sender:
    name, address = parseaddr(value)
    local, _, domain = address.rpartition("@")
    remedy = 'Write it like "Weekly News <news@news.example.com>".'
    if not local or not domain:
        raise ConfigurationError(f"newsletter.toml: {key}: {value!r} holds no address.", remedy)
    try:
        return name, headers.wire_address(address)
    except DataError as error:
        raise ConfigurationError(f"newsletter.toml: {key}: {error.message}", remedy) from error
