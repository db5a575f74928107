"""What was sent when a call fails, and what an answer may hold: with a server of bare sockets."""

from __future__ import annotations

import base64
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from pydantic import SecretStr

from newsletter_bot.delivery.calls.caller import Caller, NoAnswerError, NotSentError
from newsletter_bot.delivery.calls.model import Answer, Request
from newsletter_bot.delivery.calls.pacer import Pacer, exhausted
from newsletter_bot.delivery.calls.secrets import secret_of
from newsletter_bot.errors import ConfigurationError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
LARGE = b"x" * 40_000_000  # more than the buffers between two sockets hold


@contextmanager
def server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve each connection by `serve`, in a thread."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def attend(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                serve(connection)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=attend, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        listening.shutdown(socket.SHUT_RDWR)


def read_request(connection: socket.socket) -> bytes:
    got = b""
    while b"\r\n\r\n" not in got:
        got += connection.recv(65_536)
    head, _, body = got.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    while len(body) < length:
        body += connection.recv(65_536)
    return body


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def call(timeout: float, request: Request, told: list[bool] | None = None) -> Answer:
    with closing(Caller(timeout)) as caller:
        return caller.call(request, lambda: None if told is None else told.append(True))


def post(url: str, content: bytes = b"hello", key: str = "secret-key-1") -> Request:
    return Request("POST", url, {"Authorization": f"Bearer {key}"}, content)


@pytest.mark.parametrize("then", ["hangs", "hangs up"])
def test_a_body_that_was_not_taken_was_not_sent(then: str) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(1000)
        if then == "hangs up":
            reset(connection)
        else:
            time.sleep(3)

    told: list[bool] = []
    with server(serve) as url, pytest.raises(NotSentError):
        call(1.0, post(url, LARGE), told)
    assert told == [], "its last byte never left"


@pytest.mark.parametrize("then", ["hangs", "hangs up"])
def test_without_an_answer_to_all_of_it_nobody_knows(then: str) -> None:
    def serve(connection: socket.socket) -> None:
        read_request(connection)
        if then == "hangs up":
            reset(connection)
        else:
            time.sleep(3)

    told: list[bool] = []
    with server(serve) as url, pytest.raises(NoAnswerError):
        call(1.0, post(url), told)
    assert told == [True]


def test_an_answer_that_drips_or_never_ends_is_none() -> None:
    def drip(connection: socket.socket) -> None:
        read_request(connection)
        for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Slow: x\r\n" * 100:
            connection.send(bytes([byte]))
            time.sleep(0.1)

    def flood(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5_000_000)

    with server(drip) as url, pytest.raises(NoAnswerError, match="within 1 seconds"):
        call(1.0, post(url))
    with server(flood) as url, pytest.raises(NoAnswerError, match="larger than"):
        call(20.0, post(url))


def test_the_body_arrives_whole_and_the_connection_is_used_again() -> None:
    got: list[bytes] = []
    connections: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        connections.append(connection)
        for _ in range(2):
            got.append(read_request(connection))
            connection.sendall(OK)

    caller = Caller(10.0)
    with server(serve) as url:
        for content in (b"one", b"2" * 500_000):
            assert caller.call(post(url, content)).content == b"hi"
    assert got == [b"one", b"2" * 500_000]
    assert len(connections) == 1
    caller.close()


@pytest.mark.parametrize("shown", ["secret-key-1", "user-name:secret-key-1"])
def test_what_authorizes_us_is_taken_out_of_an_answer(shown: str) -> None:
    def serve(connection: socket.socket) -> None:
        read_request(connection)
        said = b"the key secret-key-1 is wrong"
        connection.sendall(b"HTTP/1.1 401 No\r\nContent-Length: %d\r\n\r\n" % len(said) + said)

    scheme = "Basic " + base64.b64encode(shown.encode()).decode() if ":" in shown else shown
    headers = {"Authorization": scheme} if ":" in shown else {"x-api-key": shown}
    with server(serve) as url:
        answer = call(10.0, Request("POST", url, headers, b"hello"))
    assert answer.words == "HTTP 401: the key *** is wrong"


def test_a_secret_is_read_from_a_file_and_looked_at(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("  from-file \n")
    none = SecretStr("")
    assert secret_of("api_key", SecretStr("given"), "", tmp_path) == "given"
    assert secret_of("api_key", SecretStr("given"), "key", tmp_path) == "from-file"
    assert secret_of("api_key", none, "", tmp_path, needed=False) == ""
    for value, file in (
        (none, ""),
        (none, "missing"),
        (SecretStr("a\nb"), ""),
        (SecretStr("ä"), ""),
    ):
        with pytest.raises(ConfigurationError) as caught:
            secret_of("api_key", value, file, tmp_path)
        assert caught.value.next_step


def test_calls_are_spaced_and_held_back_when_a_limit_is_reached() -> None:
    stop = threading.Event()
    pacer = Pacer(50)
    begun = time.monotonic()
    assert all(pacer.wait(stop) for _ in range(6))
    assert time.monotonic() - begun >= 0.09
    pacer.hear({"ratelimit-remaining": "0", "ratelimit-reset": "50"})
    threading.Timer(0.05, stop.set).start()
    assert not pacer.wait(stop)


@pytest.mark.parametrize(
    ("headers", "rest"),
    [
        ({}, 0.0),
        ({"ratelimit-remaining": "1", "ratelimit-reset": "9"}, 0.0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "9"}, 9.0),
        ({"x-sib-ratelimit-remaining": "0", "x-sib-ratelimit-reset": "45"}, 45.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1800000030"}, 30.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"}, 0.0),
        ({"ratelimit-remaining": "-1", "ratelimit-reset": "9"}, 0.0),
    ],
)
def test_a_limits_headers_are_seconds_or_a_time(headers: dict[str, str], rest: float) -> None:
    assert exhausted(headers, 1_800_000_000) == rest
