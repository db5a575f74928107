"""Mail addresses in text that nobody promised to be well-formed."""

from __future__ import annotations

import re

# Each run is bounded, so that looking through a megabyte takes a bounded time for each letter.
_ATOM = r"[\w.!#$%&'*+/=?^`{|}~-]"
_LOCAL = rf"(?<!{_ATOM}){_ATOM}{{1,128}}"  # 64 by RFC 5321; return paths are often longer
_DOMAIN = r"[\w*](?:[\w*.-]{0,250}[\w*])?"
ADDRESS = rf"(?:\"[^\"\n<>]{{1,64}}\"|{_LOCAL})@{_DOMAIN}"
_ADDRESS = re.compile(ADDRESS)
_HEX = re.compile(r"\\x\{([0-9A-Fa-f]{1,5})\}")
_WRAPPED = re.compile(r"^(?:smtp|mailto|rfc822|imceaex-?\S{0,40}?smtp)[:=]", re.IGNORECASE)
_EDGES = ".'`|=/{}~?!#$%&^"

# People never subscribe with these; machines write with them.
_MACHINES = re.compile(
    r"(?:mailer-?daemon|postmaster|post_master|mail-daemon|no-?reply|abuse|mdaemon)(?:[+=-].*)?@",
    re.IGNORECASE,
)


def addresses(text: str) -> list[str]:
    """Return the addresses of a text in their order, each once."""
    found: dict[str, str] = {}
    for one in _ADDRESS.finditer(text):
        clean = tidy(one[0])
        if clean:
            found.setdefault(clean.casefold(), clean)
    return list(found.values())


def tidy(address: str) -> str:
    """Take off what writers hang on an address; "" when none is left."""
    local, _, domain = _HEX.sub(_letter, address).rpartition("@")
    local = _WRAPPED.sub("", local.lstrip(_EDGES).removeprefix("3D"))
    domain = domain.strip(".-_'")
    return f"{local}@{domain}" if local and domain else ""


def _letter(found: re.Match[str]) -> str:
    number = int(found[1], 16)
    return chr(number) if number < 0xD800 else "?"  # noqa: PLR2004 - surrogates begin there


def plain_address(text: str) -> str:
    """Return what stands where an address belongs and has no domain, without what dresses it."""
    word = text.strip().strip("<>\"'").split(" ", 1)[0]
    return word if "@" in word and len(word) <= 320 else ""  # noqa: PLR2004 - RFC 3696: 64 + 1 + 255


def is_a_machines(address: str) -> bool:
    """Tell whether programs write with this address, and no reader does."""
    return _MACHINES.match(address) is not None
