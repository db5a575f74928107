from __future__ import annotations

from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.utils import parseaddr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter_bot.delivery.composing import headers
from newsletter_bot.errors import DataError

printable = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=300)


def _parsed(block: bytes, name: str) -> str:
    message = message_from_bytes(block + b"\r\n", policy=policy.compat32)
    return str(make_header(decode_header(message[name])))


@given(printable)
def test_any_subject_is_read_back_and_every_line_is_short(text: str) -> None:
    block = headers.block([("Subject", headers.free_text(text, "Subject"))])
    assert all(len(line) <= 78 for line in block.split(b"\r\n"))
    assert block.isascii()
    assert _parsed(block, "Subject").split() == text.split()


@pytest.mark.parametrize(
    "name",
    [
        "Weekly",
        "Ada Lovelace",
        'The "Old" \\ Times',
        "週刊ニュース",
        "a, b; c@d",
        "x" * 300,
        "=?x?=",
    ],
)
def test_any_display_name_is_read_back(name: str) -> None:
    block = headers.block([("From", headers.mailbox(name, "news@example.com", "From"))])
    message = message_from_bytes(block + b"\r\n", policy=policy.compat32)
    written, address = parseaddr(message["From"].replace("\r\n", ""))
    # (Python's newer parser puts a blank between adjacent encoded-words, against RFC 2047, 6.2.)
    assert str(make_header(decode_header(written))) == name
    assert address == "news@example.com"
    assert all(len(line) <= 78 for line in block.split(b"\r\n"))


def test_a_long_token_stays_whole() -> None:
    url = "https://news.example.com/u/" + "a" * 200
    block = headers.block([("List-Unsubscribe", f"<{url}>,\r\n <mailto:unsub@example.com>")])
    assert f"<{url}>".encode() in block
    assert b"=?" not in block


@pytest.mark.parametrize("text", ["a\r\nBcc: x@example.com", "a\nb", "a\x00b", "a\rb"])
def test_a_line_break_in_a_value_is_refused(text: str) -> None:
    for write in (
        lambda: headers.free_text(text, "Subject"),
        lambda: headers.display_name(text, "From"),
        lambda: headers.mailbox("", text, "To"),
        lambda: headers.block([("To", text)]),
    ):
        with pytest.raises(DataError, match="line break or NUL"):
            write()


def test_an_international_domain_is_written_in_ascii() -> None:
    assert headers.wire_address("ada@bücher.example") == "ada@xn--bcher-kva.example"
    assert headers.wire_address("Ada@Example.com") == "Ada@Example.com"
