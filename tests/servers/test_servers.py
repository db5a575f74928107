"""The servers that other tests and the bench lean on do what they say."""

from __future__ import annotations

import smtplib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DELAY = 0.1  # seconds


@pytest.fixture
def far_away(smtp_server: Any) -> Iterator[int]:
    """The port of a server behind a delay."""
    server = smtp_server()
    script = Path(__file__).with_name("delay_proxy.py")
    command = [sys.executable, str(script), "--to", str(server.port)]
    command += ["--delay-ms", str(DELAY * 1000)]
    proxy = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert proxy.stdout is not None
    yield int(proxy.stdout.readline())
    proxy.kill()
    proxy.communicate()


def test_a_delayed_server_answers_later_but_not_less(far_away: int) -> None:
    begun = time.monotonic()
    with (
        socket.create_connection(("127.0.0.1", far_away)) as client,
        client.makefile("rb") as replies,
    ):
        assert replies.readline().startswith(b"220")
        assert time.monotonic() - begun >= DELAY
        client.sendall(b"NOOP\r\n" * 100)
        for _ in range(100):
            assert replies.readline().startswith(b"250")
        client.sendall(b"QUIT\r\n")
        assert replies.readline().startswith(b"221")
        assert replies.readline() == b""
    assert time.monotonic() - begun < 50 * DELAY, "each reply was waited for"


def test_commands_sent_before_their_turn_are_refused_where_pipelining_was_not_offered(
    smtp_server: Any,
) -> None:
    for offered, reply in ((True, b"250"), (False, b"503 5.5.0")):
        server = smtp_server(pipelining=offered)
        with (
            socket.create_connection(("127.0.0.1", server.port)) as client,
            client.makefile("rb") as replies,
        ):
            client.sendall(b"HELO here\r\n")
            replies.readline()
            replies.readline()
            client.sendall(b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\n")
            assert replies.readline().startswith(reply)


def test_a_greylisting_server_takes_a_recipient_the_second_time(smtp_server: Any) -> None:
    server = smtp_server(more=["--greylist", "0.2"])
    with smtplib.SMTP("127.0.0.1", server.port) as client:
        message = ("a@example.com", "b@example.com", "Subject: x\r\n\r\nx")
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            client.sendmail(*message)
        time.sleep(0.2)
        assert client.sendmail(*message) == {}
    assert server.filed() == 1
