"""HTTP to the outside: limits of time and size, and no way into a private network."""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpcore
import httpx

Resolve = Callable[[str, int], list[str]]
_REDIRECTS = 5
_AGENT = {"User-Agent": "newsletter-bot"}
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in its last four bytes


class OutsideError(Exception):
    """Something outside could not be fetched; says why in a few words."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer: where it came from in the end, and all of its content."""

    status: int
    url: str
    headers: Mapping[str, str]  # names in lower case
    content: bytes


class PrivateAddressError(httpcore.ConnectError):
    """The name leads into a private network; nothing was connected to."""


class Deadline:
    """When all that is under way must be over, however slowly it goes on.

    A client's own timeouts begin anew with each byte that arrives.
    """

    def __init__(self) -> None:
        self._end = float("inf")

    def begin(self, seconds: float) -> None:
        """Let what follows take so long in all."""
        self._end = time.monotonic() + seconds

    def within(self, timeout: float | None) -> float:
        """Return the timeout of a step; raises httpcore.ReadTimeout when it is too late."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("it took too long")
        return left if timeout is None else min(timeout, left)


def fetch(
    url: str,
    *,
    most: int,
    seconds: float = 20.0,
    headers: Mapping[str, str] | None = None,
    allow_private: bool = False,
) -> Fetched:
    """Get a page: at most `most` bytes, within `seconds` in all, over 5 redirects at most.

    Raises OutsideError. Content comes as it is: what arrives compressed, though we ask for plain,
    is refused, since a few kilobytes may hold gigabytes.
    """
    asked = {**_AGENT, **(headers or {}), "Accept-Encoding": "identity"}
    end = time.monotonic() + seconds
    make = guarded_client if not allow_private else _open_client
    with make(min(seconds, 10.0)) as client:
        for _ in range(_REDIRECTS + 1):
            check_url(url)
            try:
                found, onward = _get(client, url, asked, most, end)
            except (httpx.HTTPError, httpcore.ConnectError, httpx.InvalidURL) as error:
                raise OutsideError(str(error) or type(error).__name__) from error
            if onward is None:
                return found
            url = onward
    raise OutsideError(f"more than {_REDIRECTS} redirects")


def check_url(url: str) -> None:
    """Raise OutsideError for what is no plain web address."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - it is read to be checked
    except ValueError as error:
        raise OutsideError("it is no web address") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise OutsideError("it is no web address")
    if parts.username is not None or parts.password is not None:
        raise OutsideError("its address holds a user or a password")


def _get(
    client: httpx.Client, url: str, headers: Mapping[str, str], most: int, end: float
) -> tuple[Fetched, str | None]:
    """Ask once; returns the answer, and where it sends us on to."""
    with client.stream("GET", url, headers=dict(headers)) as answer:
        place = answer.headers.get("location")
        if answer.is_redirect and place:
            return Fetched(answer.status_code, url, {}, b""), urljoin(url, place)
        if answer.headers.get("content-encoding", "identity") not in {"identity", ""}:
            raise OutsideError("it came compressed, though we asked for plain")
        content = bytearray()
        for piece in answer.iter_raw():
            content += piece
            if len(content) > most:
                raise OutsideError(f"it is larger than {most // 1000} KB")
            if time.monotonic() > end:
                raise OutsideError("it took too long")
        known = {name.lower(): value for name, value in answer.headers.items()}
        return Fetched(answer.status_code, url, known, bytes(content)), None


def _open_client(timeout: float) -> httpx.Client:
    return httpx.Client(timeout=timeout, trust_env=False)


def guarded_client(timeout: float, resolve: Resolve | None = None) -> httpx.Client:
    """Return a client that connects to public addresses alone.

    A name is resolved once and the connection goes to the very address that was checked, so that a
    second, different answer of DNS cannot lead elsewhere. Proxies of the environment are not used.
    """
    return _client(timeout, _PublicNetwork(resolve or _resolved))


def timed_client(deadline: Deadline, timeout: float, *, allow_private: bool) -> httpx.Client:
    """Return a client whose every step ends at the deadline; for one thread at a time.

    It is guarded, unless private addresses are allowed. Looking a name up is the system's, and
    takes as long as that lets it.
    """
    network = httpcore.SyncBackend() if allow_private else _PublicNetwork(_resolved)
    return _client(timeout, _TimedNetwork(network, deadline))


def _client(timeout: float, network: httpcore.NetworkBackend) -> httpx.Client:
    transport = httpx.HTTPTransport(retries=0)
    # httpx has no public way to give its pool another network (0.28, 2026-11).
    transport._pool = httpcore.ConnectionPool(  # noqa: SLF001
        ssl_context=httpx.create_ssl_context(), network_backend=network
    )
    return httpx.Client(transport=transport, timeout=timeout, headers=_AGENT)


def retry_after(written: str, now: float) -> float | None:
    """Return the seconds that a Retry-After says (RFC 9110 section 10.2.3), None when none."""
    if re.fullmatch(r"\d{1,9}(\.\d+)?", written.strip()):
        return float(written)
    try:
        return max(0.0, parsedate_to_datetime(written).timestamp() - now)
    except (ValueError, OverflowError):
        return None


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


class _TimedNetwork(httpcore.NetworkBackend):
    def __init__(self, inner: httpcore.NetworkBackend, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = self._deadline.within(timeout)
        made = self._inner.connect_tcp(host, port, left, local_address, socket_options)
        return _TimedStream(made, self._deadline)


class _TimedStream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._deadline.within(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._deadline.within(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = self._deadline.within(timeout)
        made = self._inner.start_tls(ssl_context, server_hostname, left)
        return _TimedStream(made, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
