"""Refusals that are our own fault stop a run; those that are a reader's do not."""

from __future__ import annotations

from newsletter_bot.delivery.model import Outcome, accepted, deferred, refused
from newsletter_bot.delivery.relaying.breaker import Breaker

FINE = accepted("250 ok")
GONE = refused("550 5.1.1 no such user")
UNAUTHENTICATED = refused("550 5.7.26 unauthenticated")


def hear(outcomes: list[Outcome]) -> list[str]:
    """Return what a breaker says to these outcomes, where it says something."""
    breaker = Breaker()
    return [why for why in map(breaker.hear, outcomes) if why is not None]


def test_refusals_about_us_stop_the_run_at_the_third_and_say_why() -> None:
    assert hear([UNAUTHENTICATED] * 2) == []
    (why,) = hear([UNAUTHENTICATED] * 3)
    assert "3 of the first 3 messages" in why
    assert "550 5.7.26 unauthenticated" in why


def test_it_says_so_once_however_many_are_still_in_flight() -> None:
    assert len(hear([UNAUTHENTICATED] * 200)) == 1


def test_a_share_of_five_per_cent_is_allowed() -> None:
    rare = ([FINE] * 19 + [UNAUTHENTICATED]) * 10
    assert hear(rare) == []
    assert len(hear([FINE] * 19 + [UNAUTHENTICATED] * 2 + rare)) == 1


def test_only_the_first_messages_are_watched() -> None:
    assert hear([FINE] * 200 + [UNAUTHENTICATED] * 100) == []


def test_readers_who_are_gone_and_servers_that_put_us_off_stop_nothing() -> None:
    later = deferred("451 4.7.1 try again later")
    assert hear([GONE] * 100 + [later] * 100) == []


def test_three_refusals_of_the_content_in_the_same_words_stop_the_run() -> None:
    people = ["ann", "bo", "cy"]
    too_big = [refused(f"552 5.3.4 <{one}@example.org>: message too big") for one in people]
    (why,) = hear([FINE] * 100 + too_big)
    assert "<cy@example.org>: message too big" in why


def test_refusals_of_the_content_in_different_words_stop_nothing() -> None:
    words = ["too big", "no attachments", "bad header", "too many images"]
    assert hear([refused(f"554 5.6.0 {one}") for one in words]) == []
