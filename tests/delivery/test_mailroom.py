from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from newsletter_bot.delivery.mailroom import Mailroom
from newsletter_bot.delivery.model import DeliveryState, Start
from newsletter_bot.delivery.run import Run
from newsletter_bot.delivery.store import Page
from newsletter_bot.errors import DataError, TryAgainError
from newsletter_bot.issues.model import Condition
from newsletter_bot.rendering.model import Escape, Hole, Only, Rendering, Static
from newsletter_bot.settings import Settings
from newsletter_bot.storage.lock import exclusive
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.model import NewSubscriber
from newsletter_bot.subscribers.store import SubscriberStore

SECRET = b"0123456789abcdef" * 4
CONSENT = {"source": "test"}


def rendering(text: str = "Hello ") -> Rendering:
    name = Hole("first_name", "there", Escape.PLAIN)
    leave = Hole("unsubscribe_url", "", Escape.PLAIN)
    thanks = Only((Condition("plan", ("supporter",)),), (Static("thanks"),))
    return Rendering(
        issue="2026-W01",
        subjects=((Static("For "), name),),
        html=(Static(f"<p>{text}"), name, Static("</p>"), thanks),
        text=(Static(text), name, Static("\nleave: "), leave),
        language="en",
    )


@dataclass
class Office:
    """A newsletter's people and ledger, and a mail server."""

    people: SubscriberStore
    mailroom: Mailroom
    server: Any

    def send(self, **options: Any) -> Any:
        return self.mailroom.send(rendering(), "Week 1", ["weekly"], Run(), **options)

    def add(self, *names: str, fields: dict[str, str] | None = None) -> None:
        people = [
            NewSubscriber(parse_address(f"{name}@example.com"), name.title(), "", fields or {})
            for name in names
        ]
        self.people.add(people, "weekly", CONSENT)


def settings(port: int, folder: Path, **transport: Any) -> Settings:
    return Settings(
        folder=folder,
        newsletter={
            "name": "News",
            "url": "https://news.example.com",
            "from": "News <news@news.example.com>",
            "postal_address": "here",
        },
        transport={"kind": "smtp", "port": port, "tls": "none", "connections": 2, **transport},
    )


@pytest.fixture
def office(engine: Engine, tmp_path: Path, smtp_server: Any) -> Callable[..., Office]:
    def open_office(*faults: str, **transport: Any) -> Office:
        server = smtp_server(*faults)
        room = Mailroom(engine, settings(server.port, tmp_path, **transport), SECRET)
        return Office(SubscriberStore(engine, SECRET), room, server)

    return open_office


def test_everybody_gets_the_issue_once_and_the_numbers_add_up(
    office: Callable[..., Office],
) -> None:
    here = office()
    here.add(*[f"reader{n}" for n in range(30)])
    tally = here.send()
    assert (tally.planned, tally.accepted, tally.balanced, tally.state) == (30, 30, True, "sent")
    assert set(here.server.recipients().values()) == {1}
    assert len(here.server.recipients()) == 30


def test_sending_again_sends_nothing(office: Callable[..., Office]) -> None:
    here = office()
    here.add("ada", "bo")
    here.send()
    here.add("cy")  # joined after the plan: owed the next issue, not this one
    assert here.send().accepted == 2
    assert sum(here.server.recipients().values()) == 2


def test_a_reader_is_named_and_can_leave(office: Callable[..., Office]) -> None:
    here = office()
    here.add("ada", fields={"plan": "supporter"})
    here.send()
    (message,) = here.server.messages()
    assert message["Subject"] == "For Ada"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["List-Unsubscribe"].startswith("<https://news.example.com/u/")
    text, html = (part.get_payload(decode=True).decode() for part in message.get_payload())
    assert "Hello Ada" in text
    assert "https://news.example.com/u/" in text
    assert html.startswith("<p>Hello Ada</p>thanks")


def test_the_suppressed_are_skipped_with_the_reason(office: Callable[..., Office]) -> None:
    here = office()
    here.add("ada", "bo")
    here.people.suppress("bo@example.com", "asked by phone")
    tally = here.send()
    assert (tally.accepted, tally.skipped, tally.balanced) == (1, 1, True)
    assert (DeliveryState.SKIPPED, "suppressed: asked by phone", 1) in here.mailroom.reasons(
        "2026-W01"
    )


def test_who_leaves_after_the_plan_gets_nothing_more(office: Callable[..., Office]) -> None:
    here = office("connect#1000=421 later")
    here.add("ada", "bo", "cy")
    with pytest.raises(TryAgainError):
        here.send()
    here.people.unsubscribe("ada@example.com")
    here.people.suppress("bo@example.com", "complained")
    here.server.process.kill()
    again = Mailroom(here.mailroom._engine, here.mailroom._settings, SECRET)
    tally = _send_to_maildir(again)
    assert (tally.accepted, tally.skipped, tally.balanced) == (1, 2, True)


def _send_to_maildir(room: Mailroom) -> Any:
    table = {"transport": room._settings.transport.model_copy(update={"kind": "maildir"})}
    kept = room._settings.model_copy(update=table)
    kept.transport.__pydantic_extra__.clear()  # type: ignore[union-attr]
    other = Mailroom(room._engine, kept, SECRET)
    return other.send(rendering(), "Week 1", ["weekly"], Run())


def test_a_refusal_for_now_is_tried_again_when_its_time_has_come(
    office: Callable[..., Office],
) -> None:
    here = office("rcpt@bo@example.com#1=450 4.2.0 greylisted")
    here.add("ada", "bo")
    tally = here.send()
    assert (tally.accepted, tally.deferred, tally.balanced) == (1, 1, False)
    due = here.mailroom.next_deferred("2026-W01")
    assert due is not None
    here.mailroom._store._clock = lambda: due + 1.0
    tally = here.send()
    assert (tally.accepted, tally.deferred, tally.balanced) == (2, 0, True)


def test_a_deferral_past_the_deadline_has_expired(office: Callable[..., Office]) -> None:
    here = office("rcpt@bo@example.com=450 4.2.0 full", deadline="1h")
    here.add("ada", "bo")
    here.send()
    later = here.mailroom._store.now() + 4000.0
    here.mailroom._store._clock = lambda: later
    tally = here.send()
    assert (tally.accepted, tally.expired, tally.balanced) == (1, 1, True)


def test_a_refusal_for_good_is_kept_with_the_servers_words(office: Callable[..., Office]) -> None:
    here = office("rcpt@bo@example.com=550 5.1.1 no such user")
    here.add("ada", "bo")
    assert here.send().refused == 1
    assert here.mailroom.reasons("2026-W01") == [
        (DeliveryState.REFUSED, "550 5.1.1 no such user", 1)
    ]


@pytest.mark.parametrize("phase", ["connect", "ehlo", "mail", "rcpt", "data"])
def test_a_drop_before_the_dot_loses_and_doubles_nothing(
    office: Callable[..., Office], phase: str
) -> None:
    here = office(f"{phase}#2=drop")
    here.add(*[f"reader{n}" for n in range(12)])
    tally = here.send()
    assert (tally.accepted, tally.unknown, tally.balanced) == (12, 0, True)
    assert set(here.server.recipients().values()) == {1}


def test_a_drop_after_the_dot_is_unknown_until_somebody_decides(
    office: Callable[..., Office],
) -> None:
    here = office("after@reader3@example.com#1=drop", "dot@reader5@example.com#1=drop")
    here.add(*[f"reader{n}" for n in range(8)])
    tally = here.send()
    assert (tally.accepted, tally.unknown, tally.balanced) == (6, 2, True)
    assert here.send().unknown == 2  # never resent silently
    assert here.mailroom.resolve("2026-W01", resend=True) == 2
    tally = here.send()
    assert (tally.accepted, tally.unknown, tally.balanced) == (8, 0, True)


def test_unknown_ones_can_be_left_alone(office: Callable[..., Office]) -> None:
    here = office("after@ada@example.com=drop")
    here.add("ada", "bo")
    here.send()
    assert here.mailroom.resolve("2026-W01", resend=False) == 1
    tally = here.mailroom.status("2026-W01")
    assert (tally.accepted, tally.skipped, tally.unknown, tally.balanced) == (1, 1, 0, True)


def test_an_absent_server_is_named_and_the_next_run_goes_on(
    office: Callable[..., Office], smtp_server: Any, tmp_path: Path
) -> None:
    here = office()
    here.add("ada", "bo", "cy")
    here.server.process.kill()
    here.server.process.wait()
    with pytest.raises(TryAgainError, match=r"Connection refused.*3 of 3 are still") as caught:
        here.send()
    assert caught.value.exit_code == 75
    server = smtp_server()
    room = Mailroom(here.mailroom._engine, settings(server.port, tmp_path), SECRET)
    assert room.send(rendering("edited"), "x", ["weekly"], Run()).accepted == 3
    assert all("edited" not in str(message) for message in server.messages())


def test_a_login_that_is_refused_ends_the_run_at_once(office: Callable[..., Office]) -> None:
    here = office("mail=550 5.7.1 not you")
    here.add("ada", "bo")
    with pytest.raises(TryAgainError, match=r"550 5\.7\.1 not you"):
        here.send()
    assert here.mailroom.status("2026-W01").remaining == 2


def test_two_processes_do_not_send_one_issue(office: Callable[..., Office]) -> None:
    here = office()
    here.add("ada")
    with (
        exclusive(here.mailroom._engine, "send-2026-W01"),
        pytest.raises(TryAgainError, match="Another process is sending 2026-W01"),
    ):
        here.send()
    assert here.send().accepted == 1


def test_rows_left_by_a_process_that_died_become_unknown(office: Callable[..., Office]) -> None:
    here = office()
    here.add("ada", "bo")
    row = here.mailroom._plans.plan(rendering(), "Week 1", ["weekly"])
    due = here.mailroom._store.due(row.id, DeliveryState.PLANNED, Page(0, 1))[0]

    here.mailroom._store.write([Start(due.delivery_id)])
    tally = here.send()
    assert (tally.accepted, tally.unknown, tally.balanced) == (1, 1, True)
    assert sum(here.server.recipients().values()) == 1


def test_a_run_that_is_told_to_stop_finishes_what_is_in_flight(
    office: Callable[..., Office],
) -> None:
    here = office(rate="50/s")
    here.add(*[f"reader{n}" for n in range(50)])
    run = Run()

    def stop_after_five() -> None:
        if run.done >= 5:
            run.stop()

    tally = here.mailroom.send(rendering(), "x", ["weekly"], run, stop_after_five)
    assert 5 <= tally.accepted < 50
    assert (tally.unknown, tally.sending) == (0, 0)
    assert here.send().accepted == 50
    assert set(here.server.recipients().values()) == {1}


def test_a_name_that_would_forge_a_header_reaches_no_header(office: Callable[..., Office]) -> None:
    here = office()
    evil = NewSubscriber(parse_address("ada@example.com"), "Ada\r\nBcc: eve@example.com", "", {})
    here.people.add([evil], "weekly", CONSENT)
    tally = here.send()
    assert (tally.refused, tally.balanced) == (1, True)
    assert here.server.messages() == []


def test_template_syntax_in_a_name_is_printed_as_it_is(office: Callable[..., Office]) -> None:
    here = office()
    name = "{{ 7*7 }}{% raw %}<b>&amp;"
    here.people.add(
        [NewSubscriber(parse_address("ada@example.com"), name, "", {"first_name": name})],
        "weekly",
        CONSENT,
    )
    here.send()
    (message,) = here.server.messages()
    text = message.get_payload()[0].get_payload(decode=True).decode()
    assert f"Hello {name}" in text


def test_a_dry_run_counts_and_writes_nothing(office: Callable[..., Office]) -> None:
    here = office()
    here.add("ada", fields={"plan": "supporter"})
    here.add("bo", "cy")
    here.people.suppress("cy@example.com", "left")
    plan = here.mailroom.dry_run(rendering(), ["weekly"])
    assert (plan.count, plan.skips) == (2, {"suppressed: left": 1})
    assert plan.segments == {"plan=supporter": 1}
    assert plan.subjects == (("ada@example.com", "For Ada"), ("bo@example.com", "For Bo"))
    with pytest.raises(DataError, match="has not been planned"):
        here.mailroom.status("2026-W01")


def test_a_proof_goes_to_the_editor_and_leaves_the_ledger_alone(
    office: Callable[..., Office],
) -> None:
    here = office()
    outcome = here.mailroom.proofs.send(rendering(), {"first_name": "Ed"}, "editor@example.com")
    assert outcome.state is DeliveryState.ACCEPTED
    (message,) = here.server.messages()
    assert message["Subject"] == "[Proof] For Ed"
    assert here.mailroom.issues() == []


@pytest.fixture(autouse=True)
def _quick_relay_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newsletter_bot.delivery.relaying.relays.PAUSES", (0.01, 0.01, 0.01))
