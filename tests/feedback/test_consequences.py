"""What follows from an event: a table."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter_bot.delivery.provider_events import EventKind
from newsletter_bot.feedback.events.consequences import (
    Act,
    Known,
    Past,
    Policy,
    consequence,
    soft_run,
)
from newsletter_bot.feedback.events.happened import Proof, Told
from newsletter_bot.feedback.mails.model import Fault
from newsletter_bot.subscribers.tokens import UnsubscribeClaim

DAY = 86_400
NOW = 100 * DAY
POLICY = Policy()
SENT = Known(mailed_at=NOW - DAY)
HARD = Told(
    "sendgrid",
    "key",
    EventKind.BOUNCED,
    NOW,
    1,
    NOW,
    Proof.TOKEN,
    delivery_id=1,
    fault=Fault.HARD,
    status="5.1.1",
)
SOFT = replace(HARD, fault=Fault.SOFT)
BLOCK = replace(HARD, fault=Fault.BLOCK, status="5.7.26")
COMPLAINT = replace(HARD, kind=EventKind.COMPLAINED, fault=None)
LEFT = replace(COMPLAINT, kind=EventKind.UNSUBSCRIBED)
REJECTED = replace(COMPLAINT, kind=EventKind.REJECTED)


def act(told: Told, known: Known | None = SENT, policy: Policy = POLICY) -> Act:
    found = consequence(told, known, policy)
    assert found.why, "every consequence has a reason"
    return found.act


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (HARD, Act.SUPPRESS),
        (SOFT, Act.SCORE),
        (BLOCK, Act.ALERT),
        (replace(BLOCK, source="relay"), Act.NONE),  # the sender tells of it
        (replace(HARD, fault=Fault.TECHNICAL), Act.NONE),
        (COMPLAINT, Act.UNSUBSCRIBE_AND_SUPPRESS),
        (replace(COMPLAINT, feedback="abuse"), Act.UNSUBSCRIBE_AND_SUPPRESS),
        (replace(COMPLAINT, feedback="opt-out"), Act.UNSUBSCRIBE),
        (replace(COMPLAINT, feedback="not-spam"), Act.NONE),
        (replace(COMPLAINT, feedback="auth-failure"), Act.ALERT),
        (replace(COMPLAINT, feedback="made-up"), Act.NONE),
        (LEFT, Act.UNSUBSCRIBE),
        (replace(REJECTED, reason="Bounced Address"), Act.SUPPRESS),
        (replace(REJECTED, reason="Spam Reporting Address"), Act.UNSUBSCRIBE_AND_SUPPRESS),
        (replace(REJECTED, reason="Unsubscribed Address"), Act.UNSUBSCRIBE),
        (replace(REJECTED, reason="Invalid"), Act.SUPPRESS),
        (replace(REJECTED, reason="Spam Content"), Act.NONE),
        # What all readers' messages meet alike, in the words of those who bounced and complained.
        (replace(REJECTED, reason="Invalid SMTPAPI header"), Act.ALERT),
        (replace(REJECTED, reason="Invalid sender address"), Act.ALERT),
        (replace(REJECTED, reason="Bounce rate too high", fault=Fault.HARD), Act.ALERT),
        (replace(REJECTED, reason="Complaint rate too high"), Act.ALERT),
        (REJECTED, Act.NONE),
        (replace(HARD, kind=EventKind.DEFERRED), Act.NONE),
        (replace(HARD, kind=EventKind.FAILED), Act.NONE),
        (replace(HARD, kind=EventKind.UNKNOWN), Act.NONE),
    ],
)
def test_what_happened_decides(told: Told, expected: Act) -> None:
    assert act(told) is expected


@pytest.mark.parametrize("told", [HARD, SOFT, BLOCK, COMPLAINT, LEFT, REJECTED])
@pytest.mark.parametrize(
    ("change", "known"),
    [
        ({"proof": Proof.FORGED}, SENT),
        ({"proof": Proof.NONE}, SENT),
        ({"proof": Proof.ADDRESS}, SENT),
        ({}, None),
        ({}, replace(SENT, erased=True)),
        ({}, replace(SENT, mailed_at=None)),
    ],
)
def test_nothing_follows_from_what_is_not_proved_or_about_nobody(
    told: Told, change: dict[str, Proof], known: Known | None
) -> None:
    assert act(replace(told, **change), known) is Act.NONE  # type: ignore[arg-type]


def test_a_mail_proves_nothing_about_an_old_message_but_a_provider_does() -> None:
    old = Known(mailed_at=NOW - 15 * DAY)
    assert act(replace(HARD, source="mail"), old) is Act.NONE
    assert act(HARD, old) is Act.SUPPRESS
    assert act(replace(COMPLAINT, source="mail"), old) is Act.UNSUBSCRIBE_AND_SUPPRESS


def test_an_unsubscribe_link_is_its_readers_word_whenever_it_was_sent() -> None:
    claim = UnsubscribeClaim(1, b"list")
    assert act(replace(LEFT, claim=claim), Known()) is Act.UNSUBSCRIBE
    assert act(replace(COMPLAINT, claim=claim), Known()) is Act.UNSUBSCRIBE


def test_an_unsubscribe_link_lets_nobody_do_more_than_unsubscribe() -> None:
    claim = UnsubscribeClaim(1, b"list")
    assert act(replace(HARD, claim=claim)) is Act.NONE
    assert act(replace(SOFT, claim=claim)) is Act.NONE
    assert act(replace(BLOCK, claim=claim)) is Act.NONE
    assert act(replace(COMPLAINT, claim=claim)) is Act.UNSUBSCRIBE


def test_whoever_has_another_address_now_is_not_suppressed_for_the_old_one() -> None:
    moved = replace(SENT, moved=True)
    assert act(HARD, moved) is Act.NONE
    assert act(replace(REJECTED, reason="bounced"), moved) is Act.NONE
    assert act(COMPLAINT, moved) is Act.UNSUBSCRIBE


def test_a_hard_bounce_may_have_to_come_twice() -> None:
    twice = Policy(twice=True)
    assert act(HARD, SENT, twice) is Act.SCORE
    assert act(HARD, replace(SENT, hard_before=True), twice) is Act.SUPPRESS
    assert act(HARD, replace(SENT, letter=True), twice) is Act.SUPPRESS


def test_soft_bounces_of_five_issues_in_a_row_are_enough() -> None:
    assert act(SOFT, replace(SENT, soft_issues=4)) is Act.SCORE
    assert act(SOFT, replace(SENT, soft_issues=5)) is Act.SUPPRESS
    assert act(SOFT, replace(SENT, letter=True, soft_issues=5)) is Act.NONE


def test_a_suppression_is_not_written_twice_except_that_a_complaint_weighs_more() -> None:
    shut = replace(SENT, suppression="hard bounce (5.1.1), 2026-W01")
    assert act(HARD, shut) is Act.NONE
    assert act(COMPLAINT, shut) is Act.UNSUBSCRIBE_AND_SUPPRESS


@given(
    st.builds(
        Told,
        source=st.sampled_from(["mail", "relay", "sendgrid"]),
        key=st.just("k"),
        kind=st.sampled_from(EventKind),
        at=st.just(NOW),
        raw_id=st.just(1),
        received_at=st.just(NOW),
        proof=st.sampled_from(Proof),
        fault=st.sampled_from([None, *Fault]),
        feedback=st.sampled_from(["", "abuse", "not-spam", "auth-failure", "x"]),
        reason=st.sampled_from(["", "bounced", "spam report", "x"]),
    ),
    st.builds(
        Known,
        erased=st.booleans(),
        mailed_at=st.sampled_from([None, NOW]),
        soft_issues=st.integers(0, 9),
    ),
)
def test_nobody_is_suppressed_for_what_is_not_theirs(told: Told, known: Known) -> None:
    found = consequence(told, known, POLICY)
    if found.act in {Act.SUPPRESS, Act.UNSUBSCRIBE_AND_SUPPRESS}:
        assert told.proof in {Proof.TOKEN, Proof.MESSAGE_ID}
        assert not known.erased
        if told.kind is EventKind.BOUNCED:
            assert told.fault in {Fault.HARD, Fault.SOFT}


# ── the score ────────────────────────────────────────────────────────────────────────────────


def past(words: str) -> list[Past]:
    """Read a history, a week each: s(oft), a(rrived), anything else."""
    return [Past(at, at * 7 * DAY, word == "s", word == "a") for at, word in enumerate(words)]


@pytest.mark.parametrize(
    ("history", "about", "expected"),
    [
        ("s", 0, 1),
        ("sssss", 4, 5),
        ("sssss", 1, 5),  # in whatever order they came
        ("ssass", 4, 2),
        ("ssass", 0, 2),
        ("s..s.s", 5, 3),  # what was not sent, or went wrong because of us, is neither
        ("ssssssssssssssssss", 17, 13),  # 90 days
        ("aaa", 1, 1),
    ],
)
def test_soft_bounces_count_until_something_arrived(
    history: str, about: int, expected: int
) -> None:
    assert soft_run(past(history), about, 90 * DAY) == expected
