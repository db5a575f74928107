"""The sender's domains in DNS: SPF, DKIM, DMARC, and where bounces and replies arrive."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from newsletter_bot.delivery.composing.dkim import domain_of as dkim_domain_of
from newsletter_bot.delivery.composing.dkim_keys import Algorithm, Record, read_key
from newsletter_bot.service.doctor import dmarc, spf
from newsletter_bot.service.doctor.model import Check, error, warning, well
from newsletter_bot.service.doctor.names import Names, NamesError
from newsletter_bot.settings import Settings


@dataclass(frozen=True, slots=True)
class SenderDomain:
    """A domain in whose name mail is sent.

    `ours` says that a relay carries it with our own return path and signature; a provider's API
    uses its own.
    """

    name: str
    ours: bool


def look(names: Names, domain: SenderDomain) -> Iterator[Check]:
    """Look at a domain's records."""
    for what, check in (("spf", _spf), ("dmarc", _dmarc), ("mx", _mx)):
        name = f"{what} {domain.name}"
        try:
            yield from check(name, names, domain)
        except NamesError as found:
            yield _unknown(name, found)


def _unknown(name: str, found: NamesError) -> Check:
    return warning(
        name,
        f"DNS gives no answer: {found}",
        "Try again, or ask another name server with --dns, as in --dns 9.9.9.9.",
    )


def _spf(name: str, names: Names, domain: SenderDomain) -> Iterator[Check]:
    grave = error if domain.ours else warning
    found = spf.records(names, domain.name)
    if not found:
        yield grave(
            name,
            f"{domain.name} has no SPF record.",
            f'Publish {domain.name}. IN TXT "v=spf1 include:… -all", naming what your relay'
            " documents.",
        )
    elif len(found) > 1:
        yield grave(
            name,
            f"{domain.name} has {len(found)} SPF records, so that none counts.",
            "Make one of them.",
        )
    elif why := spf.trouble(names, found[0]):
        yield grave(name, f"The SPF record of {domain.name} is of no use: {why}.", "Correct it.")
    elif spf.is_open(found[0]):
        yield warning(
            name,
            f"The SPF record of {domain.name} keeps nobody out: {found[0]}",
            "End it with ~all or -all, once it names all that send for you.",
        )
    else:
        yield well(name, f"{found[0]} (it must name your relay)" if domain.ours else found[0])


def _dmarc(name: str, names: Names, domain: SenderDomain) -> Iterator[Check]:
    found = dmarc.policy(names, domain.name)
    if found is None:
        yield error(
            name,
            f"There is no DMARC policy for {domain.name}; Gmail, Yahoo and Microsoft ask for one.",
            f'Publish _dmarc.{domain.name}. IN TXT "v=DMARC1; p=none; rua=mailto:…".',
        )
        return
    said = f"p={found.wanted}, found at _dmarc.{found.domain}"
    if found.wanted not in {"none", "quarantine", "reject"}:
        yield warning(name, f"{said}: that is no policy.", "Write p=none, quarantine or reject.")
    elif found.outdated:
        tags = ", ".join(found.outdated)
        yield warning(name, f"{said}; {tags} mean nothing since RFC 9989.", "Take them out.")
    elif "rua" not in found.tags:
        yield warning(
            name,
            f"{said}; nobody is told who sends in its name.",
            "Add rua=mailto: and an address that reads reports.",
        )
    else:
        yield well(name, said)


def _mx(name: str, names: Names, domain: SenderDomain) -> Iterator[Check]:
    arriving = "bounces and replies" if domain.ours else "replies"
    grave = error if domain.ours else warning
    servers = names.servers(domain.name)
    if servers == [""]:
        yield grave(
            name,
            f"{domain.name} says that it takes no mail: {arriving} are lost.",
            "Replace the null MX record by the name of a server that takes them.",
        )
    elif servers:
        yield well(name, f"{arriving} go to {', '.join(servers[:3])}")
    elif names.has_address(domain.name):
        yield warning(
            name,
            f"{domain.name} has no MX record; {arriving} are tried at its address.",
            "Publish an MX record.",
        )
    else:
        yield grave(
            name,
            f"{domain.name} has no mail server: {arriving} are lost.",
            "Publish an MX record with the name of a server that takes them.",
        )


def dkim(names: Names, settings: Settings) -> Iterator[Check]:
    """Compare the public halves in DNS with the keys that sign."""
    table = settings.dkim
    if table is None:
        yield warning(
            "dkim",
            "There is no [dkim]: mail counts as signed only where your relay signs it.",
            "newsletter-bot dkim generate, or look at what a proof's headers say of DKIM.",
        )
        return
    domain = dkim_domain_of(table)
    keys = [(table.selector, table.key_file, Algorithm.RSA)]
    if table.ed25519_selector and table.ed25519_key_file:
        keys.append((table.ed25519_selector, table.ed25519_key_file, Algorithm.ED25519))
    for selector, file, algorithm in keys:
        record = read_key(settings.folder / file, algorithm).record(selector, domain)
        name = f"dkim {selector} {domain}"
        try:
            yield _published(name, names.texts(record.name), record)
        except NamesError as found:
            yield _unknown(name, found)


def _published(name: str, texts: list[str], record: Record) -> Check:
    publish = f"Publish it; `newsletter-bot dkim generate` prints it: {record.name}. IN TXT …"
    keys = [one for one in map(_public_half, texts) if one is not None]
    if not keys:
        return error(name, f"There is no DKIM record at {record.name}.", publish)
    if keys != [_public_half(record.value)]:
        return error(
            name,
            f"The record at {record.name} is not that of the key that signs: every signature"
            " fails.",
            publish,
        )
    if any("y" in _flags(one) for one in texts):
        return warning(name, "The record says t=y: receivers treat it as a trial.", "Take it out.")
    return well(name, f"the record at {record.name} is that of the key that signs")


def _public_half(record: str) -> str | None:
    found = re.search(r"(?:^|;)\s*p\s*=([^;]*)", record)
    return re.sub(r"\s", "", found[1]) if found else None


def _flags(record: str) -> list[str]:
    found = re.search(r"(?:^|;)\s*t\s*=([^;]*)", record)
    return [one.strip() for one in found[1].split(":")] if found else []
