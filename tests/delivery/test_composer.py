from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from email import message_from_bytes, message_from_string, policy
from email.header import decode_header, make_header
from email.utils import parseaddr, parsedate_to_datetime
from pathlib import Path
from typing import Any

import idna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter_bot.delivery.composing.composer import Composer, as_proof
from newsletter_bot.delivery.model import Recipient
from newsletter_bot.errors import ConfigurationError, DataError
from newsletter_bot.rendering.model import Escape, Hole, Only, Rendering, Static
from newsletter_bot.settings import Settings
from newsletter_bot.subscribers.tokens import Link, TokenSigner

SECRET = b"0123456789abcdef" * 4
WHEN = 1_800_000_000
Read = Callable[[bytes, Mapping[str, str]], Any]


def settings(**newsletter: str) -> Settings:
    table = {
        "name": "Weekly ML News",
        "url": "https://news.example.com",
        "from": "Weekly ML News <news@news.example.com>",
        "reply_to": "editor@example.com",
        "postal_address": "here",
        **newsletter,
    }
    return Settings(folder=Path(), newsletter=table)


def rendering(words: str = "Hello ") -> Rendering:
    name = Hole("name", "there", Escape.PLAIN)
    leave = Hole("unsubscribe_url", "", Escape.LINK)
    return Rendering(
        issue="2026-W01",
        subjects=((Static("News for "), name),),
        html=(Static(f"<p>{words}"), Hole("name", "there", Escape.HTML), leave, Static("</p>")),
        text=(Static(words), name, Static("\n.\n.dot\nFrom here\n" + "words " * 20)),
        language="en",
    )


def recipient(number: int = 7, **values: Any) -> Recipient:
    address = values.pop("address", "ada@example.com")
    name = values.get("name", "Ada")
    return Recipient(number, number, address, name, "weekly", {"name": name, **values})


@pytest.fixture
def composer() -> Composer:
    return Composer(rendering(), settings(), SECRET)


def test_the_headers_are_the_agreed_ones_in_their_order(composer: Composer) -> None:
    message = message_from_bytes(composer.compose(recipient(), WHEN).content)
    assert message.keys() == [
        "Date",
        "From",
        "Reply-To",
        "To",
        "Subject",
        "Message-ID",
        "List-Id",
        "List-Unsubscribe",
        "List-Unsubscribe-Post",
        "List-Help",
        "List-Subscribe",
        "List-Archive",
        "Archived-At",
        "Feedback-ID",
        "X-Auto-Response-Suppress",
        "Precedence",
        "X-Newsletter-Bot-Ref",
        "Content-Language",
        "MIME-Version",
        "Content-Type",
    ]
    assert message["From"] == "Weekly ML News <news@news.example.com>"
    assert message["List-Id"] == "Weekly ML News <weekly.news.example.com>"
    assert message["Archived-At"] == "<https://news.example.com/archive/2026-W01/>"
    assert int(parsedate_to_datetime(message["Date"]).timestamp()) == WHEN
    assert re.fullmatch(r"2026-W01:weekly:newsletter:[a-z2-7]{10}", message["Feedback-ID"])


def test_the_way_out_is_signed_and_never_encoded(composer: Composer) -> None:
    content = composer.compose(recipient(), WHEN).content
    found = re.search(
        rb"List-Unsubscribe: <https://news\.example\.com/u/([0-9a-f]+)>,\r\n"
        rb" <mailto:unsub\+([0-9a-f]+)@news\.example\.com\?subject=unsubscribe>\r\n",
        content,
    )
    assert found is not None
    claim = TokenSigner(SECRET).read_unsubscribe_token(found[1].decode())
    assert found[1] == found[2]
    assert claim is not None
    assert (claim.subscriber_id, claim.matches("weekly")) == (7, True)


def test_the_way_to_the_preferences_is_made_where_the_issue_has_a_place_for_it() -> None:
    place = Hole("preferences_url", "", Escape.LINK)
    found = []
    for pieces in ((place,), (Only((), (Static("x"), place)),)):
        issue = replace(rendering(), html=(Static("<p>"), *pieces))
        content = Composer(issue, settings(), SECRET).compose(recipient(41), WHEN).content
        part = list(message_from_bytes(content).walk())[-1]
        text = part.get_payload(decode=True)
        assert isinstance(text, bytes)
        link = re.search(rb"https://news\.example\.com/p/([0-9a-f]+)", text)
        assert link is not None
        found.append(TokenSigner(SECRET).read_link_token(Link.PREFERENCES, link[1].decode()))
    assert found == [41, 41]


def test_the_form_stands_in_list_subscribe(composer: Composer) -> None:
    message = message_from_bytes(composer.compose(recipient(), WHEN).content)
    assert message["List-Subscribe"] == "<https://news.example.com/subscribe>"


def test_the_return_path_names_the_delivery(composer: Composer) -> None:
    message = composer.compose(recipient(41), WHEN)
    token = message.sender.removeprefix("bounce+").removesuffix("@news.example.com")
    assert TokenSigner(SECRET).read_bounce_token(token) == 41
    assert len(message.sender.partition("@")[0]) <= 64


def test_a_retry_is_the_same_message_and_another_reader_gets_another(composer: Composer) -> None:
    first = composer.compose(recipient(1), WHEN)
    assert composer.compose(recipient(1), WHEN) == first
    ids = {
        message_from_bytes(composer.compose(recipient(n), WHEN).content)["Message-ID"]
        for n in range(5)
    }
    assert len(ids) == 5


# What the members of a domain name, a local part and a person's name may be made of.
labels = st.from_regex(r"[a-z]([a-z0-9]{0,20}[a-z])?", fullmatch=True) | st.sampled_from(
    ["bücher", "例え", "пример"]
)
domains = st.lists(labels, min_size=2, max_size=6).map(".".join)
local_parts = st.from_regex(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,30}", fullmatch=True
) | st.sampled_from(["zoë", "ада", "a.b.c", "=?utf-8?q?x?="])
names = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=120)
anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=500)


@given(name=names, slot=anything, local=local_parts, domain=domains)
def test_any_name_address_and_slot_are_read_back_as_they_went_in(
    read_elsewhere: Read, name: str, slot: str, local: str, domain: str
) -> None:
    for words in ("Hello ", "今週の論文を紹介します。" * 20):
        composer = Composer(rendering(words), settings(), SECRET)
        person = Recipient(7, 7, f"{local}@{domain}", name, "weekly", {"name": slot})
        message = composer.compose(person, WHEN)
        lines = message.content.split(b"\r\n")
        assert all(len(line) <= 998 and not line.startswith(b".") for line in lines)
        assert not any(b"\r" in line or b"\n" in line for line in lines)
        ascii_domain = idna.encode(domain).decode()
        assert message.recipient == f"{local}@{ascii_domain}"
        assert message.needs_smtputf8 == (not local.isascii())
        parsed = message_from_bytes(message.content)
        assert message.content.split(b"\r\n\r\n", 1)[0].count(b"\r\nTo: ") == 1
        shown = "".join(one if one.isprintable() else " " for one in slot)
        subject = str(make_header(decode_header(parsed["Subject"])))
        assert subject.split() == f"News for {shown or 'there'}".split()
        _name_and_address_come_back(message.content, name, message.recipient)
        text = next(part for part in parsed.walk() if part.get_content_type() == "text/plain")
        body = text.get_payload(decode=True)
        assert isinstance(body, bytes)
        assert body.decode().startswith(f"{words}{shown or 'there'}")
        read = read_elsewhere(message.content, {})
        assert read["text"].startswith(f"{words}{shown or 'there'}")
        assert html.escape(shown) in read["html"]


def _name_and_address_come_back(content: bytes, name: str, address: str) -> None:
    # Python reads headers beyond ASCII (RFC 6532) when they are given to it as text.
    head = content.partition(b"\r\n\r\n")[0].decode()
    value = message_from_string(head)["To"].replace("\n ", " ").replace("\r", "")
    written, found = parseaddr(value)
    assert found == address
    assert str(make_header(decode_header(written))) == name


@pytest.mark.parametrize("words", ["Hello ", "今週の論文を紹介します。" * 20])
@pytest.mark.parametrize("name", ["Ada", "Zoë & <b>", "明日香", 'The "Ada"', "a " * 50 + "é", "."])
def test_a_program_in_another_language_reads_the_same(
    read_elsewhere: Read, words: str, name: str
) -> None:
    person = recipient(name=name, address="zoë@bücher.example.com")
    read = read_elsewhere(
        Composer(rendering(words), settings(), SECRET).compose(person, WHEN).content, {}
    )
    assert read["subject"] == f"News for {name}"
    assert read["to"] == [{"address": "zoë@bücher.example.com", "name": name}]
    assert read["from"] == [{"address": "news@news.example.com", "name": "Weekly ML News"}]
    assert read["text"].startswith(f"{words}{name}\n.\n.dot\nFrom here\n")
    assert html.escape(name) in read["html"]


def test_a_list_may_have_its_own_sender() -> None:
    lists = [
        {"id": "weekly", "name": "Weekly"},
        {"id": "papers", "name": "Papers", "from": "Papers <papers@bücher.example.org>"},
    ]
    table = Settings(folder=Path(), newsletter=settings().newsletter, lists=lists)
    composer = Composer(rendering(), table, SECRET)
    person = Recipient(7, 7, "ada@example.com", "Ada", "papers", {})
    message = composer.compose(person, WHEN)
    parsed = message_from_bytes(message.content)
    domain = "xn--bcher-kva.example.org"
    assert parsed["From"] == f"Papers <papers@{domain}>"
    assert message.sender.startswith("bounce+")
    for value in (message.sender, parsed["Message-ID"].rstrip(">")):
        assert value.endswith(f"@{domain}")
    assert f"@{domain}?subject" in parsed["List-Unsubscribe"]
    # The identity of a list stays when its sender changes.
    assert parsed["List-Id"] == '"Weekly ML News: Papers" <papers.news.example.com>'
    other = composer.compose(recipient(), WHEN)
    assert other.sender.endswith("@news.example.com")
    assert b"From: Weekly ML News <news@news.example.com>\r\n" in other.content


def test_a_sender_beyond_ascii_needs_a_server_that_takes_it() -> None:
    composer = Composer(rendering(), settings(**{"from": "Zoë <zoë@news.example.com>"}), SECRET)
    assert composer.compose(recipient(), WHEN).needs_smtputf8


@pytest.mark.parametrize("address", ["ada@-ü-.example.com", "ada@ü..example.com"])
def test_an_address_that_dns_cannot_hold_is_refused(composer: Composer, address: str) -> None:
    with pytest.raises(DataError, match="is not a domain"):
        composer.compose(recipient(address=address), WHEN)
    with pytest.raises(ConfigurationError, match=r"newsletter\.from"):
        Composer(rendering(), settings(**{"from": f"News <{address}>"}), SECRET)


@given(st.text(max_size=400))
def test_whatever_a_field_holds_the_message_can_be_read(text: str) -> None:
    composer = Composer(rendering(), settings(), SECRET)
    shown = "".join(one if one.isprintable() else " " for one in text)
    message = composer.compose(recipient(name=shown), WHEN).content
    assert all(len(line) <= 998 for line in message.split(b"\r\n"))
    assert b"\n" not in message.replace(b"\r\n", b"")
    assert b"\r" not in message.replace(b"\r\n", b"")
    parsed = message_from_bytes(message, policy=policy.default)
    body = parsed.get_body(("plain",))
    assert body is not None
    sent = body.get_content().replace("\r\n", "\n")
    assert sent == f"Hello {shown or 'there'}\n.\n.dot\nFrom here\n{'words ' * 20}\n"


def test_parts_come_in_the_order_of_preference_and_in_seven_bits(composer: Composer) -> None:
    content = composer.compose(recipient(name="Zoë"), WHEN).content
    assert content.isascii()
    parsed = message_from_bytes(content)
    parts = [part for part in parsed.walk() if not part.is_multipart()]
    assert [part.get_content_type() for part in parts] == ["text/plain", "text/html"]
    for part in parts:
        assert part["Content-Transfer-Encoding"] in ("quoted-printable", "base64")
        assert part.get_content_charset() == "utf-8"


def test_a_mostly_cjk_issue_is_sent_as_base64() -> None:
    composer = Composer(rendering("今週の論文を紹介します。" * 40), settings(), SECRET)
    parsed = message_from_bytes(composer.compose(recipient(name="明日香"), WHEN).content)
    text = next(part for part in parsed.walk() if part.get_content_type() == "text/plain")
    assert text["Content-Transfer-Encoding"] == "base64"
    body = text.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert "明日香" in body.decode()


def test_international_addresses_are_written_as_servers_want_them(composer: Composer) -> None:
    idn = composer.compose(recipient(address="ada@bücher.example.com"), WHEN)
    assert idn.recipient == "ada@xn--bcher-kva.example.com"
    assert not idn.needs_smtputf8
    utf8 = composer.compose(recipient(address="zoë@example.com"), WHEN)
    assert utf8.needs_smtputf8
    assert b"To: Ada <zo\xc3\xab@example.com>\r\n" in utf8.content


def test_a_name_of_any_script_is_written_before_the_address(composer: Composer) -> None:
    for name in ("明日香", 'The "Ada"', "Ada, Countess", "نور"):
        content = composer.compose(recipient(name=name), WHEN).content
        parsed = message_from_bytes(content, policy=policy.default)
        assert parsed["To"].addresses[0].display_name == name
        assert parsed["To"].addresses[0].addr_spec == "ada@example.com"


def test_a_proof_says_so_in_its_subject() -> None:
    composer = Composer(as_proof(rendering()), settings(), SECRET)
    parsed = message_from_bytes(composer.compose(recipient(), WHEN).content)
    assert parsed["Subject"] == "[Proof] News for Ada"


def test_a_sender_without_an_address_is_explained() -> None:
    with pytest.raises(ConfigurationError, match="holds no address"):
        Composer(rendering(), settings(**{"from": "Just a name"}), SECRET)
