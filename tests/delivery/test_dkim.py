from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dkim as dkimpy
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from dkim.canonicalization import Relaxed
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter_bot.delivery.composing.composer import Composer
from newsletter_bot.delivery.composing.dkim import (
    OF_A_LIST,
    OF_A_MESSAGE,
    aligned,
    canonical,
    relaxed,
)
from newsletter_bot.delivery.composing.dkim_keys import Algorithm, Key, read_key, write_key
from newsletter_bot.delivery.model import Recipient
from newsletter_bot.errors import ConfigurationError
from newsletter_bot.rendering.model import Escape, Hole, Rendering, Static
from newsletter_bot.settings import Settings

SECRET = b"0123456789abcdef" * 4
Read = Callable[[bytes, Mapping[str, str]], Any]

anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
one_line = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=100)
HOLES = (
    Hole("name", "there", Escape.PLAIN),
    Static(" \t\t and  "),
    Hole("plan", "", Escape.PLAIN),
    Static(" \n"),
)
RENDERING = Rendering(
    issue="2026-W01",
    subjects=((Static("News for "), HOLES[0]),),
    html=(Static("<p>\tHello   " * 20), Hole("name", "there", Escape.HTML), *HOLES, Static("\n\n")),
    text=(Static("Hello\n.\n" * 20), *HOLES, Static("\n\n \n")),
    language="en",
)
CJK = Rendering(
    issue="2026-W01",
    subjects=((Static("今週の論文、"), HOLES[0]),),
    html=(Static("今週の論文" * 50), *HOLES),
    text=(Static("今週の論文" * 50), *HOLES),
    language="ja",
)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    write_key(folder / "dkim.pem", Algorithm.RSA)
    write_key(folder / "second.pem", Algorithm.ED25519)
    (folder / "short.pem").write_bytes(_short_key())
    (folder / "text.pem").write_text("no key", encoding="ascii")
    return folder


def _short_key() -> bytes:
    # No library makes one so short any more: two primes of Mersenne, 648 bits.
    one, other, public = 2**521 - 1, 2**127 - 1, 65537
    private = pow(public, -1, (one - 1) * (other - 1))
    numbers = rsa.RSAPrivateNumbers(
        one,
        other,
        private,
        rsa.rsa_crt_dmp1(private, one),
        rsa.rsa_crt_dmq1(private, other),
        rsa.rsa_crt_iqmp(one, other),
        rsa.RSAPublicNumbers(public, one * other),
    )
    key = numbers.private_key(unsafe_skip_rsa_key_validation=True)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def configured(keys: Path, sender: str = "News <news@news.example.com>", **dkim: str) -> Settings:
    table = {"domain": "news.example.com", "selector": "nb1", "key_file": "dkim.pem", **dkim}
    newsletter = {"name": "News", "url": "https://news.example.com", "from": sender}
    return Settings(folder=keys, newsletter=newsletter, dkim=table)


TWO = {"ed25519_selector": "nb1e", "ed25519_key_file": "second.pem"}


@pytest.fixture(scope="session")
def composer(keys: Path) -> Composer:
    return Composer(RENDERING, configured(keys), SECRET)


@pytest.fixture(scope="session")
def of_each_encoding(keys: Path) -> tuple[Composer, ...]:
    return tuple(Composer(one, configured(keys, **TWO), SECRET) for one in (RENDERING, CJK))


@pytest.fixture(scope="session")
def dns(keys: Path) -> dict[str, str]:
    first = read_key(keys / "dkim.pem", Algorithm.RSA).record("nb1", "news.example.com")
    second = read_key(keys / "second.pem", Algorithm.ED25519).record("nb1e", "news.example.com")
    policy = {"_dmarc.news.example.com": "v=DMARC1; p=reject"}
    return {first.name: first.value, second.name: second.value, **policy}


def recipient(number: int = 7, name: str = "Ada", **values: str) -> Recipient:
    address = values.pop("address", "ada@example.com")
    return Recipient(number, number, address, name, "weekly", {"name": name, **values})


def composed(composer: Composer, person: Recipient | None = None) -> bytes:
    return composer.compose(person or recipient(), int(time.time())).content


def holds(message: bytes, dns: Mapping[str, str], signature: int = 0) -> bool:
    """Ask dkimpy whether a signature, counted from the top, is good (it reads no Ed25519 here)."""

    def looked_up(name: bytes, timeout: int = 5) -> bytes | None:
        found = dns.get(name.decode().rstrip("."))
        return found.encode() if found else None

    try:
        good: bool = dkimpy.DKIM(message).verify(signature, dnsfunc=looked_up)
    except dkimpy.ValidationError:
        return False
    return good


def body_of(message: bytes) -> bytes:
    return message.partition(b"\r\n\r\n")[2]


def test_two_programs_that_are_not_ours_believe_a_signature(
    composer: Composer, dns: dict[str, str], read_elsewhere: Read
) -> None:
    message = composed(composer)
    assert holds(message, dns)
    read = read_elsewhere(message, dns)
    assert [(one["algorithm"], one["result"]) for one in read["signatures"]] == [
        ("rsa-sha256", "pass")
    ]
    assert read["dmarc"] == "pass"


def test_a_second_signature_with_ed25519_stands_above_the_first(
    keys: Path, dns: dict[str, str], read_elsewhere: Read
) -> None:
    message = composed(Composer(RENDERING, configured(keys, **TWO), SECRET))
    read = read_elsewhere(message, dns)
    assert [(one["selector"], one["algorithm"], one["result"]) for one in read["signatures"]] == [
        ("nb1e", "ed25519-sha256", "pass"),
        ("nb1", "rsa-sha256", "pass"),
    ]
    assert re.findall(rb"a=([a-z0-9-]+);", message) == [b"ed25519-sha256", b"rsa-sha256"]
    assert holds(message, dns, 1)


@given(name=one_line, slot=anything, plan=anything)
@settings(max_examples=60)
def test_nothing_that_a_slot_or_name_holds_breaks_a_signature(
    of_each_encoding: tuple[Composer, ...],
    dns: dict[str, str],
    read_elsewhere: Read,
    name: str,
    slot: str,
    plan: str,
) -> None:
    person = Recipient(7, 7, "ada@example.com", name, "weekly", {"name": slot, "plan": plan})
    for composer in of_each_encoding:
        message = composed(composer, person)
        assert holds(message, dns, 1)
        read = read_elsewhere(message, dns)
        assert {one["result"] for one in read["signatures"]} == {"pass"}


@given(slot=anything, plan=anything)
def test_the_relaxed_form_of_a_body_is_the_body(
    of_each_encoding: tuple[Composer, ...], slot: str, plan: str
) -> None:
    person = Recipient(7, 7, "ada@example.com", "Ada", "weekly", {"name": slot, "plan": plan})
    for composer, encoding in zip(of_each_encoding, (b"quoted-printable", b"base64"), strict=True):
        body = body_of(composed(composer, person))
        assert encoding in body
        assert Relaxed.canonicalize_body(body) == body


@pytest.mark.parametrize("name", ["Zoë", "明日香", "Ada, Countess", "a b " * 60])
@pytest.mark.parametrize("address", ["zoë@example.com", "ada@bücher.example.com", "a@example.com"])
def test_signatures_hold_for_any_script_in_names_and_addresses(
    composer: Composer, dns: dict[str, str], read_elsewhere: Read, name: str, address: str
) -> None:
    message = composed(composer, recipient(name=name, address=address))
    assert holds(message, dns)
    assert read_elsewhere(message, dns)["signatures"][0]["result"] == "pass"


@pytest.mark.parametrize(
    "header",
    [
        *("Subject", "From", "To", "Date", "Message-ID", "List-Unsubscribe"),
        *("List-Unsubscribe-Post", "Reply-To", "Content-Type", "MIME-Version"),
        *("Content-Transfer-Encoding", "CFBL-Address"),
    ],
)
def test_a_header_put_in_on_the_way_breaks_the_signature(
    composer: Composer, dns: dict[str, str], read_elsewhere: Read, header: str
) -> None:
    forged = f"{header}: something else\r\n".encode() + composed(composer)
    assert not holds(forged, dns)
    assert read_elsewhere(forged, dns)["signatures"][0]["result"] != "pass"


def test_headers_folded_anew_on_the_way_keep_the_signature(
    composer: Composer, dns: dict[str, str], read_elsewhere: Read
) -> None:
    message = composed(composer)
    head, body = message.split(b"\r\n\r\n", 1)
    folded = head.replace(b"News for ", b"News\r\n\t  for ").replace(b"Subject: ", b"SUBJECT:  ")
    folded = folded.replace(b">,\r\n <mailto", b">, <mailto")
    assert folded != head
    again = b"Received: from elsewhere\r\n" + folded + b"\r\n\r\n" + body
    assert holds(again, dns)
    assert read_elsewhere(again, dns)["signatures"][0]["result"] == "pass"


def test_a_changed_body_breaks_the_signature(composer: Composer, dns: dict[str, str]) -> None:
    message = composed(composer)
    assert not holds(message.replace(b"Hello", b"Hallo", 1), dns)


def test_the_signature_says_what_it_signs_and_never_how_much_or_how_long(
    composer: Composer,
) -> None:
    message = composed(composer)
    header = message[: message.index(b"\r\nDate: ")]
    assert all(len(line) <= 78 for line in header.split(b"\r\n"))
    tags = dict(
        part.strip().split("=", 1)
        for part in re.sub(r"\s", "", header.decode()).partition(":")[2].split(";")
    )
    assert list(tags) == ["v", "a", "c", "d", "s", "h", "t", "bh", "b"]
    assert (tags["c"], tags["d"], tags["s"]) == ("relaxed/relaxed", "news.example.com", "nb1")
    assert abs(int(tags["t"]) - time.time()) < 60
    names = tags["h"].split(":")
    assert set(names) == {*OF_A_MESSAGE, *OF_A_LIST}
    assert {"list-unsubscribe", "list-unsubscribe-post", "feedback-id"} < set(names)


def test_a_long_domain_and_selector_are_signed_for(keys: Path) -> None:
    domain = ".".join(["a" * 60] * 4)
    table = configured(keys, f"News <news@{domain}>", domain=domain, selector="s" * 63)
    message = composed(Composer(RENDERING, table, SECRET))
    record = read_key(keys / "dkim.pem", Algorithm.RSA).record("s" * 63, domain)
    assert holds(message, {record.name: record.value})
    assert all(len(line) <= 998 for line in message.split(b"\r\n"))


def test_an_international_sender_signs_in_the_letters_of_dns(
    keys: Path, read_elsewhere: Read
) -> None:
    table = configured(keys, "Bücher <news@bücher.example.com>", domain="bücher.example.com")
    message = composed(Composer(RENDERING, table, SECRET))
    domain = "xn--bcher-kva.example.com"
    record = read_key(keys / "dkim.pem", Algorithm.RSA).record("nb1", domain)
    dns = {record.name: record.value, f"_dmarc.{domain}": "v=DMARC1; p=reject"}
    assert holds(message, dns)
    read = read_elsewhere(message, dns)
    assert (read["signatures"][0]["domain"], read["dmarc"]) == (domain, "pass")


def test_threads_share_a_signer(composer: Composer, dns: dict[str, str]) -> None:
    people = [recipient(number, name=f"Reader {number}") for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        messages = list(pool.map(lambda one: composed(composer, one), people))
    assert all(holds(message, dns) for message in messages)


@pytest.mark.parametrize(
    ("dkim", "says"),
    [
        ({"key_file": "none.pem"}, "cannot be read: No such file"),
        ({"key_file": "."}, "cannot be read"),
        ({"key_file": "text.pem"}, "no private key in PEM"),
        ({"key_file": "second.pem"}, "no RSA key"),
        ({"key_file": "short.pem"}, "has 648 bits, fewer than 1024"),
        ({"ed25519_selector": "b", "ed25519_key_file": "dkim.pem"}, "no Ed25519 key"),
        ({"domain": "example.org"}, "does not vouch for news@news.example.com"),
        ({"domain": "mail.example.com"}, "does not vouch for"),
        ({"domain": "-ü-.example.com"}, "dkim.domain: .* is not a domain"),
    ],
)
def test_a_key_or_domain_of_no_use_is_explained_before_anything_is_sent(
    keys: Path, dkim: dict[str, str], says: str
) -> None:
    with pytest.raises(ConfigurationError, match=says) as raised:
        Composer(RENDERING, configured(keys, **dkim), SECRET)
    assert raised.value.next_step


def test_a_domain_vouches_for_itself_its_parent_and_its_children() -> None:
    assert aligned("news.example.com", "news.example.com")
    assert aligned("News.Example.com", "example.com")
    assert aligned("example.com", "news.example.com")
    assert not aligned("badexample.com", "example.com")
    assert not aligned("example.com", "com")
    assert not aligned("a.example.com", "b.example.com")


def test_the_relaxed_form_of_headers_is_that_of_the_standard() -> None:
    # The example of RFC 6376 section 3.4.5.
    assert relaxed(b"A: X\r\n") == b"a:X\r\n"
    assert relaxed(b"B : Y\t\r\n\tZ  \r\n") == b"b:Y Z\r\n"
    block = b"Subject: s\r\nX-Other: no\r\nTo: a,\r\n  b\r\nFrom: c\r\n"
    assert canonical(block) == b"to:a, b\r\nsubject:s\r\nfrom:c\r\n"


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "dkim.pem"
    write_key(path, Algorithm.RSA, 1024)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        write_key(path, Algorithm.ED25519)
    assert isinstance(read_key(path, Algorithm.RSA), Key)
