from __future__ import annotations

from newsletter_bot.delivery import headers
from newsletter_bot.delivery.calls.structured import structured
from newsletter_bot.delivery.model import Message


def test_a_name_never_becomes_an_address_more() -> None:
    for name in ("Dö, x <other@evil.example>,", 'Jane "J" Doe, MD', "\\", "=?utf-8?q?a=0D=0Ab?="):
        to = headers.mailbox(name, "pat@reader.example", "To")
        head = headers.block([("From", '"Weekly, Daily" <news@x.example>'), ("To", to)])
        found = structured(Message(1, "bounce@x.example", "pat@reader.example", head + b"\r\nHi"))
        quoted, _, address = found.to.rpartition(" ")
        inside = quoted.removeprefix('"').removesuffix('"')
        assert address == "<pat@reader.example>"
        assert inside.replace('\\"', '"').replace("\\\\", "\\") == name
        assert '"' not in inside.replace("\\\\", "").replace('\\"', "")
        assert found.sender == '"Weekly, Daily" <news@x.example>'


def test_a_bare_address_stays_bare() -> None:
    head = headers.block([("From", "news@x.example"), ("To", "pat@reader.example")])
    found = structured(Message(1, "bounce@x.example", "pat@reader.example", head + b"\r\nHi"))
    assert (found.sender, found.to, found.reply_to) == ("news@x.example", "pat@reader.example", "")
