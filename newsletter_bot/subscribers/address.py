"""Addresses as people write them: checked, and with the key that makes two of them one."""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from dataclasses import dataclass

import idna
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

_LONGEST = 254  # octets, RFC 5321 section 4.5.3.1.3 less the angle brackets
_LONGEST_LOCAL = 64  # octets, RFC 5321 section 4.5.3.1.1
# What nearly every address is: no need to ask the library, which takes 100 times as long. Labels
# with two hyphens in the third place (RFC 5891 section 4.2.3.1) are international, or wrong.
_PLAIN = re.compile(
    r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*"
    r"@(?:(?!..--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24}",
)
_RESERVED = tuple(f".{name}" for name in SPECIAL_USE_DOMAIN_NAMES)
_GOOGLE = ("gmail.com", "googlemail.com")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Address:
    """An address to mail to, and the key under which it is known once."""

    text: str
    key: str


class AddressError(ValueError):
    """Says in a sentence why a text is not an address that can be mailed."""


def has_control(text: str) -> bool:
    """Tell whether a text holds a line break or control character, which no mail header may."""
    return not text.isprintable() and _CONTROL.search(text) is not None


def parse_address(text: str) -> Address:
    """Check an address; the domain is lower-cased, an international one stays readable.

    Raises AddressError. No DNS is asked: an address that was good when it was given stays.
    """
    if has_control(text):
        raise AddressError("a line break or control character in the address")
    stripped = unicodedata.normalize("NFC", text.strip())
    local, at, domain = stripped.rpartition("@")
    written = f"{local}{at}{domain.lower()}"
    if not _is_plain(written, local):
        written = _validated(written)
    return Address(written, key_of(written))


def key_of(address: str) -> str:
    """Return the key of a checked address: no case, an international domain in A-labels."""
    local, _, domain = unicodedata.normalize("NFC", address).rpartition("@")
    if not domain.isascii():
        domain = idna.encode(domain, uts46=True).decode("ascii")
    return f"{local.casefold()}@{domain.lower()}"


def rate_key(address: Address) -> str:
    """Return a key under which the spellings of one mailbox are counted as one, for limits only.

    Google ignores dots and has two names (support.google.com/mail/answer/7436150, 2026-11); what
    stands behind a plus is nearly everywhere the reader's own.
    """
    local, _, domain = address.key.rpartition("@")
    local = local.partition("+")[0] or local
    if domain in _GOOGLE:
        return f"{local.replace('.', '')}@{_GOOGLE[0]}"
    return f"{local}@{domain}"


def suppression_key(secret: bytes, key: str) -> bytes:
    """Return the keyed hash under which an address is suppressed, even after its erasure."""
    return hmac.digest(secret, b"suppression:" + key.encode(), hashlib.sha256)[:20]


def _is_plain(written: str, local: str) -> bool:
    return (
        _PLAIN.fullmatch(written) is not None
        and len(local) <= _LONGEST_LOCAL
        and len(written) <= _LONGEST
        and not written.endswith(_RESERVED)
    )


def _validated(written: str) -> str:
    try:
        checked = validate_email(written, check_deliverability=False, strict=True)
    except EmailNotValidError as error:
        raise AddressError(str(error).rstrip(".")) from error
    if len(checked.normalized.encode()) > _LONGEST:
        raise AddressError("the address is longer than 254 octets")
    return checked.normalized
