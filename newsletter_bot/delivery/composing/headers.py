"""The header block, written by us: structured headers stay ASCII and fold only at white space.

Python's `EmailMessage` turns an unbroken token of about 78 characters, such as a one-click address
in List-Unsubscribe, into encoded-words, which hides the unsubscribe button (cpython#85725, seen on
3.11 to 3.13 in 2026-11). Only free text goes through `email.header.Header` here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.header import Header
from textwrap import wrap

import idna

from newsletter_bot.errors import DataError

_LINE = 78  # characters, recommended by RFC 5322 section 2.1.1
_ENCODED_LINE = 75  # RFC 2047 section 2: an encoded-word's limit
_LONGEST_WORD = 60  # a longer one cannot be folded and may pass the line limit of 998
_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")  # no quotes needed (RFC 5322 section 3.2.3)


def block(headers: Iterable[tuple[str, str]]) -> bytes:
    """Write headers as bytes, each line ended with CRLF; values are complete already.

    Raises DataError for a value that would end its header early (CR, LF, NUL).
    """
    return b"".join([line(name, value) for name, value in headers])


def line(name: str, value: str) -> bytes:
    """Write one header as bytes, like `block`."""
    # A value folded by `free_text` holds CRLF + blank; any other line break is an attack.
    safe(value.replace("\r\n ", " ") if "\n" in value else value, name)
    return f"{name}: {value}\r\n".encode()


def free_text(text: str, header: str) -> str:
    """Write a Subject or the like: ASCII as it is, folded; anything else as encoded-words."""
    safe(text, header)
    if _needs_encoding(text):
        return _encoded_words(text, header)
    if len(header) + 2 + len(text) <= _LINE:
        return text
    return _folded(text, header)


def mailbox(name: str, address: str, header: str) -> str:
    """Write `"Name" <address>`, with the name quoted or encoded as it needs."""
    safe(address, header)
    if not name:
        return address
    words = display_name(name, header)
    room = _LINE - len(words.rpartition("\n")[2]) - len(f"{header}: ")
    return f"{words} <{address}>" if len(address) + 3 <= room else f"{words}\r\n <{address}>"


def display_name(name: str, header: str) -> str:
    """Write the words before an address or a List-Id (RFC 5322 section 3.4, RFC 2047)."""
    safe(name, header)
    if _needs_encoding(name) or len(name) > _LONGEST_WORD:
        return _encoded_words(name, header)
    if _ATOM.fullmatch(name) and name == name.strip():
        return name
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'


def safe(value: str, header: str) -> str:
    """Return the value, or raise DataError when it could begin a header of its own."""
    if "\n" in value or "\r" in value or "\x00" in value:
        raise DataError(
            f"A line break or NUL is not allowed in {header}: {value[:60]!r}.",
            "Remove it and run the command again.",
        )
    return value


def wire_address(address: str) -> str:
    """Write an address for envelope and headers: an IDN domain in A-labels (RFC 5891).

    A local part in another script stays as it is and needs SMTPUTF8 (RFC 6531). Raises DataError.
    """
    if address.isascii():
        return address
    local, _, domain = address.rpartition("@")
    return address if domain.isascii() else f"{local}@{a_labels(domain)}"


def a_labels(domain: str) -> str:
    """Write a domain as DNS knows it; raises DataError when it cannot be one."""
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise DataError(f"{domain!r} is not a domain: {error}.", "Correct the address.") from error


def _needs_encoding(text: str) -> bool:
    if not text.isascii() or not text.isprintable() or "=?" in text or text != text.strip():
        return True
    if "  " in text:  # folded at a run of blanks it could hold a line of blanks alone
        return True
    return any(len(word) > _LONGEST_WORD for word in text.split(" "))


def _folded(text: str, header: str) -> str:
    # A word stays whole, and the first one stays behind the header's name.
    lines = wrap(
        text,
        _LINE - 1,
        initial_indent=" " * len(f"{header}: "),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\r\n ".join(lines).lstrip(" ")


def _encoded_words(text: str, header: str) -> str:
    written = Header(text, "utf-8", maxlinelen=_ENCODED_LINE, header_name=header)
    return written.encode(linesep="\r\n")
