from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from newsletter_bot.delivery.model import DeliveryState, Message, Outcome
from newsletter_bot.delivery.single import hand_over
from newsletter_bot.delivery.transports import ConnectionEndedError, RelayError, smtp
from newsletter_bot.errors import ConfigurationError

Connect = Callable[..., smtp.Smtp]


@pytest.fixture(params=[True, False], ids=["pipelining", "no pipelining"])
def connect(request: pytest.FixtureRequest, smtp_server: Any, tmp_path: Path) -> Connect:
    def to(*faults: str) -> smtp.Smtp:
        server = smtp_server(*faults, pipelining=request.param)
        options = smtp.Options(port=server.port, tls="none")
        return smtp.open_transport(options, tmp_path)

    return to


def message(name: str, body: str = "Hello\r\n") -> Message:
    address = f"{name}@example.com"
    content = f"From: a@example.com\r\nTo: {address}\r\nSubject: x\r\n\r\n{body}".encode()
    return Message(hash(name), "bounce@example.com", address, content, not address.isascii())


def outcomes(transport: smtp.Smtp, *names: str) -> dict[str, Outcome]:
    messages = {one.delivery_id: name for name in names for one in [message(name)]}
    made = hand_over(transport, map(message, names))
    return {messages[one.delivery_id]: outcome for one, outcome in made}


@pytest.mark.parametrize("phase", ["rcpt@bo@example.com", "dot@bo@example.com"])
def test_a_refusal_for_now_defers_that_recipient_alone(connect: Connect, phase: str) -> None:
    made = outcomes(connect(f"{phase}=450 4.2.0 later"), "ada", "bo", "cy")
    assert made["bo"] == Outcome(DeliveryState.DEFERRED, "450 4.2.0 later")
    assert made["ada"].state is made["cy"].state is DeliveryState.ACCEPTED


@pytest.mark.parametrize("phase", ["rcpt@bo@example.com", "dot@bo@example.com"])
def test_a_refusal_for_good_refuses_that_recipient_alone(connect: Connect, phase: str) -> None:
    made = outcomes(connect(f"{phase}=550 5.1.1 no such user"), "ada", "bo", "cy")
    assert made["bo"] == Outcome(DeliveryState.REFUSED, "550 5.1.1 no such user")
    assert made["ada"].state is made["cy"].state is DeliveryState.ACCEPTED


def test_a_refused_data_command_defers_and_the_session_goes_on(connect: Connect) -> None:
    made = outcomes(connect("data#1=451 4.3.0 busy"), "ada", "bo")
    assert made["ada"].state is DeliveryState.DEFERRED
    assert made["bo"].state is DeliveryState.ACCEPTED


def test_a_refused_sender_is_the_relays_fault_and_lasting_when_permanent(connect: Connect) -> None:
    with pytest.raises(RelayError, match=r"550 5\.7\.1 no") as caught:
        outcomes(connect("mail=550 5.7.1 no"), "ada")
    assert caught.value.lasting
    with pytest.raises(RelayError, match="451 busy") as caught:
        outcomes(connect("mail=451 busy"), "ada")
    assert not caught.value.lasting


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data"])
def test_a_drop_before_the_final_dot_leaves_the_message_undelivered(
    connect: Connect, phase: str
) -> None:
    with pytest.raises(RelayError):
        outcomes(connect(f"{phase}#1=drop"), "ada")


def test_a_drop_in_the_middle_of_a_body_leaves_the_message_undelivered(connect: Connect) -> None:
    transport = connect("body=drop")
    large = message("ada", "a line of a body larger than any buffer on the way\r\n" * 400_000)
    with pytest.raises(RelayError):
        list(hand_over(transport, [large]))


@pytest.mark.parametrize("phase", ["dot", "after"])
def test_a_drop_after_the_final_dot_is_unknown(connect: Connect, phase: str) -> None:
    seen = []

    def converse() -> None:
        transport = connect(f"{phase}@bo@example.com=drop")
        for one, outcome in hand_over(transport, map(message, ("ada", "bo", "cy"))):
            seen.append((one.recipient, outcome.state))

    with pytest.raises(RelayError):
        converse()
    assert seen == [
        ("ada@example.com", DeliveryState.ACCEPTED),
        ("bo@example.com", DeliveryState.UNKNOWN),
    ]


def test_a_server_that_closes_between_messages_has_just_ended_the_session(
    connect: Connect,
) -> None:
    with pytest.raises(ConnectionEndedError, match="421"):
        outcomes(connect("mail#0=x", "rcpt@bo@example.com=421 4.7.0 enough"), "ada", "bo")


def test_an_address_that_needs_smtputf8_is_refused_where_it_is_not_offered(
    smtp_server: Any, tmp_path: Path
) -> None:
    for offered, state in ((True, DeliveryState.ACCEPTED), (False, DeliveryState.REFUSED)):
        server = smtp_server(smtputf8=offered)
        options = smtp.Options(port=server.port, tls="none")
        made = outcomes(smtp.open_transport(options, tmp_path), "ünï")
        assert made["ünï"].state is state


def test_lines_that_begin_with_a_dot_arrive_as_they_were(smtp_server: Any, tmp_path: Path) -> None:
    server = smtp_server()
    options = smtp.Options(port=server.port, tls="none")
    dotted = message("ada", ".one\r\n..two\r\n.\r\nend\r\n")
    list(hand_over(smtp.open_transport(options, tmp_path), [dotted]))
    (arrived,) = server.messages()
    assert arrived.get_payload() == ".one\n..two\n.\nend\n"


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("connect=554 no service", "554 no service"),
        ("connect=drop", "did not greet us|connect"),
        ("ehlo=drop", "broke off|connect"),
    ],
)
def test_a_server_that_does_not_greet_us_is_named(
    smtp_server: Any, tmp_path: Path, fault: str, sentence: str
) -> None:
    server = smtp_server(fault)
    with pytest.raises(RelayError, match=sentence):
        outcomes(smtp.open_transport(smtp.Options(port=server.port, tls="none"), tmp_path), "ada")


def test_a_server_that_is_absent_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(RelayError, match=f"cannot connect to 127.0.0.1:{port}: Connection refused"):
        outcomes(smtp.open_transport(smtp.Options(port=port, tls="none"), tmp_path), "ada")


def test_tls_that_was_asked_for_is_never_given_up(smtp_server: Any, tmp_path: Path) -> None:
    server = smtp_server()
    transport = smtp.open_transport(smtp.Options(port=server.port, tls="starttls"), tmp_path)
    with pytest.raises(RelayError, match="STARTTLS") as caught:
        outcomes(transport, "ada")
    assert caught.value.lasting


def test_mail_in_clear_leaves_this_machine_never(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="in clear"):
        smtp.open_transport(smtp.Options(host="mail.example.com", tls="none"), tmp_path)


def test_a_password_file_that_is_missing_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        smtp.open_transport(smtp.Options(password_file="nowhere", tls="none"), tmp_path)
