from __future__ import annotations

import gzip
import time
import tracemalloc
from collections.abc import Iterator

import pytest

from newsletter_bot.outside import OutsideError, fetch, is_public
from tests.servers.page_server import Page, PageServer, page_server


@pytest.fixture
def server() -> Iterator[PageServer]:
    with page_server() as made:
        yield made


def get(url: str, most: int = 100_000, seconds: float = 20.0) -> bytes:
    return fetch(url, most=most, seconds=seconds, allow_private=True).content


def test_a_page_comes_with_its_headers(server: PageServer) -> None:
    server.pages["/"] = Page(b"hello", headers={"ETag": '"a"'})
    found = fetch(f"{server.url}/", most=100, allow_private=True)
    assert (found.status, found.content, found.headers["etag"]) == (200, b"hello", '"a"')
    assert server.asked[0][1]["Accept-Encoding"] == "identity"


def test_a_page_that_never_ends_is_given_up_and_fills_no_memory(server: PageServer) -> None:
    server.pages["/"] = Page(b"x" * 100_000, endless=True)
    tracemalloc.start()
    with pytest.raises(OutsideError, match="larger than 5000 KB"):
        get(f"{server.url}/", most=5_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30_000_000


def test_a_slow_page_is_given_up(server: PageServer) -> None:
    server.pages["/"] = Page(b"x" * 600, slow=0.05)
    begun = time.monotonic()
    with pytest.raises(OutsideError, match="too long"):
        get(f"{server.url}/", seconds=1.0)
    assert time.monotonic() - begun < 20


def test_what_comes_compressed_is_refused(server: PageServer) -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    server.pages["/"] = Page(bomb, headers={"Content-Encoding": "gzip"})
    with pytest.raises(OutsideError, match="compressed"):
        get(f"{server.url}/")


def test_redirects_are_followed_five_times(server: PageServer) -> None:
    for number in range(9):
        server.pages[f"/{number}"] = Page(status=302, headers={"Location": f"/{number + 1}"})
    server.pages["/9"] = Page(b"there")
    assert get(f"{server.url}/4") == b"there"
    with pytest.raises(OutsideError, match="more than 5 redirects"):
        get(f"{server.url}/3")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.com/",
        "gopher://example.com",
        "http://",
        "http://user:password@example.com/",
        "http://example.com:99999/",
        "//example.com",
        "http://[::1",
        "javascript:alert(1)",
    ],
)
def test_what_is_no_plain_web_address_is_refused_even_as_a_redirect(
    server: PageServer, url: str
) -> None:
    with pytest.raises(OutsideError):
        get(url)
    server.pages["/"] = Page(status=302, headers={"Location": url})
    with pytest.raises(OutsideError):
        get(f"{server.url}/")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "0.0.0.0",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "[::ffff:127.0.0.1]",
        "[fe80::1]",
        "[fc00::1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "2130706433",
        "0x7f.1",
    ],
)
def test_a_private_network_cannot_be_reached(server: PageServer, host: str) -> None:
    server.pages["/"] = Page(b"secret")
    port = server.url.rpartition(":")[2]
    with pytest.raises(OutsideError):
        fetch(f"http://{host}:{port}/", most=100, seconds=5)
    assert server.asked == []


def test_public_addresses_are_told_from_private_ones() -> None:
    assert is_public("93.184.215.14")
    assert is_public("2606:2800:21f:cb07:6820:80da:af6b:8b2c")
    assert not is_public("224.0.0.1")
    assert not is_public("nonsense")
