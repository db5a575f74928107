from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter_bot.subscribers.by_mail import read_mail
from newsletter_bot.subscribers.tokens import Link, TokenSigner

SIGNER = TokenSigner(b"secret" * 8)
TOKEN = SIGNER.unsubscribe_token(7, "weekly")
TO = f"unsub+{TOKEN}@news.example.com"


def mail(*fields: str, body: str = "unsubscribe\r\n") -> bytes:
    return "\r\n".join((*fields, "", body)).encode()


def claimed(content: bytes, *recipients: str) -> int | None:
    claim = read_mail(content, SIGNER, recipients)
    return None if claim is None else claim.subscriber_id


@pytest.mark.parametrize(
    "content",
    [
        mail(f"To: {TO}", "Subject: unsubscribe"),
        mail(f"To: <{TO}>", "Auto-Submitted: no"),
        mail(f'To: "News, weekly" <{TO.upper().replace("UNSUB", "unsub")}>'),
        mail(f"TO:\r\n <{TO}>"),
        mail("To: a@example.com,\r\n\t" + TO),
        mail(f"Delivered-To: {TO}", "To: undisclosed-recipients:;"),
        mail(f"X-Original-To: {TO}", "To: list@example.com"),
        mail(f"To: {TO}", "Auto-Submitted: auto-generated"),  # Gmail writes for its reader
        mail(f"To: {TO}").replace(b"\r\n", b"\n"),
        b"From ada@example.com Thu Nov 26 2026\n" + mail(f"To: {TO}"),
        mail(f"To: {TO}", body="\x00" * 100),
        b"To: " + TO.encode() + b"\n\n" + b"\xff" * 100_000,
        mail("X-Junk: \u00ff\ufffd", f"To: {TO}"),
    ],
)
def test_a_mail_to_the_address_of_the_header_asks_to_leave(content: bytes) -> None:
    assert claimed(content) == 7


def test_the_envelope_may_say_it_where_no_header_does() -> None:
    content = mail("To: undisclosed-recipients:;")
    assert claimed(content) is None
    assert claimed(content, "", TO) == 7


@pytest.mark.parametrize(
    "content",
    [
        b"",
        mail("To: unsub@news.example.com", f"Subject: {TOKEN}"),
        mail("To: news@example.com", body=f"To: {TO}"),  # what is quoted asks for nothing
        mail("To: a@example.com", "", f"To: {TO}"),
        mail(f"Subject: {TO}"),
        mail(f"To: unsub+{TOKEN[:-1]}{'1' if TOKEN[-1] == '0' else '0'}@news.example.com"),
        mail(f"To: unsub+{TOKEN[:-2]}@news.example.com"),
        mail(f"To: unsub+{TOKEN}00@news.example.com"),
        mail(f"To: xunsub+{TOKEN}@news.example.com"),
        mail(f"To: unsub+{SIGNER.bounce_token(7)}@news.example.com"),
        mail(f"To: unsub+{SIGNER.link_token(Link.PREFERENCES, 7)}@news.example.com"),
        mail("To: unsub+@news.example.com"),
    ],
)
def test_a_mail_without_a_token_of_ours_in_its_recipients_asks_for_nothing(content: bytes) -> None:
    assert claimed(content) is None


@pytest.mark.parametrize(
    "field",
    [
        "Auto-Submitted: auto-replied",
        "Auto-Submitted: Auto-Replied (vacation)",
        "Auto-Submitted: auto-notified; owner-email=x",
        "Return-Path: <>",
        'Content-Type: multipart/report; report-type="delivery-status"; boundary=x',
        "Content-Type:\r\n multipart/Report; report-type=delivery-status",
        "Precedence: auto_reply",
        "X-Autoreply: yes",
        "X-Failed-Recipients: a@example.com",
    ],
)
def test_an_automatic_answer_and_a_bounce_end_nothing(field: str) -> None:
    assert claimed(mail(field, f"To: {TO}")) is None
    assert claimed(mail(f"To: {TO}", field)) is None


def test_a_header_without_end_and_a_mail_of_many_parts_cost_nothing() -> None:
    assert claimed(mail(*[f"X-{n}: {'x' * 900}" for n in range(5000)], f"To: {TO}")) is None
    nested = mail(f"To: {TO}", "Content-Type: multipart/mixed; boundary=b", body="--b\r\n" * 90_000)
    assert claimed(nested) == 7
    assert claimed(b"To: " + b"unsub+" * 40_000 + b"\n\n") is None
    assert claimed(b"a" * 10_000_000) is None


@given(st.binary(max_size=2000), st.lists(st.text(max_size=50), max_size=3))
def test_no_bytes_do_harm(content: bytes, recipients: list[str]) -> None:
    assert read_mail(content, SIGNER, recipients) is None


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_whatever_stands_around_it_only_the_person_of_the_token_is_claimed(
    before: bytes, after: bytes
) -> None:
    claim = read_mail(before + b"\nTo: " + TO.encode() + b"\n" + after, SIGNER)
    assert claim is None or (claim.subscriber_id, claim.matches("weekly")) == (7, True)
