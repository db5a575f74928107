from __future__ import annotations

from newsletter_bot.delivery.composing.composer import Composer
from newsletter_bot.feedback.mails.model import Affected, Fault, Kind, Reading
from newsletter_bot.feedback.mails.read import read_mail
from newsletter_bot.subscribers.tokens import TokenSigner
from tests.delivery.test_composer import SECRET, WHEN, recipient, rendering, settings
from tests.feedback.corpus import TOKEN, UNSUBSCRIBE

SIGNER = TokenSigner(b"a secret for tests, long enough")
FIRST, SECOND = SIGNER.bounce_token(1), SIGNER.bounce_token(2)
NOTICE = "\n<ann@reader.example>: 550 5.1.1 user unknown\n\n"
DAEMON = "From: MAILER-DAEMON@x.example\nSubject: Undelivered Mail\nReturn-Path: <>\n"


def tokens(mail: str) -> tuple[str, ...]:
    return read_mail(mail.encode()).ties.bounce_tokens


def test_the_return_path_of_a_delivery_is_found_wherever_mail_systems_keep_it() -> None:
    for name in ("Delivered-To", "X-Original-To", "Envelope-To", "To", "X-Envelope-To"):
        assert tokens(f"{name}: <bounce+{FIRST}@news.example.com>\n{DAEMON}{NOTICE}") == (FIRST,)
    received = f"Received: from a by b for <bounce+{FIRST}@news.example.com>; Sun\n"
    assert tokens(received + DAEMON + NOTICE) == (FIRST,)


def test_it_is_found_whatever_forwarders_made_of_it() -> None:
    for written in (
        f"bounce+{FIRST.upper()}@NEWS.EXAMPLE.COM",
        f"BOUNCE%2B{FIRST}@news.example.com",
        f"SRS0=ab=CD=news.example.com=bounce+{FIRST}@forwarder.example",
        f"prvs=0123456789=bounce+{FIRST}@news.example.com",
    ):
        assert tokens(f"To: <{written}>\n{DAEMON}{NOTICE}") == (FIRST,)


def test_the_envelope_comes_before_the_message_returned() -> None:
    returned = (
        f"--- Below this line is a copy of the message.\n\nReturn-Path: <bounce+{SECOND}@x>\n"
    )
    mail = f"Delivered-To: bounce+{FIRST}@x\n{DAEMON}{NOTICE}{returned}"
    assert tokens(mail) == (FIRST, SECOND)


def test_a_reference_survives_where_the_return_path_is_lost() -> None:
    mail = (
        f"{DAEMON}{NOTICE}> Subject: hello\n> X-Newsletter-Bot-Ref: {FIRST}\n> Message-ID: <i@x>\n"
    )
    ties = read_mail(mail.encode()).ties
    assert ties.bounce_tokens == (FIRST,)
    assert ties.message_ids == ("i@x",)
    assert SIGNER.read_bounce_token(ties.bounce_tokens[0]) == 1


def test_a_message_of_ours_is_known_again_in_every_way_it_comes_back() -> None:
    message = Composer(rendering(), settings(), SECRET).compose(recipient(7), WHEN)
    sent = message.content.decode()
    head = sent.partition("\r\n\r\n")[0]
    part = f"{DAEMON}Content-Type: multipart/report; boundary=x\n\n--x\n{NOTICE}\n--x\n"
    for mail in (
        f"{part}Content-Type: message/rfc822\n\n{sent}\n--x--\n",
        f"{part}Content-Type: text/rfc822-headers\n\n{head}\n--x--\n",
        f"{DAEMON}{NOTICE}--- Below this line is a copy of the message.\n\n{sent}",
        f"To: {message.sender}\n{DAEMON}{NOTICE}",
    ):
        reading = read_mail(mail.encode())
        assert reading.kind is Kind.BOUNCE
        [token] = reading.ties.bounce_tokens
        assert TokenSigner(SECRET).read_bounce_token(token) == 7


def test_an_envelope_id_is_found() -> None:
    mail = (
        f"{DAEMON}Content-Type: multipart/report; boundary=x\n\n--x\n"
        "Content-Type: message/delivery-status\n\nReporting-MTA: dns; x\n"
        "Original-Envelope-Id: delivery-17\n\nFinal-Recipient: rfc822; ann@reader.example\n"
        "Action: failed\nStatus: 5.1.1\n--x--\n"
    )
    assert read_mail(mail.encode()).ties.envelope_ids == ("delivery-17",)


def test_a_token_broken_by_quoted_printable_is_put_together() -> None:
    broken = f"{FIRST[:10]}=\n{FIRST[10:]}"
    mail = f"{DAEMON}{NOTICE}--- Original message follows.\n\nReturn-Path: <bounce+{broken}@x>\n"
    assert tokens(mail) == (FIRST,)


def test_words_that_look_like_a_token_are_none() -> None:
    assert tokens(f"To: <bounce+help@x.example>\n{DAEMON}{NOTICE}") == ()
    assert tokens(f"To: <bounce+0123@x.example>\n{DAEMON}{NOTICE}") == ()


def test_a_flood_of_tokens_is_cut() -> None:
    many = " ".join(f"bounce+{SIGNER.bounce_token(one)}@x" for one in range(500))
    assert len(tokens(f"{DAEMON}{NOTICE}{many}\n")) == 20


def test_an_unsubscription_by_mail_names_its_token() -> None:
    mail = f"From: ann@reader.example\nTo: unsub+{UNSUBSCRIBE}@news.example.com\nSubject: x\n\n"
    reading = read_mail(mail.encode())
    assert reading.kind is Kind.UNSUBSCRIBE
    assert reading.ties.unsubscribe_tokens == (UNSUBSCRIBE,)


def test_a_bounce_of_an_unsubscription_is_no_unsubscription() -> None:
    mail = f"{DAEMON}To: unsub+{UNSUBSCRIBE}@news.example.com\n{NOTICE}"
    assert read_mail(mail.encode()).kind is Kind.BOUNCE


def test_a_complaint_without_its_reader_is_tied_by_what_was_returned() -> None:
    mail = (
        "Content-Type: multipart/report; report-type=feedback-report; boundary=x\n\n--x\n"
        "Content-Type: message/feedback-report\n\nFeedback-Type: abuse\n\n--x\n"
        f"Content-Type: text/rfc822-headers\n\nTo: redacted@x\nX-Newsletter-Bot-Ref: {TOKEN}\n"
        f"List-Unsubscribe: <https://news.example.com/u/{UNSUBSCRIBE}>\n--x--\n"
    )
    reading = read_mail(mail.encode())
    assert reading.kind is Kind.COMPLAINT
    assert reading.recipients == ()
    assert reading.ties.bounce_tokens == (TOKEN,)
    assert reading.ties.unsubscribe_tokens == (UNSUBSCRIBE,)


def one(address: str, fault: Fault, final: str = "") -> Affected:
    return Affected(address, "", fault, "said", "rule", "found", final)


def test_a_reading_tells_of_the_address_asked_for() -> None:
    hard, soft = one("a@x", Fault.HARD), one("b@x", Fault.SOFT, final="c@y")
    reading = Reading(Kind.BOUNCE, "", "", (hard, soft))
    assert reading.about("A@X") is hard
    assert reading.about("c@y") is soft
    assert reading.about("d@x") is soft  # the least grave of those told
    assert Reading(Kind.BOUNCE, "", "").about("a@x") is None
