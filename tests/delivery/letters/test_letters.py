"""What arrives: every kind of letter, read by programs that are not ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Any

import dkim as dkimpy
import pytest

from newsletter_bot.delivery.composing.dkim_keys import Algorithm, read_key, write_key
from newsletter_bot.rendering.theme import Theme
from newsletter_bot.shipped import template_folders
from newsletter_bot.subscribers.address import AddressError
from newsletter_bot.subscribers.consent import LetterKind
from newsletter_bot.subscribers.tokens import Link
from tests.delivery.letters.office import Office, text_of

Open = Callable[..., Office]
Read = Callable[[bytes, Mapping[str, str]], Any]

URL = "https://news.example.com"
TWO_LISTS = (
    {"id": "weekly", "name": "Weekly"},
    {"id": "papers", "name": "Papers", "from": "Papers <papers@news.example.com>"},
)
HEADERS = [
    "Date",
    "From",
    "Reply-To",
    "To",
    "Subject",
    "Message-ID",
    "Auto-Submitted",
    "X-Auto-Response-Suppress",
    "X-Newsletter-Bot-Ref",
    "Content-Language",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
]
EVIL = [
    "'; DROP TABLE subscribers; --",
    "<script>alert(1)</script>",
    "{{ 7 * 7 }}{% include 'secret.key' %}${7*7}",
    "Buy at https://spam.example.net now",
    "{newsletter}{until}",
]


def each_kind(office: Office, language: str) -> dict[str, str]:
    """Let people do all that leads to a letter; returns whom each kind should reach."""
    reader = office.joins("known@example.com", language)
    office.asks("known@example.com", language)
    office.people.confirm(office.asks("newcomer@example.com", language))
    office.asks("somebody@example.com", language)
    office.moves(reader, "next@example.com")
    mover = office.joins("left@example.com", language)
    change = office.moves(mover, "found@example.com")
    office.people.agree(change, Link.AGREE_OLD)
    office.people.agree(change, Link.AGREE_NEW)
    return {
        "confirm": "somebody@example.com",
        "known": "known@example.com",
        "welcome": "newcomer@example.com",
        "agree-old": "known@example.com",
        "agree-new": "next@example.com",
        "moved": "left@example.com",
    }


@pytest.mark.parametrize("language", ["en", "ja"])
def test_every_kind_arrives_once_and_is_read_the_same_elsewhere(
    office: Open, read_elsewhere: Read, language: str
) -> None:
    here = office()
    wanted = each_kind(here, language)
    assert set(wanted) == set(LetterKind)
    here.sends()
    words = Theme("mail", tuple(template_folders(here.settings.folder, "mail"))).words(language)
    got = {(str(one["Subject"]), str(one["Delivered-To"])): one for one in here.mail()}
    assert len(got) == len(here.mail()) == len(wanted)
    for kind, address in wanted.items():
        subject = words[f"{kind.replace('-', '_')}_subject"].format(newsletter="Weekly ML News")
        message = got[subject, address]
        assert [one for one in message if one not in {"Return-Path", "Delivered-To"}] == (
            HEADERS
            if kind != "welcome"
            else [*HEADERS[:6], "List-Unsubscribe", "List-Unsubscribe-Post", *HEADERS[6:]]
        )
        assert message["From"].addresses[0].addr_spec == "news@news.example.com"
        assert message["Reply-To"] == "editor@example.com"
        assert message["Auto-Submitted"] == "auto-generated"
        assert message["Content-Language"] == language
        assert message["Content-Transfer-Encoding"] in {"quoted-printable", "base64"}
        assert message["Date"] == formatdate(here.clock.now)
        assert "1-2-3 Example, Tokyo" in text_of(message)
    for raw in here.raw():
        assert raw.isascii()
        read = read_elsewhere(raw, {})
        (same,) = (one for one in here.mail() if one["Message-ID"] == read["message_id"])
        assert read["subject"] == str(same["Subject"])
        assert read["text"].strip() == text_of(same).strip()
        assert read["to"][0]["address"] == str(same["Delivered-To"])
        assert not read["html"]


def link_in(text: str, place: str) -> str:
    (found,) = set(re.findall(rf"^{re.escape(URL)}/{place}/([0-9a-f]+)$", text, re.MULTILINE))
    return str(found)


def test_each_link_is_good_for_its_page_and_for_the_right_person(office: Open) -> None:
    here = office()
    reader = here.joins("known@example.com")
    here.asks("known@example.com")
    signup = here.asks("somebody@example.com")
    change = here.moves(reader, "next@example.com")
    here.sends()
    read = here.tokens.read_link_token
    texts = {str(one["Subject"]): text_of(one) for one in here.mail()}
    confirm = texts["Please confirm your subscription to Weekly ML News"]
    assert read(Link.CONFIRM, link_in(confirm, "c")) == signup
    assert read(Link.PREFERENCES, link_in(texts["You already get Weekly ML News"], "p")) == reader
    old = texts["Weekly ML News: do you agree to the change of address?"]
    assert read(Link.AGREE_OLD, link_in(old, "a/old")) == change
    new = texts["Weekly ML News: do you agree to get it at this address?"]
    assert read(Link.AGREE_NEW, link_in(new, "a/new")) == change


def test_a_welcome_leads_to_preferences_and_out_with_one_click(office: Open) -> None:
    here = office()
    confirmed = here.people.confirm(here.asks("ada@example.com"))
    assert confirmed is not None
    here.sends()
    (message,) = here.mail()
    text = text_of(message)
    assert here.tokens.read_link_token(Link.PREFERENCES, link_in(text, "p")) == (
        confirmed.subscriber_id
    )
    token = link_in(text, "u")
    claim = here.tokens.read_unsubscribe_token(token)
    assert claim is not None
    assert (claim.subscriber_id, claim.matches("weekly")) == (confirmed.subscriber_id, True)
    assert message["List-Unsubscribe"] == (
        f"<{URL}/u/{token}>, <mailto:unsub+{token}@news.example.com?subject=unsubscribe>"
    )
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_a_confirm_mail_says_until_when_and_that_a_stranger_may_ignore_it(office: Open) -> None:
    here = office(signup={"expires": "2h"})
    here.clock.now = 1_790_000_000  # 2026-09-21 14:13:20 UTC
    here.asks("ada@example.com")
    here.sends()
    text = text_of(here.mail()[0])
    assert "until 2026-09-22 01:13 (Asia/Tokyo)" in text
    assert "If it wasn’t you, ignore this mail." in text


@pytest.mark.parametrize("name", EVIL)
def test_nothing_that_somebody_wrote_stands_in_any_letter(office: Open, name: str) -> None:
    here = office()
    reader = here.joins("known@example.com", "", name)
    here.asks("known@example.com", "", name)
    here.people.confirm(here.asks("newcomer@example.com", "", name))
    here.asks("buy.at.spam.example@example.com", "", name)
    here.moves(reader, "visit-spam.example@example.com")
    here.sends()
    assert len(here.mail()) == 5
    for message in here.mail():
        told = f"{message['Subject']}\n{text_of(message)}"
        assert name not in told
        assert "49" not in text_of(message).partition(URL)[0]
        assert "spam" not in told
        assert "@example.com" not in told.replace("editor@example.com", "")
        assert message["To"].addresses[0].display_name == ""


@pytest.mark.parametrize("end", ["\r\nBcc: eve@example.com", "\nSubject: x", "\x00", "\r\n\r\nHi"])
def test_an_address_cannot_begin_a_header_of_its_own(office: Open, end: str) -> None:
    here = office()
    with pytest.raises(AddressError):
        here.asks(f"ada@example.com{end}")
    if "\x00" in end:
        return  # PostgreSQL keeps no such text
    # Nor can one that came into the table some other way.
    number = here.joins("ada@example.com")
    here.owes("moved", f"ada@example.com{end}", {"subscriber": number})
    here.owes("moved", "bo@example.com", {"subscriber": number})
    here.sends()
    assert here.arrived() == {"bo@example.com": 1}
    assert here.states()[0] == ("moved", "refused")


def test_an_international_address_is_written_as_servers_want_it(office: Open) -> None:
    here = office()
    here.asks("zoë@bücher.example.com")
    here.sends()
    (raw,) = here.raw()
    assert "\r\nTo: zoë@xn--bcher-kva.example.com\r\n".encode() in raw


def test_a_language_nobody_has_written_gets_english_and_a_regional_one_its_own(
    office: Open,
) -> None:
    here = office()
    here.asks("ada@example.com", "eo")
    here.asks("bo@example.com", "de-AT")
    here.sends()
    said = {str(one["To"]): one["Content-Language"] for one in here.mail()}
    assert said == {"ada@example.com": "en", "bo@example.com": "de"}


def test_without_a_language_the_newsletters_own_is_spoken(office: Open) -> None:
    here = office(newsletter={"language": "ja"})
    here.asks("ada@example.com")
    here.sends()
    assert here.mail()[0]["Content-Language"] == "ja"


def test_words_and_templates_of_ones_own_win_one_by_one(office: Open, tmp_path: Path) -> None:
    own = tmp_path / "templates" / "mail"
    own.mkdir(parents=True)
    (own / "strings.toml").write_text(
        '[en]\nhello = "Hi from {newsletter},"\n[eo]\nconfirm_subject = "Konfirmu: {newsletter}"\n'
    )
    (own / "known.txt.j2").write_text("Only & this: {{ link }}\n")
    here = office()
    here.asks("ada@example.com", "eo")
    here.joins("known@example.com")
    here.asks("known@example.com")
    here.sends()
    confirm, known = here.mail()
    assert (confirm["Subject"], confirm["Content-Language"]) == ("Konfirmu: Weekly ML News", "eo")
    assert text_of(confirm).startswith("Hi from Weekly ML News,\n\nSomebody asked")
    assert re.fullmatch(rf"Only & this: {URL}/p/[0-9a-f]+\n", text_of(known))


def test_letters_name_the_lists_where_there_are_several_and_use_a_lists_sender(
    office: Open,
) -> None:
    here = office(lists=TWO_LISTS)
    here.asks("both@example.com", "", "", "weekly", "papers")
    here.people.confirm(here.asks("one@example.com", "", "", "papers"))
    here.sends()
    both, one = here.mail()
    assert "Asked for: Weekly, Papers\n" in text_of(both)
    assert both["From"].addresses[0].addr_spec == "news@news.example.com"
    assert "Your lists: Papers\n" in text_of(one)
    assert "Unsubscribe from Papers:\n" in text_of(one)
    assert one["From"].addresses[0].addr_spec == "papers@news.example.com"


@pytest.mark.parametrize("language", ["en", "ja"])
def test_letters_are_signed_like_issues(
    office: Open, tmp_path: Path, read_elsewhere: Read, language: str
) -> None:
    write_key(tmp_path / "dkim.pem", Algorithm.RSA)
    record = read_key(tmp_path / "dkim.pem", Algorithm.RSA).record("nb1", "news.example.com")
    here = office(dkim={"domain": "news.example.com", "selector": "nb1", "key_file": "dkim.pem"})
    each_kind(here, language)
    here.sends()
    dns = {record.name: record.value, "_dmarc.news.example.com": "v=DMARC1; p=reject"}
    records = {f"{name}.".encode(): value for name, value in dns.items()}
    for raw in here.raw():
        read = read_elsewhere(raw, dns)
        assert [one["result"] for one in read["signatures"]] == ["pass"]
        assert read["dmarc"] == "pass"
        assert dkimpy.verify(raw, dnsfunc=lambda name, timeout=5: records.get(name))


@pytest.mark.parametrize("language", ["de", "fr", "ja", "zh"])
def test_every_language_has_every_word_and_its_places(tmp_path: Path, language: str) -> None:
    theme = Theme("mail", tuple(template_folders(tmp_path, "mail")))
    (shipped,) = theme._strings()
    assert shipped[language].keys() == shipped["en"].keys()
    for name, text in shipped["en"].items():
        needed, ours = (set(re.findall(r"\{\w+\}", one)) for one in (text, shipped[language][name]))
        assert needed - ours <= {"{newsletter}"}, name
        assert ours - needed <= {"{newsletter}"}, name


def test_the_return_path_names_the_letter_and_no_delivery(office: Open) -> None:
    here = office()
    here.asks("ada@example.com")
    here.sends()
    (message,) = here.mail()
    token = str(message["X-Newsletter-Bot-Ref"])
    assert message["Return-Path"] == f"<bounce+{token}@news.example.com>"
    assert here.tokens.read_letter_token(token) == here.rows()[0]["id"]
    assert here.tokens.read_bounce_token(token) is None
