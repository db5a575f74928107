from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter_bot.delivery.calls.structured import structured
from newsletter_bot.delivery.composing import headers
from newsletter_bot.delivery.composing.composer import Composer
from newsletter_bot.delivery.model import Message, Recipient
from newsletter_bot.rendering.model import Escape, Hole, Rendering, Static
from newsletter_bot.settings import Settings


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


WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=300)
NEWSLETTER = {
    "name": "Weekly, Néws",
    "url": "https://news.example.com",
    "from": "Néws & Co <news@news.example.com>",
    "reply_to": "editor@example.com",
    "postal_address": "here",
}


def composed(words: str, name: str) -> Message:
    issue = Rendering(
        issue="2026-W01",
        subjects=((Static("Grüße "), Hole("name", "there", Escape.PLAIN)),),
        html=(Static(f"<p>{words}\n{words}</p>\n"), Hole("name", "there", Escape.HTML)),
        text=(Static(f"{words}\n\n.\nFrom {words}"),),
        language="en",
    )
    composer = Composer(issue, Settings(folder=Path(), newsletter=NEWSLETTER), b"0123456789ab" * 4)
    who = Recipient(7, 7, "ada@example.com", name, "weekly", {"name": name})
    return composer.compose(who, 1_800_000_000)


@settings(max_examples=40, deadline=None)
@given(words=WORDS, name=WORDS)
def test_a_message_is_read_as_the_library_reads_it(words: str, name: str) -> None:
    message = composed(words, " ".join(name.split())[:60])
    found = structured(message)
    read = message_from_bytes(message.content, _class=EmailMessage, policy=policy.default)
    for kind, text in (("plain", found.text), ("html", found.html)):
        part = read.get_body(preferencelist=(kind,))
        assert part is not None
        assert text == part.get_content().replace("\r\n", "\n")
    assert found.subject.split() == str(read["Subject"]).split()
    assert found.reference == read["X-Newsletter-Bot-Ref"]
    kept = dict(found.headers)
    for name_ in ("List-Unsubscribe", "List-Unsubscribe-Post", "Feedback-ID", "List-Archive"):
        assert kept[name_] == " ".join(str(read[name_]).split())
    assert kept["List-Id"] == "<weekly.news.example.com>", "a name beyond ASCII is left out"
    assert not {"From", "To", "Date", "Content-Type", "DKIM-Signature"} & set(kept)


def test_a_message_of_one_part_is_its_text() -> None:
    head = headers.block([("From", "a@x.example"), ("To", "b@x.example")])
    found = structured(Message(1, "c@x.example", "b@x.example", head + b"\r\nHi\r\nyou\r\n"))
    assert (found.text, found.html) == ("Hi\nyou\n", "")
