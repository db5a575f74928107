"""The contract kit of transports: what every one of them must do, whatever it speaks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from newsletter_bot.delivery.calls.transport import CallTransport
from newsletter_bot.delivery.model import DeliveryState, Message, Outcome
from newsletter_bot.delivery.single import hand_over
from newsletter_bot.delivery.transports import Session, Transport, kinds, maildir, resend, smtp
from tests.servers.providers import fake, provider_server

MakeTransport = Callable[..., Transport]


@pytest.fixture(params=["maildir", "smtp", "smtp without pipelining", "resend"])
def transport(
    request: pytest.FixtureRequest, tmp_path: Path, smtp_server: Any
) -> Iterator[Transport]:
    if request.param == "maildir":
        yield maildir.open_transport(maildir.Options(path="box"), tmp_path)
    elif request.param == "resend":
        with provider_server(fake("resend")) as provider:
            options = provider.behaviour.options(provider.url)
            yield resend.open_transport(resend.Options.model_validate(options), tmp_path)
    else:
        server = smtp_server(pipelining=request.param == "smtp")
        yield smtp.open_transport(smtp.Options(port=server.port, tls="none"), tmp_path)


def message(number: int, body: str = "Hello\r\n") -> Message:
    head = f"From: a@example.com\r\nTo: r{number}@example.com\r\nSubject: {number}\r\n\r\n"
    content = (head + body).encode()
    return Message(number, "bounce@example.com", f"r{number}@example.com", content)


def test_each_message_pulled_gets_one_outcome_in_order(transport: Transport) -> None:
    made = list(hand_over(transport, map(message, range(1, 6))))
    assert [one.delivery_id for one, _ in made] == [1, 2, 3, 4, 5]
    assert all(outcome.state is DeliveryState.ACCEPTED for _, outcome in made)
    assert all(outcome.reason for _, outcome in made)


def test_nothing_to_deliver_is_no_trouble(transport: Transport) -> None:
    assert list(hand_over(transport, [])) == []


def test_a_message_is_announced_before_it_can_be_delivered(transport: Transport) -> None:
    events: list[tuple[str, int]] = []
    announced = hand_over(
        transport, map(message, (1, 2, 3)), lambda one: events.append(("before", one.delivery_id))
    )
    for one, _outcome in announced:
        events.append(("after", one.delivery_id))
    for number in (1, 2, 3):
        assert events.index(("before", number)) < events.index(("after", number))


def test_a_session_takes_two_messages_or_a_batch_at_a_time_and_never_waits(
    transport: Transport,
) -> None:
    rung = threading.Event()
    session = transport.open(lambda _one: None, rung.set)
    until(session, lambda: session.room > 0)
    most = session.room
    assert most == (100 if isinstance(transport, CallTransport) else 2)
    for number in range(most):
        session.give(message(number))
    assert session.room == 0
    assert until(session, lambda: True) == []  # nothing leaves that was not cleared
    for number in range(most):
        session.clear(message(number))
    made = until(session, lambda: session.room == most)
    assert [one.delivery_id for one, _ in made] == list(range(most))
    session.finish()
    assert session.room == 0
    until(session, lambda: session.closed)
    assert session.error is None


def test_a_session_that_is_abandoned_holds_nothing_that_may_arrive(transport: Transport) -> None:
    session = transport.open(lambda _one: None, lambda: None)
    until(session, lambda: session.room > 0)
    assert session.abandon() == []
    assert session.closed


def test_a_message_withdrawn_before_it_was_cleared_is_never_delivered(
    transport: Transport,
) -> None:
    announced: list[int] = []
    session = transport.open(lambda one: announced.append(one.delivery_id), lambda: None)
    until(session, lambda: session.room > 0)
    session.give(message(1))
    session.listen()
    session.speak()
    session.withdraw(message(1))
    session.finish()
    assert until(session, lambda: session.closed) == []
    assert announced == []


def until(session: Session, done: Callable[[], bool]) -> list[tuple[Message, Outcome]]:
    outcomes: list[tuple[Message, Outcome]] = []
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end, "it took too long"
        outcomes += session.listen() + session.speak()
        time.sleep(0.001)
    return outcomes


def test_every_transport_says_what_it_is_and_which_options_it_has() -> None:
    for name, kind in kinds().items():
        assert kind.description.endswith("."), name
        assert kind.Options.model_fields, name
