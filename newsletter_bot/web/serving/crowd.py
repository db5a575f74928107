"""Everybody who is connected: how many at once, how many of one network, and for how long."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

_NETWORK = 64  # bits of an IPv6 address that one customer has (RFC 6177)
_REMEMBERED = 4096  # addresses

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one client may take of the server: sizes in bytes, times in seconds."""

    connections: int = 500
    of_one_peer: int = 100  # connections of an address, or an IPv6 /64, that is no trusted proxy
    target: int = 8192  # a request's path and query (RFC 9110 section 4.1: 8000 at least)
    head: int = 16 * 1024  # its line and headers
    fields: int = 100  # how many headers
    body: int = 64 * 1024
    long_body: int = 1024 * 1024  # of what providers post to `/hooks/`
    long_bodies: int = 64 * 1024 * 1024  # all those together that are longer than `body`
    queue: int = 8  # requests sent before the first was answered
    head_time: float = 10.0  # from the first byte, or from connecting, to the end of the headers
    body_time: float = 10.0  # from there to the end of the body
    idle_time: int = 10  # between two requests
    stall_time: float = 30.0  # for the next 48 KB of an answer, and for the rest of it at the end
    linger_time: float = 2.0  # for a client that was refused to read why


class Connected(Protocol):
    """One connection, as the crowd knows it."""

    peer: str

    @property
    def waiting_since(self) -> float | None:
        """When it began to wait for a request, or for more of it; None while it answers."""

    def look(self, now: float) -> None:
        """End what takes too long."""

    def drop(self) -> None:
        """Close at once, without an answer."""


class Crowd:
    """Counts connections and minds their times; used by the server's thread alone."""

    def __init__(self, bounds: Bounds, trusted: TrustedProxies) -> None:
        self.bounds = bounds
        self._trusted = trusted
        self._members: set[Connected] = set()
        self._peers: Counter[str] = Counter()
        self._long: dict[Connected, int] = {}  # bytes of long bodies that arrive, or are here
        self._long_bytes = 0

    def admit(self, one: Connected) -> bool:
        """Let a connection in; False when it is one too many of its network, or of all.

        When all places are taken, whoever has kept one waiting for a request the longest loses it.
        """
        network = self._network(one.peer)
        if network and self._peers[network] >= self.bounds.of_one_peer:
            return False
        if len(self._members) >= self.bounds.connections and not self._make_room():
            return False
        self._members.add(one)
        self._peers[network] += 1
        return True

    def leave(self, one: Connected) -> None:
        """Forget a connection that was closed."""
        self.shorten(one)
        if one in self._members:
            self._members.discard(one)
            network = self._network(one.peer)
            self._peers[network] -= 1
            if self._peers[network] <= 0:
                del self._peers[network]

    def admit_long(self, one: Connected, size: int) -> bool:
        """Let a long body have so many bytes; False when all of them have enough: it is memory."""
        total = self._long_bytes - self._long.get(one, 0) + size
        if total > self.bounds.long_bodies:
            return False
        self._long[one] = size
        self._long_bytes = total
        return True

    def shorten(self, one: Connected) -> None:
        """Take back what `admit_long` allowed: it was answered."""
        self._long_bytes -= self._long.pop(one, 0)

    def look(self, now: float) -> None:
        """End what takes too long; called several times a second."""
        for one in tuple(self._members):
            one.look(now)

    def drop_all(self) -> None:
        """Close whatever is still open."""
        for one in tuple(self._members):
            one.drop()

    def _make_room(self) -> bool:
        idle = ((one.waiting_since, id(one), one) for one in self._members)
        waiting = [(since, key, one) for since, key, one in idle if since is not None]
        if not waiting:
            return False
        one = min(waiting)[2]
        self.leave(one)
        one.drop()
        return True

    def _network(self, peer: str) -> str:
        """Return what counts as one visitor; empty for a trusted proxy, which brings many."""
        if self._trusted.trusts(peer):
            return ""
        address = address_of(peer)
        if isinstance(address, ipaddress.IPv6Address):
            return str(ipaddress.ip_network((address, _NETWORK), strict=False))
        return peer


class TrustedProxies:
    """Addresses and networks whose word about a visitor is believed; raises ValueError."""

    def __init__(self, written: Collection[str]) -> None:
        self._networks = [ipaddress.ip_network(one.strip(), strict=False) for one in written]
        self._known: dict[str, bool] = {}

    def trusts(self, peer: str) -> bool:
        """Tell whether an address is that of a trusted proxy."""
        if peer not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[peer] = self._contain(address_of(peer))
        return self._known[peer]

    def _contain(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


def address_of(text: str) -> Address | None:
    """Read an address; an IPv4 address within IPv6 (RFC 4291 section 2.5.5.2) is IPv4."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
