"""The contract kit of transports: what every one of them must do, whatever it speaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from newsletter_bot.delivery.model import DeliveryState, Message
from newsletter_bot.delivery.transports import Connection, Transport, kinds, maildir, smtp

MakeTransport = Callable[..., Transport]


@pytest.fixture(params=["maildir", "smtp", "smtp without pipelining"])
def transport(request: pytest.FixtureRequest, tmp_path: Path, smtp_server: Any) -> Transport:
    if request.param == "maildir":
        return maildir.open_transport(maildir.Options(path="box"), tmp_path)
    server = smtp_server(pipelining=request.param == "smtp")
    return smtp.open_transport(smtp.Options(port=server.port, tls="none"), tmp_path)


def message(number: int, body: str = "Hello\r\n") -> Message:
    head = f"From: a@example.com\r\nTo: r{number}@example.com\r\nSubject: {number}\r\n\r\n"
    content = (head + body).encode()
    return Message(number, "bounce@example.com", f"r{number}@example.com", content)


def test_each_message_pulled_gets_one_outcome_in_order(transport: Transport) -> None:
    with transport.connect() as connection:
        made = list(connection.deliver(map(message, range(1, 6)), lambda _one: None))
    assert [one.delivery_id for one, _ in made] == [1, 2, 3, 4, 5]
    assert all(outcome.state is DeliveryState.ACCEPTED for _, outcome in made)
    assert all(outcome.reason for _, outcome in made)


def test_nothing_to_deliver_is_no_trouble(transport: Transport) -> None:
    with transport.connect() as connection:
        assert list(connection.deliver(iter(()), lambda _one: None)) == []


def test_a_message_is_announced_before_it_can_be_delivered(transport: Transport) -> None:
    events: list[tuple[str, int]] = []
    with transport.connect() as connection:
        announced = connection.deliver(
            map(message, (1, 2, 3)), lambda one: events.append(("before", one.delivery_id))
        )
        for one, _outcome in announced:
            events.append(("after", one.delivery_id))
    for number in (1, 2, 3):
        assert events.index(("before", number)) < events.index(("after", number))


def test_at_most_two_messages_are_without_an_outcome(transport: Transport) -> None:
    waiting: set[int] = set()
    largest = 0

    def source() -> Iterator[Message]:
        nonlocal largest
        for number in range(1, 8):
            waiting.add(number)
            largest = max(largest, len(waiting))
            yield message(number)

    with transport.connect() as connection:
        for one, _outcome in connection.deliver(source(), lambda _one: None):
            waiting.discard(one.delivery_id)
    assert largest <= 2


def test_a_message_whose_announcement_fails_is_not_delivered(transport: Transport) -> None:
    def fail(one: Message) -> None:
        if one.delivery_id == 2:
            raise LookupError("not owed")

    done = []

    def converse(connection: Connection) -> None:
        for one, _outcome in connection.deliver(map(message, (1, 2, 3)), fail):
            done.append(one.delivery_id)

    with pytest.raises(LookupError), transport.connect() as connection:
        converse(connection)
    assert done == [1]


def test_every_transport_says_what_it_is_and_which_options_it_has() -> None:
    for name, kind in kinds().items():
        assert kind.description.endswith("."), name
        assert kind.Options.model_fields, name
