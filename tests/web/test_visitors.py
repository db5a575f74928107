from __future__ import annotations

import pytest
from starlette.requests import Request

from newsletter_bot.web.serving.visitors import Visitor, page_of


def visitor(client: tuple[str, int] | None, **headers: str) -> Visitor:
    pairs = [
        (name.replace("_", "-").encode(), value.encode("latin-1"))
        for name, value in headers.items()
    ]
    return Visitor.of(Request({"type": "http", "client": client, "headers": pairs}), "de")


@pytest.mark.parametrize(
    ("host", "prefix"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("unix", ""),
        ("203.0.113.77, 10.0.0.1", ""),
    ],
)
def test_a_visitors_network_is_all_that_is_known_of_their_address(host: str, prefix: str) -> None:
    assert visitor((host, 4711)).prefix == prefix


def test_a_server_that_knows_no_client_has_no_network() -> None:
    assert visitor(None).prefix == ""


def test_the_language_is_the_newsletters_where_a_visitor_reads_none_of_ours() -> None:
    assert visitor(None).language == "de"
    assert visitor(None, accept_language="tlh").language == "de"
    assert visitor(None, accept_language="tlh, ja-JP;q=0.5").language == "ja"


@pytest.mark.parametrize(
    ("referer", "page"),
    [
        ("https://blog.example/a/b?token=1#x", "https://blog.example/a/b"),
        ("https://user:password@blog.example:8443/", "https://blog.example:8443/"),
        ("http://[2001:db8::1]/x", "http://[2001:db8::1]/x"),
        ("https://blog.example/" + "x" * 500, "https://blog.example/" + "x" * 279),
        ("javascript:alert(1)", ""),
        ("android-app://com.example", ""),
        ("https://", ""),
        ("https://blog.example:port/", ""),
        ("https://[bad/", ""),
        ("/subscribe", ""),
        ("", ""),
        ("https://a\x01b.example/", ""),
    ],
)
def test_a_page_is_known_by_its_address_without_secrets(referer: str, page: str) -> None:
    assert page_of(referer) == page
