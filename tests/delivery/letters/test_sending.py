"""Each letter goes once, or not at all, whatever the weather, and never where it is not wanted."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import update

from newsletter_bot.delivery.letters.sender import Letters
from newsletter_bot.delivery.relaying.pacing import Limits, Window
from newsletter_bot.delivery.relaying.pacing_store import PacingStore
from newsletter_bot.errors import ConfigurationError, TryAgainError
from newsletter_bot.storage.tables import letters, signups
from newsletter_bot.subscribers.tokens import Link
from tests.delivery.letters.office import HOUR, SECRET, Office, text_of

Open = Callable[..., Office]
MINUTE = 60


def asked(office: Office, *names: str) -> list[int]:
    return [office.asks(f"{one}@example.com") for one in names]


# ── bad weather ──────────────────────────────────────────────────────────────────────────────


def test_a_letter_that_was_put_off_goes_later_and_is_the_same_message(office: Open) -> None:
    here = office("rcpt@ada@example.com#1=451 4.7.1 later, please", transport={"retry_after": "5m"})
    asked(here, "ada", "bo")
    here.sends()
    (row, _) = here.rows()
    assert (row["state"], row["reason"]) == ("deferred", "451 4.7.1 later, please")
    assert 4 * MINUTE <= row["not_before"] - here.clock.now <= 6 * MINUTE
    here.sends()
    assert here.arrived() == {"bo@example.com": 1}
    first = here.clock.now
    here.clock.pass_by(6 * MINUTE + 1)
    here.sends()
    assert here.arrived() == {"ada@example.com": 1, "bo@example.com": 1}
    ada, bo = here.rows()
    assert (ada["state"], ada["attempts"], bo["attempts"]) == ("accepted", 2, 1)
    assert ada["attempted_at"] == first
    dates = {str(one["To"]): one["Date"].datetime for one in here.mail()}
    assert dates["ada@example.com"] == dates["bo@example.com"]


def test_it_waits_twice_as_long_each_time_and_gives_up_before_the_link_expires(
    office: Open,
) -> None:
    here = office("rcpt=451 4.7.1 later", signup={"expires": "2h"})
    asked(here, "ada")
    begun, waits = here.clock.now, []
    while here.rows()[0]["state"] in {"planned", "deferred"}:
        here.sends()
        row = here.rows()[0]
        if row["state"] == "deferred":
            waits.append(row["not_before"] - here.clock.now)
            here.clock.now = row["not_before"]
    assert here.rows()[0]["state"] == "expired"
    assert here.rows()[0]["reason"] == "451 4.7.1 later"
    assert here.clock.now - begun < 2 * HOUR
    assert [round(one / 300) for one in waits] == pytest.approx([1, 2, 4, 8], rel=0.25)
    here.clock.pass_by(100 * HOUR)
    assert not here.letters.waiting()


def test_other_letters_are_tried_until_the_deadline(office: Open) -> None:
    here = office("rcpt=451 later", transport={"deadline": "10m"})
    here.owes("moved", "ada@example.com", {"subscriber": here.joins("next@example.com")})
    here.sends()
    here.clock.pass_by(7 * MINUTE)
    here.sends()
    assert here.states() == [("moved", "expired")]


def test_a_refusal_is_for_good_and_one_about_us_is_told(office: Open) -> None:
    here = office(
        "rcpt@ada@example.com=550 5.1.1 no such user",
        "rcpt@bo@example.com=550 5.7.1 blocked, poor reputation",
    )
    asked(here, "ada", "bo", "cy")
    post = here.sends()
    assert post.states == {"refused": 2, "accepted": 1}
    assert post.about_us == "550 5.7.1 blocked, poor reputation"
    here.clock.pass_by(HOUR)
    here.sends()
    assert [row["reason"] for row in here.rows()][:2] == [
        "550 5.1.1 no such user",
        "550 5.7.1 blocked, poor reputation",
    ]
    assert here.arrived() == {"cy@example.com": 1}


def test_a_relay_that_is_down_leaves_letters_owed(office: Open) -> None:
    here = office()
    here.server.process.kill()
    here.server.process.wait()
    asked(here, "ada")
    with pytest.raises(TryAgainError, match="Letters were not sent"):
        here.sends()
    (row,) = here.rows()
    assert (row["state"], row["attempts"]) == ("planned", 0)


def test_a_connection_lost_before_the_final_dot_is_no_delivery(office: Open) -> None:
    here = office("rcpt@ada@example.com#1=drop")
    asked(here, "ada")
    with pytest.raises(TryAgainError):
        here.sends()
    assert here.states() == [("confirm", "planned")]
    here.clock.pass_by(2 * MINUTE)
    here.sends()
    assert here.arrived() == {"ada@example.com": 1}


def test_a_letter_at_which_the_relay_hangs_up_does_not_keep_the_others_back(office: Open) -> None:
    here = office("rcpt@ada@example.com=drop")
    asked(here, "ada", "bo", "cy", "di")
    for _ in range(6):
        with contextlib.suppress(TryAgainError):
            here.sends()
        here.clock.pass_by(10 * MINUTE)
    assert here.arrived() == {f"{one}@example.com": 1 for one in ("bo", "cy", "di")}
    assert here.states()[0] == ("confirm", "planned")


def test_a_connection_lost_after_the_final_dot_is_never_tried_again(office: Open) -> None:
    here = office("after@ada@example.com=drop")
    asked(here, "ada", "bo")
    with pytest.raises(TryAgainError):
        here.sends()
    assert here.states() == [("confirm", "unknown"), ("confirm", "planned")]
    here.clock.pass_by(2 * MINUTE)
    here.sends()
    assert here.states() == [("confirm", "unknown"), ("confirm", "accepted")]
    here.clock.pass_by(100 * HOUR)
    here.sends()
    assert here.arrived() == {"ada@example.com": 1, "bo@example.com": 1}


def test_a_server_that_takes_few_messages_on_a_connection_gets_all_of_them(office: Open) -> None:
    here = office(more=["--messages-per-connection", "2"])
    names = [f"reader{number}" for number in range(7)]
    asked(here, *names)
    post = here.sends()
    assert post.states == {"accepted": 7}
    assert here.arrived() == Counter(f"{one}@example.com" for one in names)
    assert max(row["attempts"] for row in here.rows()) == 1


def test_more_than_a_session_carries_are_sent_in_order(office: Open) -> None:
    here = office()
    subscriber = here.joins("next@example.com")
    for number in range(120):
        here.owes("moved", f"reader{number}@example.com", {"subscriber": subscriber})
    assert here.sends().states == {"accepted": 120}
    assert set(here.arrived().values()) == {1}
    assert len(here.arrived()) == 120


# ── once ─────────────────────────────────────────────────────────────────────────────────────


def test_what_a_killed_process_left_behind_is_unknown_and_never_sent(office: Open) -> None:
    here = office()
    asked(here, "ada", "bo")
    first = letters.c.id == here.rows()[0]["id"]
    with here.engine.begin() as connection:
        connection.execute(update(letters).where(first).values(state="sending", attempts=1))
    here.sends()
    assert here.states() == [("confirm", "unknown"), ("confirm", "accepted")]
    assert here.arrived() == {"bo@example.com": 1}


def test_several_senders_at_once_send_each_letter_once(office: Open) -> None:
    here = office()
    subscriber = here.joins("next@example.com")
    for number in range(60):
        here.owes("moved", f"reader{number}@example.com", {"subscriber": subscriber})
    start = threading.Barrier(4)

    def work() -> None:
        post = Letters(here.engine, here.settings, SECRET, here.clock)
        start.wait()
        for _ in range(20):
            post.send(Event())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert {row["state"] for row in here.rows()} == {"accepted"}
    assert here.arrived() == Counter(f"reader{number}@example.com" for number in range(60))


def test_told_to_stop_it_begins_nothing_more_and_hears_out_what_is_in_flight(office: Open) -> None:
    here = office()
    subscriber = here.joins("next@example.com")
    for number in range(200):
        here.owes("moved", f"reader{number}@example.com", {"subscriber": subscriber})
    stop = Event()
    thread = threading.Thread(target=here.letters.send, args=(stop,))
    thread.start()
    while here.server.filed() < 5:
        time.sleep(0.01)
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
    states = Counter(row["state"] for row in here.rows())
    assert set(states) == {"accepted", "planned"}
    assert states["accepted"] == here.server.filed() < 200


# ── wanted ───────────────────────────────────────────────────────────────────────────────────


def confirmed(here: Office) -> None:
    here.people.confirm(here.asks("ada@example.com"))


def purged(here: Office) -> None:
    asked(here, "ada")
    with here.engine.begin() as connection:
        connection.execute(signups.delete())


def suppressed(here: Office) -> None:
    asked(here, "ada")
    here.people.suppress("ADA@example.com", "complaint")


def erased(here: Office) -> None:
    here.owes("moved", "old@example.com", {"subscriber": here.joins("ada@example.com")})
    here.people.forget("ada@example.com")


def expired(here: Office) -> None:
    asked(here, "ada")
    here.clock.pass_by(73 * HOUR)


def left(here: Office) -> None:
    confirmed(here)
    here.people.unsubscribe("ada@example.com")


def moved(here: Office) -> None:
    here.joins("ada@example.com")
    here.asks("ada@example.com")
    change = here.moves(1, "next@example.com")
    here.people.agree(change, Link.AGREE_OLD)
    here.people.agree(change, Link.AGREE_NEW)


def nonsense(here: Office) -> None:
    here.owes("birthday", "ada@example.com", {})
    here.owes("confirm", "ada@example.com", {"signup": "1; DROP TABLE letters"})


@pytest.mark.parametrize(
    ("happens", "wanted"),
    [
        (confirmed, [("skipped", "the sign-up is confirmed"), ("accepted", "250 2.0.0 filed")]),
        (purged, [("skipped", "the sign-up is gone")]),
        (suppressed, [("skipped", "suppressed: complaint")]),
        (expired, [("expired", "the sign-up has expired")]),
        (left, [("skipped", "the sign-up is confirmed"), ("skipped", "no longer subscribed")]),
        (
            moved,
            [
                ("skipped", "the person has another address now"),
                ("skipped", "this side agreed already"),
                ("skipped", "this side agreed already"),
                ("accepted", "250 2.0.0 filed"),
            ],
        ),
        (
            nonsense,
            [
                ("skipped", "this version knows no letters of the kind birthday"),
                ("skipped", "the sign-up is gone"),
            ],
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_letter_that_nobody_needs_any_more_is_skipped_and_says_why(
    office: Open, happens: Callable[[Office], None], wanted: list[tuple[str, str]]
) -> None:
    here = office()
    happens(here)
    here.sends()
    assert [(row["state"], row["reason"]) for row in here.rows()] == wanted


def test_somebody_erased_gets_no_letter_at_all(office: Open) -> None:
    here = office()
    erased(here)
    here.sends()
    assert here.arrived() == {}
    assert all(row["reason"] == "the person was erased" for row in here.rows())


def test_it_is_asked_again_in_the_moment_that_lets_the_letter_go(
    office: Open, tmp_path: Path
) -> None:
    here = office()
    asked(here, "ada")
    (letter,) = here.letters._store.due(1)
    assert here.letters._store.look(letter) is not None
    here.people.suppress("ada@example.com", "complaint")  # between look and begin
    found = here.letters._store.begin(letter)
    assert found is not None
    assert found.reason == "suppressed: complaint"
    assert here.states() == [("confirm", "planned")]


def test_no_welcome_goes_to_newcomers_who_get_a_message_of_the_newsletters_own(
    office: Open,
) -> None:
    here = office(lists=({"id": "weekly", "name": "W"}, {"id": "papers", "name": "P"}))
    here.people.confirm(here.asks("ada@example.com", "", "", "weekly"))
    here.people.confirm(here.asks("bo@example.com", "", "", "papers"))
    here.sends(greeted=("weekly",))
    reasons = {
        (row["address"], row["kind"]): row["reason"]
        for row in here.rows()
        if row["kind"] == "welcome"
    }
    assert reasons["ada@example.com", "welcome"] == "welcome.md is sent instead"
    assert here.arrived() == {"bo@example.com": 1}


# ── the rest ─────────────────────────────────────────────────────────────────────────────────


def test_a_broken_template_stops_letters_and_loses_none(office: Open, tmp_path: Path) -> None:
    own = tmp_path / "templates" / "mail"
    own.mkdir(parents=True)
    (own / "known.txt.j2").write_text("{{ words.nothing_like_it }}")
    here = office()
    asked(here, "ada")
    here.joins("known@example.com")
    here.asks("known@example.com")
    with pytest.raises(ConfigurationError, match=r"known\.txt\.j2"):
        here.sends()
    assert here.states() == [("confirm", "accepted"), ("known", "planned")]
    (own / "known.txt.j2").unlink()
    here.sends()
    assert here.arrived() == {"ada@example.com": 1, "known@example.com": 1}


def test_letters_that_ended_a_month_ago_are_deleted_and_no_others(office: Open) -> None:
    here = office("rcpt@cy@example.com=451 later")
    asked(here, "ada", "bo")
    here.people.suppress("bo@example.com", "complaint")
    here.sends()
    here.clock.pass_by(29 * 24 * HOUR)
    assert here.letters.purge() == 0
    here.asks("cy@example.com")
    here.clock.pass_by(2 * 24 * HOUR)
    assert here.letters.purge() == 2
    assert here.states() == [("confirm", "planned")]


def test_letters_get_through_beside_an_issue_that_takes_all_of_a_rate(office: Open) -> None:
    here = office(transport={"rate": "10/s"})
    here.letters._turns._clock = time.time  # a rate is about real time
    subscriber = here.joins("next@example.com")
    for number in range(6):
        here.owes("moved", f"reader{number}@example.com", {"subscriber": subscriber})
    store, limits, done = PacingStore(here.engine), Limits(Window(10, 1)), Event()

    def issue_being_sent() -> None:
        while not done.is_set():
            store.reserve("default", limits, limits.chunk, time.time())
            time.sleep(0.002)

    thread = threading.Thread(target=issue_being_sent)
    thread.start()
    here.sends()
    done.set()
    thread.join()
    assert here.server.filed() == 6


def test_a_window_that_an_issue_has_used_up_holds_no_letter_back(office: Open) -> None:
    here = office(transport={"windows": ["5/h"]})
    store = PacingStore(here.engine)
    limits = Limits(None, (Window(5, 3600),))
    assert store.reserve("default", limits, 5, here.clock.now).count == 5
    asked(here, "ada")
    here.sends()
    assert here.arrived() == {"ada@example.com": 1}
    assert store.reserve("default", limits, 1, here.clock.now).count == 0


def test_a_slow_rate_keeps_no_session_waiting(office: Open) -> None:
    here = office(transport={"rate": "1/h"})
    asked(here, "ada", "bo")
    begun = time.monotonic()
    here.sends()
    here.sends()
    assert time.monotonic() - begun < 5
    assert here.states() == [("confirm", "accepted"), ("confirm", "planned")]


def test_a_letter_may_be_written_into_a_maildir(office: Open, tmp_path: Path) -> None:
    here = office(transport={"kind": "maildir", "path": str(tmp_path / "mail")})
    asked(here, "ada")
    here.sends()
    assert here.states() == [("confirm", "accepted")]
    assert len(list((tmp_path / "mail" / "new").iterdir())) == 1


def test_the_text_is_the_same_whatever_it_is_encoded_as(office: Open) -> None:
    here = office()
    for language in ("en", "de", "fr", "ja", "zh"):
        here.asks(f"{language}@example.com", language)
    here.sends()
    for message in here.mail():
        assert text_of(message).rstrip("\n").endswith("\nhttps://news.example.com/")
        assert "\n\n\n" not in text_of(message)
        assert "\n-- \n" in text_of(message)
