"""What people give us, checked before it is kept: names, languages, lists, tags, fields.

A value that could break a mail's header, a database or a page's layout is refused here, in one
place, whoever brought it: form, API or command line.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence

from newsletter_bot.errors import DataError
from newsletter_bot.subscribers.address import has_control
from newsletter_bot.subscribers.consent import Evidence

LONGEST_NAME = 200  # characters
_LONGEST_FIELD = 1000  # characters
_LONGEST_WORDING = 2000  # characters
_LONGEST_TAG = 64  # characters
_MOST_TAGS = 100
_MOST_EVIDENCE = 20
_IPV4_BITS = 24
_IPV6_BITS = 64
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,4}")  # RFC 5646 section 2.1, in short


def checked_name(name: str) -> str:
    """Return a name without space around it; raises DataError."""
    return checked_text("name", unicodedata.normalize("NFC", name).strip(), LONGEST_NAME)


def checked_text(what: str, text: str, longest: int) -> str:
    """Return one line of text; raises DataError for control characters, broken and long ones."""
    if len(text) > longest:
        raise DataError(f"The {what} has more than {longest} characters.")
    if has_control(text):
        raise DataError(f"A line break or control character in the {what}.")
    if not text.isprintable() and any("\ud800" <= one <= "\udfff" for one in text):
        raise DataError(f"Half of a character in the {what}.")
    return text


def checked_language(tag: str) -> str:
    """Return a language tag like `en` or `zh-Hant`, or an empty one; raises DataError."""
    if tag and not _LANGUAGE.fullmatch(tag):
        raise DataError("The language is no tag like en, ja or zh-Hant.")
    return tag


def checked_lists(lists: Sequence[str], known: Collection[str]) -> tuple[str, ...]:
    """Return the lists, each once; raises DataError for none, and for one that there is not."""
    if not lists:
        raise DataError("No list was chosen.")
    if any(one not in known for one in lists):
        raise DataError("There is no such list.", f"Lists: {', '.join(sorted(known))}.")
    return tuple(dict.fromkeys(lists))


def checked_fields(fields: Mapping[str, str], known: Collection[str]) -> dict[str, str]:
    """Return the newsletter's own fields of a person; raises DataError."""
    if set(fields) - set(known):
        raise DataError("There is no such field.", f"Fields: {', '.join(sorted(known))}.")
    return {name: checked_text(name, value, _LONGEST_FIELD) for name, value in fields.items()}


def checked_evidence(evidence: Evidence) -> Evidence:
    """Return evidence whose network is truncated; raises DataError."""
    return Evidence(
        page=checked_text("page", evidence.page, _LONGEST_WORDING),
        wording=checked_text("wording", " ".join(evidence.wording.split()), _LONGEST_WORDING),
        version=checked_text("version", evidence.version, LONGEST_NAME),
        prefix=network_prefix(evidence.prefix),
    )


def checked_consent(consent: Mapping[str, str]) -> dict[str, str]:
    """Return evidence that a program brings in its own words; raises DataError."""
    if len(consent) > _MOST_EVIDENCE:
        raise DataError(f"Evidence of more than {_MOST_EVIDENCE} parts.")
    return {
        checked_text("evidence", name, LONGEST_NAME): checked_text(
            "evidence", value, _LONGEST_WORDING
        )
        for name, value in consent.items()
    }


def network_prefix(address: str) -> str:
    """Return the network of an IP address or network: an IPv4 /24, an IPv6 /64; empty for none.

    An IPv4 address that is written as an IPv6 one (RFC 4291 section 2.5.5.2) is an IPv4 address.
    """
    try:
        at = ipaddress.ip_interface(address.partition("%")[0]).ip
    except ValueError:
        return ""
    if isinstance(at, ipaddress.IPv6Address):
        at = at.ipv4_mapped or at
    bits = _IPV4_BITS if isinstance(at, ipaddress.IPv4Address) else _IPV6_BITS
    return str(ipaddress.ip_network(f"{at}/{bits}", strict=False))


def checked_tags(tags: Iterable[str]) -> frozenset[str]:
    """Return tags in lower case; raises DataError for one with a space, a comma, or too long."""
    found = {unicodedata.normalize("NFC", one.strip()).lower() for one in tags}
    for one in found:
        checked_text("tag", one, _LONGEST_TAG)
        if not one or re.search(r"[\s,]", one) or one[0] in "+-":
            raise DataError("A tag is one word without commas, like reviewer.")
    if len(found) > _MOST_TAGS:
        raise DataError(f"More than {_MOST_TAGS} tags.")
    return frozenset(found)
