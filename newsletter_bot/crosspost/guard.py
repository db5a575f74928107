"""A client that never reaches a private network, whatever a name resolves to."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

import httpcore
import httpx

Resolve = Callable[[str, int], list[str]]
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in its last four bytes


class PrivateAddressError(httpcore.ConnectError):
    """The name leads into a private network; nothing was connected to."""


def guarded_client(timeout: float, resolve: Resolve | None = None) -> httpx.Client:
    """Return a client that connects to public addresses alone.

    A name is resolved once and the connection goes to the very address that was checked, so that a
    second, different answer of DNS cannot lead elsewhere. Proxies of the environment are not used.
    """
    transport = httpx.HTTPTransport(retries=0)
    # httpx has no public way to give its pool another network (0.28, 2026-11).
    transport._pool = httpcore.ConnectionPool(  # noqa: SLF001
        ssl_context=httpx.create_ssl_context(),
        network_backend=_PublicNetwork(resolve or _resolved),
    )
    return httpx.Client(
        transport=transport, timeout=timeout, headers={"User-Agent": "newsletter-bot"}
    )


def is_public(address: str) -> bool:
    """Tell whether an IP address, and the IPv4 address that it may carry, is a public one."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and (inner := _carried(found)):
        return _is_public(inner)
    return _is_public(found)


def _is_public(found: IPv4Address | IPv6Address) -> bool:
    return found.is_global and not (found.is_multicast or found.is_reserved)


def _carried(found: IPv6Address) -> IPv4Address | None:
    if found in _NAT64:
        return IPv4Address(int(found) & 0xFFFF_FFFF)
    return found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)


def _resolved(host: str, port: int) -> list[str]:
    try:
        known = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(f"the name {host} is not known") from error
    return [str(entry[4][0]) for entry in known]


class _PublicNetwork(httpcore.NetworkBackend):
    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = self._resolve(host, port)
        for address in addresses:
            if not is_public(address):
                raise PrivateAddressError(f"it leads to the private address {address}")
        if not addresses:
            raise httpcore.ConnectError(f"the name {host} has no address")
        return self._inner.connect_tcp(addresses[0], port, timeout, local_address, socket_options)
