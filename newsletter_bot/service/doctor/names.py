"""Questions to DNS, each with an end in time."""

from __future__ import annotations

from typing import Any, Protocol

import dns.exception
import dns.resolver

from newsletter_bot.errors import UsageError

_PATIENCE = 5.0  # seconds for one question
_PORT = 53


class NamesError(Exception):
    """DNS did not answer, so that nothing is known."""


class Names(Protocol):
    """What may be asked of DNS; each raises NamesError when there is no answer."""

    def texts(self, name: str) -> list[str]:
        """Return the TXT records of a name, each as one text."""
        ...

    def servers(self, name: str) -> list[str]:
        """Return the mail servers of a domain, the preferred first; "" is a null MX (RFC 7505)."""
        ...

    def has_address(self, name: str) -> bool:
        """Tell whether a name has an IP address."""
        ...


class Resolver:
    """Asks the name servers of this machine, or another."""

    def __init__(self, server: str = "") -> None:
        """`server` is an address, with `:PORT` behind it if it is not 53; raises UsageError."""
        self._server = server
        self._resolver: dns.resolver.Resolver | None = None
        if server:
            self._resolver = _at(server)

    def texts(self, name: str) -> list[str]:
        """See Names."""
        found = self._ask(name, "TXT")
        return [b"".join(one.strings).decode("utf-8", errors="replace") for one in found]

    def servers(self, name: str) -> list[str]:
        """See Names."""
        found = sorted(self._ask(name, "MX"), key=lambda one: int(one.preference))
        return [str(one.exchange).rstrip(".") for one in found]

    def has_address(self, name: str) -> bool:
        """See Names."""
        return any(self._ask(name, kind) for kind in ("A", "AAAA"))

    def _ask(self, name: str, kind: str) -> list[Any]:
        try:
            if self._resolver is None:
                self._resolver = dns.resolver.Resolver()
            return list(self._resolver.resolve(f"{name}.", kind, lifetime=_PATIENCE, search=False))
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (dns.exception.DNSException, OSError) as error:
            said = " ".join(str(error).split())[:200] or type(error).__name__
            raise NamesError(said) from error


def _at(server: str) -> dns.resolver.Resolver:
    host, colon, port = server.rpartition(":")
    if not colon or (":" in host.strip("[]") and not server.startswith("[")):
        host, port = server, str(_PORT)
    resolver = dns.resolver.Resolver(configure=False)
    try:
        resolver.nameservers = [host.strip("[]")]
        resolver.port = int(port)
    except ValueError as error:
        raise UsageError(
            f"--dns {server}: that is not the address of a name server.",
            "Write an IP address, as in --dns 9.9.9.9 or --dns 127.0.0.1:5353.",
        ) from error
    return resolver
