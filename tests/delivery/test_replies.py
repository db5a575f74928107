"""What servers really say, read as a person would."""

from __future__ import annotations

import pytest

from newsletter_bot.delivery.relaying.replies import Kind, kind_of, without_identifiers

REAL = [
    # Gmail
    ("421 4.7.28 Gmail has detected an unusual rate of unsolicited mail", Kind.THROTTLE),
    ("421-4.7.0 This message is suspicious, try again later", Kind.THROTTLE),
    ("450 4.2.1 The user is receiving mail at a rate that prevents delivery", Kind.MAILBOX),
    ("550 5.1.1 The email account that you tried to reach does not exist.", Kind.ADDRESS),
    ("550 5.2.1 The email account that you tried to reach is inactive.", Kind.MAILBOX),
    ("452 4.2.2 The recipient's inbox is out of storage space.", Kind.MAILBOX),
    ("552 5.2.2 The email account is over quota and inactive.", Kind.MAILBOX),
    ("550 5.7.26 Your email has been blocked because the sender is unauth", Kind.ABOUT_US),
    ("550 5.7.25 The IP address sending this message has no PTR record", Kind.ABOUT_US),
    ("552 5.3.4 Your message exceeded Google's message size limits.", Kind.CONTENT),
    # Microsoft
    ("550 5.7.515 Access denied, sending domain example.com does not", Kind.ABOUT_US),
    ("550; 5.7.515 Access denied", Kind.ABOUT_US),
    ("451 4.7.500 Server busy. Please try again later", Kind.THROTTLE),
    ("451 4.7.650 The mail server [5.9.12.7] has been rate limited", Kind.THROTTLE),
    ("550 5.7.1 messages from [5.9.12.7] weren't sent, block list (S3150)", Kind.ABOUT_US),
    ("550 SC-001 Unfortunately, messages from 5.1.12.7 are on our block list", Kind.ABOUT_US),
    ("550 5.4.1 Recipient address rejected: Access denied.", Kind.ADDRESS),
    ("550 5.1.8 Access denied, bad outbound sender", Kind.ABOUT_US),
    # Yahoo
    ("421 4.7.0 [TSS04] Messages temporarily deferred due to complaints", Kind.THROTTLE),
    ("554 5.7.9 Message not accepted for policy reasons", Kind.ABOUT_US),
    ("553 5.7.1 [BL21] Connections will not be accepted, listed by SBL", Kind.ABOUT_US),
    ("554 delivery error: This user doesn't exist: no such user here", Kind.ADDRESS),
    # Postfix
    ("550 5.1.1 <bo@x.example>: Recipient address rejected: User unknown", Kind.ADDRESS),
    ("550 5.7.1 <bo@x.example>: user unknown in virtual table", Kind.ADDRESS),
    ("554 5.7.1 <bo@x.example>: Relay access denied", Kind.ABOUT_US),
    ("452 4.3.1 Insufficient system storage", Kind.OTHER),
    ("450 4.1.8 <us@x.example>: Sender address rejected: Domain not found", Kind.ABOUT_US),
    ("550 5.1.0 <us@x.example>: Sender address rejected: User unknown", Kind.ABOUT_US),
    ("554 5.7.1 Service unavailable; Client host [5.2.1.9] blocked", Kind.ABOUT_US),
    ("450 4.7.25 Client host rejected: cannot find your hostname", Kind.ABOUT_US),
    ("550 5.7.1 Your IP address was not found in reverse DNS", Kind.ABOUT_US),
    # Greylisting
    ("450 4.7.1 <bo@x.example>: Recipient address rejected: Greylisted", Kind.OTHER),
    ("450 4.2.0 <bo@x.example>: Recipient address rejected: Greylisted", Kind.OTHER),
    ("451 4.7.1 Gray-listed, the rate of new senders is limited", Kind.OTHER),
    # Amazon SES, and others that give no enhanced code
    ("454 Throttling failure: Maximum sending rate exceeded.", Kind.THROTTLE),
    ("454 Throttling failure: Daily message quota exceeded.", Kind.THROTTLE),
    ("421 Too many connections from your host", Kind.THROTTLE),
    ("552 Message size exceeds fixed maximum message size", Kind.CONTENT),
    ("552 5.2.3 Message too long for this mailbox", Kind.CONTENT),
    ("552 Requested mail action aborted: mailbox full", Kind.MAILBOX),
    ("550 Requested action not taken: mailbox unavailable", Kind.ADDRESS),
    ("450 Requested action not taken: mailbox unavailable", Kind.MAILBOX),
    ("550 5.6.0 Headers are malformed", Kind.CONTENT),
    ("554 Transaction failed", Kind.OTHER),
]


@pytest.mark.parametrize(("reply", "kind"), REAL)
def test_a_real_reply_is_read_for_what_it_speaks_about(reply: str, kind: Kind) -> None:
    assert kind_of(reply) is kind


def test_numbers_of_an_ip_address_are_no_enhanced_code() -> None:
    assert kind_of("554 refused, 5.1.1.7 is where you come from") is Kind.OTHER
    assert kind_of("554 refused, see 4.5.1.1") is Kind.OTHER


def test_words_inside_an_address_say_nothing_about_the_reader() -> None:
    assert kind_of("550 5.7.1 <user@example.org> has an SPF record that is none") is Kind.ABOUT_US
    assert kind_of("550 5.7.26 <account@invalid.example>: DKIM invalid") is Kind.ABOUT_US


def test_the_three_digits_are_right_where_the_enhanced_code_disagrees() -> None:
    assert kind_of("450 5.7.0 slow down") is Kind.THROTTLE
    assert kind_of("550 4.7.0 slow down") is Kind.ABOUT_US


def test_replies_that_differ_in_address_and_queue_id_count_as_one() -> None:
    one = without_identifiers("552 5.3.4 <bo@x.example>: message too big, id 3A9F")
    assert one == without_identifiers("552 5.3.4 <ann@y.example>: message too big, id 77C0")
    assert one != without_identifiers("552 5.3.4 <ann@y.example>: virus found, id 77C0")
