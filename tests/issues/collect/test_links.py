from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter_bot.issues.collect.links import is_web_address, plain_title, url_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://example.com/a/", "http://www.example.com/a"),
        ("https://example.com/a#part", "https://example.com/a?utm_source=x&fbclid=y"),
        ("https://arxiv.org/abs/2102.06171", "https://arxiv.org/pdf/2102.06171v3"),
        ("https://arxiv.org/abs/2102.06171v1", "http://export.arxiv.org/abs/2102.06171"),
        ("https://EXAMPLE.com/A", "https://example.com:443/A"),
    ],
)
def test_addresses_of_one_page_are_one(one: str, other: str) -> None:
    assert url_key(one) == url_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://example.com/a", "https://example.com/A"),
        ("https://example.com/?id=1", "https://example.com/?id=2"),
        ("https://arxiv.org/abs/2102.06171", "https://arxiv.org/abs/2102.06172"),
        ("https://example.com:8080/", "https://example.com/"),
    ],
)
def test_addresses_of_two_pages_are_two(one: str, other: str) -> None:
    assert url_key(one) != url_key(other)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "https://",
        "https://a b/",
        "https://x/)](evil)",
        "ftp://x/",
        "http://[",
        "/x",
    ],
)
def test_what_could_break_a_line_is_no_web_address(url: str) -> None:
    assert not is_web_address(url)


@given(st.text())
def test_a_title_is_one_line_without_markup(title: str) -> None:
    plain = plain_title(title)
    assert plain.strip() == plain
    assert plain
    assert len(plain.splitlines()) == 1
    bare = plain.replace("\\\\", "")
    for mark in "`*_{}[]<>#~|!":
        assert bare.count(mark) == bare.count("\\" + mark)
