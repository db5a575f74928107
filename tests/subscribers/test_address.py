from __future__ import annotations

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given
from hypothesis import strategies as st

from newsletter_bot.subscribers.address import (
    AddressError,
    has_control,
    parse_address,
    suppression_key,
)


@pytest.mark.parametrize(
    ("written", "text", "key"),
    [
        ("ada@example.com", "ada@example.com", "ada@example.com"),
        (" Ada.L+news@Example.COM ", "Ada.L+news@example.com", "ada.l+news@example.com"),
        ("ünï@example.com", "ünï@example.com", "ünï@example.com"),
        ("bo@Bücher.example.com", "bo@bücher.example.com", "bo@xn--bcher-kva.example.com"),
        ("bo@xn--bcher-kva.example", "bo@bücher.example", "bo@xn--bcher-kva.example"),
        ("o'brien@example.com", "o'brien@example.com", "o'brien@example.com"),
    ],
)
def test_an_address_keeps_its_form_and_has_one_key(written: str, text: str, key: str) -> None:
    found = parse_address(written)
    assert (found.text, found.key) == (text, key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nobody",
        "@example.com",
        "a@",
        "a b@example.com",
        "a@b@example.com",
        "a@example.com\r\nBcc: x@example.com",
        "a@exam\x00ple.com",
        "a..b@example.com",
        "a@-example.com",
        "a@example",
        "a@ab--cd.example.com",
        "a@home.arpa",
        "a@example.com\u2028",
        "a\x85b@example.com",
        "x" * 65 + "@example.com",
        "a@" + "b" * 64 + ".com",
        "a@" + "bcd." * 70 + "com",
        '"a b"@example.com',
        "a@[127.0.0.1]",
    ],
)
def test_what_cannot_be_mailed_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_address(text)
    assert str(caught.value)


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_has_a_reason(text: str) -> None:
    try:
        found = parse_address(text)
    except AddressError as error:
        reason = str(error)
        assert reason
    else:
        assert parse_address(found.text) == found


@given(st.from_regex(r"[a-z.+_-]{1,4}@([a-z0-9-]{1,6}\.){1,2}(com|test|local)", fullmatch=True))
def test_the_quick_way_agrees_with_the_library(text: str) -> None:
    try:
        expected = validate_email(text, check_deliverability=False, strict=True).normalized
    except EmailNotValidError:
        expected = ""
    try:
        found = parse_address(text).text
    except AddressError:
        found = ""
    assert found == expected


def test_names_keep_joiners_and_lose_control_characters() -> None:
    assert not any(map(has_control, ("می\u200cخواهم", "Ada\u00a0L", "👩\u200d💻")))
    assert all(map(has_control, ("a\nb", "a\rb", "a\x00", "\x9b1m", "a\u2029b")))


def test_a_suppression_key_depends_on_the_secret() -> None:
    assert suppression_key(b"a", "x@example.com") != suppression_key(b"b", "x@example.com")
    assert len(suppression_key(b"a", "x@example.com")) == 20
