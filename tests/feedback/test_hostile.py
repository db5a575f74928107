from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from newsletter_bot.feedback.mails.decode import LONGEST
from newsletter_bot.feedback.mails.mime import DEEPEST, MOST_PARTS, leaves, part_of
from newsletter_bot.feedback.mails.model import Kind
from newsletter_bot.feedback.mails.read import read_mail
from tests.feedback.corpus import samples

MAILS = [one.data for one in samples() if one.data]
LONGEST_TIME = 10.0  # seconds for a megabyte, on a machine that does much else; usual is under one
DAEMON = b"From: MAILER-DAEMON@x.example\nSubject: Undelivered Mail\nReturn-Path: <>\n"
PATIENT = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

pieces = st.sampled_from(
    [
        b"\n", b"\r", b"\r\n", b"\0", b"\xff\xfe", b"=?utf-8?b?", b"?=", b"--=_b0und", b"--", b"<",
        b">", b"@", b" ", b"Content-Type: multipart/report; boundary=x\n", b"=\n", b"<style>",
        b"Content-Type: message/rfc822\n\n",
        b"Content-Transfer-Encoding: base64\n", b"Content-Type: text/plain; charset=rot13\n",
        b"Final-Recipient: rfc822;", b"Status: 5.1.1\n", b"Action: failed\n",
        b"Feedback-Type: abuse\n",
        b"550 5.1.1 user unknown", b"\x1b$B", b"&#99999999999999999999;",
    ]
)  # fmt: skip


def nested(depth: int) -> bytes:
    opened = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (one, one)
        for one in range(depth)
    )
    return DAEMON + opened + b"\n550 user unknown\n" + b"--b0--\n" * depth


def timed(data: bytes) -> Kind:
    before = time.perf_counter()
    kind = read_mail(data).kind
    assert time.perf_counter() - before < LONGEST_TIME
    return kind


@PATIENT
@given(st.binary(max_size=3_000))
def test_any_bytes_have_an_answer(data: bytes) -> None:
    assert read_mail(data).kind in Kind


@PATIENT
@given(st.lists(pieces | st.binary(max_size=30), max_size=60))
def test_any_shape_has_an_answer(parts: list[bytes]) -> None:
    assert read_mail(b"".join(parts)).kind in Kind


@PATIENT
@given(
    st.sampled_from(MAILS),
    st.lists(st.tuples(st.integers(0, 6_000), st.integers(0, 60), pieces), max_size=8),
)
def test_a_mail_that_was_torn_has_an_answer(
    mail: bytes, changes: list[tuple[int, int, bytes]]
) -> None:
    for at, cut, piece in changes:
        mail = mail[:at] + piece + mail[at + cut :]
    reading = read_mail(mail)
    assert reading.kind in Kind
    assert all(len(one.reason) <= 500 for one in reading.recipients)


@PATIENT
@given(st.sampled_from(MAILS), st.integers(0, 8_000), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_a_mail_that_was_cut_short_has_an_answer(mail: bytes, at: int, end: bytes) -> None:
    assert read_mail(mail.replace(b"\n", end)[:at]).kind in Kind


@pytest.mark.parametrize("depth", [10, 1_000, 30_000])
def test_parts_nested_deeply_are_read_quickly(depth: int) -> None:
    assert timed(nested(depth)) in Kind


def test_depth_and_number_of_parts_are_bounded() -> None:
    many = "Content-Type: multipart/mixed; boundary=a\n\n" + "--a\n\nx\n" * 5_000
    assert len(leaves(part_of(many))) <= MOST_PARTS
    deep = leaves(part_of(nested(1_000).decode()))
    assert len(deep) == 1
    assert deep[0].type == "multipart/mixed"
    assert f"boundary=b{DEEPEST + 1}" in deep[0].body


REPEATED = [
    b"a@b.example\n", b"\n", b" \n", b"a", b"<", b"<\n", b"-\n", b"@", b"550 ", b"=41", b"\r",
    b"\0", b">>> DATA\n", b"Received: from a\n", b"From: a\n", b"user mailbox ",
    b"--- Below this line is a copy of the message\n", b"bounce+0123456789abcdef0123 ",
    b"Final-Recipient: rfc822; a@b\nAction: failed\n\n", b"expanded from (",
]  # fmt: skip


@pytest.mark.parametrize("piece", REPEATED)
def test_a_megabyte_of_one_thing_is_read_quickly(piece: bytes) -> None:
    assert timed(DAEMON + b"\n" + (piece * (LONGEST // len(piece) + 1))[:LONGEST]) in Kind


HEADERS = [
    b"Subject: " + b"x" * LONGEST,
    b"Subject: " + b"=?utf-8?q?a?= " * 70_000,
    b"Subject: =?utf-8?b?" + b"A" * LONGEST,
    b"X: 1\n" * 200_000,
    b"X: 1" + b"\n y" * 300_000,
    b"Content-Type: multipart/mixed" + b"; a=b" * 200_000,
    b"X-Failed-Recipients: " + b"a@b.example, " * 70_000,
    b"Content-Type: text/html\n\n" + b"<style" * 160_000,
    b"Content-Type: text/html\n\n" + b"&#" + b"9" * LONGEST,
    b"Content-Type: text/plain; charset=idna\n\n" + b"xn--a." * 100_000,
    b"Content-Type: message/rfc822\n\n" * 30_000,
]


@pytest.mark.parametrize("head", HEADERS, ids=range(len(HEADERS)))
def test_a_head_without_measure_is_read_quickly(head: bytes) -> None:
    assert timed(DAEMON + head + b"\n\nbody\n") in Kind


def test_only_the_first_megabyte_is_read() -> None:
    mail = DAEMON + b"\n<a@b.example>: 550 user unknown\n" + b"x\n" * LONGEST
    reading = read_mail(mail)
    assert reading.cut
    assert reading.kind is Kind.BOUNCE
    assert not read_mail(mail[:LONGEST]).cut


@pytest.mark.parametrize(
    "charset",
    ["rot13", "zlib", "undefined", "punycode", "idna", "x-unknown", "utf-99", "", "é", "base64"],
)
def test_a_charset_that_is_none_does_no_harm(charset: str) -> None:
    mail = DAEMON + f"Content-Type: text/plain; charset={charset}\n\n".encode("latin-1")
    reading = read_mail(mail + b"<a@b.example>: 550 5.1.1 user unknown\n")
    assert [one.address for one in reading.recipients] == ["a@b.example"]
