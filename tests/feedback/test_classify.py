from __future__ import annotations

import re
import time
from importlib import resources

import pytest

from newsletter_bot.feedback.mails import codes
from newsletter_bot.feedback.mails.classify import judge
from newsletter_bot.feedback.mails.model import Fault
from newsletter_bot.feedback.mails.rules import Stage, phrase, rules

HARD, SOFT, BLOCK, TECHNICAL = Fault.HARD, Fault.SOFT, Fault.BLOCK, Fault.TECHNICAL

# What is said, and the rule that must hear it.
SAID = [
    ("550 5.1.0 <us@x.example>: Sender address rejected: User unknown", BLOCK, "sender"),
    ("550 sender verify fail for <us@x.example>: no such user", BLOCK, "sender"),
    ("450 4.2.0 <bo@x.example>: Recipient address rejected: Greylisted", SOFT, "greylisted"),
    ("450 4.2.1 The user is receiving mail at a rate that prevents it", SOFT, "recipient-rate"),
    ("421 4.7.28 Gmail has detected an unusual rate of unsolicited mail", BLOCK, "rate"),
    ("552 too many recipients", BLOCK, "rate"),
    ("552 5.2.2 The email account is over quota and inactive", SOFT, "full"),
    ("550 Boite du destinataire pleine", SOFT, "full"),
    ("552 too much mail data", SOFT, "full"),
    ("550 5.7.1 Message Rejected Class=size limit=15728640", SOFT, "size"),
    ("550 Account temporarily disabled", SOFT, "not-now"),
    (
        "delivery temporarily suspended: host x.example said: 450 no",
        TECHNICAL,
        "delivery-suspended",
    ),
    ("550 5.7.26 This mail is unauthenticated: SPF did not pass", BLOCK, "authentication"),
    ("550 5.7.25 The IP address sending this message has no PTR record", BLOCK, "authentication"),
    ("554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org", BLOCK, "blocklist"),
    ("550 5.1.1 Blocked, see http://www.spamhaus.org/query?ip=192.0.2.1", BLOCK, "blocklist"),
    ("550 5.1.1 High probability of spam", BLOCK, "spam"),
    ("554 5.7.0 Your message was infected with a virus", BLOCK, "virus"),
    ("551 User has moved; please try <new@x.example>", HARD, "moved"),
    ("550 5.7.1 <bo@x.example>: user unknown", HARD, "unknown"),
    ("550 No such user here", HARD, "unknown"),
    ("550 RESOLVER.ADR.RecipNotFound; not found", HARD, "unknown"),
    ("550 5.4.1 Recipient address rejected: Access denied", HARD, "unknown"),
    ("550 host spam.filter.example said: 550 5.1.1 unknown user", HARD, "unknown"),
    ("550 Utilisateur inconnu !", HARD, "unknown-elsewhere"),
    ("550 宛先不明", HARD, "unknown-elsewhere"),
    ("550 5.2.1 The email account that you tried to reach is disabled", HARD, "gone"),
    ("554 5.7.1 <bo@x.example>: Relay access denied", TECHNICAL, "relay"),
    (
        "Name service error for name=x.example type=MX: Host not found, try again",
        TECHNICAL,
        "name-server",
    ),
    ("Host or domain name not found. Name service error", HARD, "no-such-domain"),
    ("Domain x.example does not accept mail (nullMX)", HARD, "no-such-domain"),
    ("please try again later", SOFT, "later"),
    ("message expired after sitting in queue for 5 days", TECHNICAL, "expired"),
    ("connect to x.example[192.0.2.1]:25: Connection timed out", TECHNICAL, "unreachable"),
    ("mail for x.example loops back to myself", TECHNICAL, "loop"),
    ('Command died with status 127: "/usr/bin/vacation"', TECHNICAL, "server"),
    ("550 something (in reply to MAIL FROM command)", BLOCK, "sender-refused"),
    ("550 refused due to recipient preferences", BLOCK, "refused-by-reader"),
    ("550 Requested action not taken: mailbox unavailable", HARD, "rejected-address"),
    ("550 message refused for policy reasons", BLOCK, "policy"),
    # how a reply is weighed
    (
        "450 4.1.1 <bo@x.example>: Recipient address rejected: unknown user",
        SOFT,
        "unknown, for now",
    ),
    ("451 mailbox unavailable", SOFT, "rejected-address, for now"),
    (
        "550 Unknown user bo@x.example (in reply to end of DATA command)",
        SOFT,
        "unknown, after DATA",
    ),
    (">>> RCPT TO:<bo@x.example> <<< 550 Unknown user >>> DATA <<< 503 no", HARD, "unknown"),
    (">>> DATA <<< 550 Unknown user", SOFT, "unknown, after DATA"),
    ("550 user unknown (in reply to MAIL FROM command)", BLOCK, "unknown, after MAIL FROM"),
    # codes, where words say nothing
    ("550 5.1.1 no", HARD, "code 5.1.1"),
    ("550 5.1.10 no", HARD, "code 5.1.10"),
    ("550 5.7.1 mailbox unavailable", BLOCK, "code 5.7.1"),
    ("552 5.2.2 no", SOFT, "code 5.2.2"),
    ("451 4.4.1 no", TECHNICAL, "code 4.4.1"),
    ("450 5.1.1 no", SOFT, "code 5.1.1"),
    ("550 5.5.0 no", SOFT, "no-rule"),
    ("", SOFT, "no-rule"),
]


@pytest.mark.parametrize(("said", "fault", "rule"), SAID)
def test_words_then_codes_say_whose_fault_it_is(said: str, fault: Fault, rule: str) -> None:
    verdict = judge(said)
    assert (verdict.fault, verdict.rule) == (fault, rule)


def test_every_rule_is_heard_in_an_example() -> None:
    names = {one.name for stage in Stage for one in rules(stage)}
    assert names - {rule for _, _, rule in SAID} == set()


def test_every_rule_says_where_its_words_are_from() -> None:
    assert [one.name for stage in Stage for one in rules(stage) if not one.note] == []


@pytest.mark.parametrize("code", [f"5.7.{detail}" for detail in range(1000)])
def test_a_code_about_us_is_never_hard(code: str) -> None:
    allowed = code in {"5.7.13", "5.7.17", "5.7.18"}  # account disabled; owner has changed
    assert (codes.fault_of(code) is Fault.HARD) == allowed


def test_a_reply_for_now_is_never_hard() -> None:
    for subject in range(10):
        for detail in range(50):
            assert codes.fault_of(f"4.{subject}.{detail}") is not Fault.HARD


def test_the_text_around_decides_only_what_the_diagnostic_leaves_open() -> None:
    assert judge("554 5.0.0 Service odd", "5.0.0", ["550 user unknown"]).fault is Fault.HARD
    assert judge("552 5.2.2 full", "5.2.2", ["550 user unknown"]).fault is Fault.SOFT


def test_an_address_or_a_host_is_no_word() -> None:
    assert judge("550 <user-unknown@full-mailbox.example> no").rule == "no-rule"
    assert judge("550 mx.spam.blocked.example says no").rule == "no-rule"


HOSTILE = [
    "user ", "mailbox address ", "a@", "a.", "recipient user account ", "550 ", "5.1.1 ",
    "message ", "domain host ", "exceed", "not ", "sender sender ", ">>> data ",
    "dns ", "<", "\t", "spam",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_no_text_takes_a_rule_long(piece: str) -> None:
    text = (piece * 3_000)[:3_000]
    tables = [one.words for stage in Stage for one in rules(stage)]
    tables += [phrase(name) for name in ("subject", "sentence", "delay", "over", "daemon")]
    for words in tables:
        before = time.perf_counter()
        words.search(text)
        assert time.perf_counter() - before < 0.25


def test_every_repetition_in_the_tables_is_bounded() -> None:
    for name in ("rules.toml", "phrases.toml"):
        text = (resources.files("newsletter_bot.feedback.mails") / name).read_text(encoding="utf-8")
        for line in text.splitlines():
            if line.startswith("  "):
                bare = re.sub(r"\[[^\]]*\]", "c", re.sub(r"\\.", "e", line))
                assert not re.search(r"[*+]", bare), line
