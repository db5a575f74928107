"""Clients that are slow, endless, strange or many: what they get, and that others are served."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from newsletter_bot.web.serving.crowd import Bounds
from tests.web.wire import LONG, Connect, Echo, serving

QUICK = Bounds(head_time=0.3, body_time=0.3, idle_time=1, stall_time=0.5, linger_time=0.3)
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def post(length: int, more: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%b\r\n" % (length, more)


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


# ── slow ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "begin",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"GET /",
        b"\r\n\r\n",
        post(10),
        post(10) + b"12345",
        CHUNKED + b"5\r\nab",
        post(10, b"Expect: 100-continue\r\n"),
    ],
)
def test_a_request_that_does_not_arrive_in_time_is_ended_and_nobody_heard_of_it(
    begin: bytes,
) -> None:
    echo = Echo()
    with serving(echo, QUICK) as connect:
        said = connect().send(begin).everything()
        assert b" 200 " not in said
        assert said == b"" or b" 408 Request Timeout\r\n" in said
    assert echo.heard == []


@pytest.mark.parametrize("begin", [b"GET / HTTP/1.1\r\nHost: x\r\nX: ", CHUNKED])
def test_a_byte_now_and_then_buys_no_time(begin: bytes) -> None:
    echo = Echo()
    piece = b"1\r\nx\r\n" if begin == CHUNKED else b"x"
    with serving(echo, QUICK) as connect:
        wire = connect().send(begin)
        ended = threading.Event()

        def drip() -> None:
            while not ended.wait(0.05):
                wire.send(piece)

        dripping = threading.Thread(target=drip)
        dripping.start()
        assert b" 408 " in wire.everything()
        ended.set()
        dripping.join()
    assert echo.heard == []


def test_who_connects_and_says_nothing_is_let_go() -> None:
    with serving(Echo(), QUICK) as connect:
        assert connect().everything() == b""


def test_who_stays_and_asks_nothing_more_is_let_go() -> None:
    with serving(Echo(), QUICK) as connect:
        wire = connect().send(GET)
        assert wire.said()["path"] == "/"
        assert wire.everything() == b""


def test_a_second_request_that_stays_half_is_ended() -> None:
    with serving(Echo(), QUICK) as connect:
        wire = connect().send(GET)
        wire.said()
        assert b" 408 " in wire.send(GET[:-10]).everything()


def test_who_does_not_read_the_answer_is_let_go() -> None:
    echo = Echo()
    with serving(echo, QUICK) as connect:
        wire = connect(window=4096).send(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
        wire.wait_for_end()
        # Whoever reads at last gets what the buffers held, and the end.
        assert len(wire.everything()) < LONG


def is_served(connect: Connect) -> bool:
    wire = connect().send(GET)
    served = bool(wire.said())
    wire.close()
    return served


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_who_reads_slowly_but_steadily_gets_the_whole_answer() -> None:
    bounds = Bounds(stall_time=20)
    with serving(Echo(), bounds) as connect:
        wire = connect(window=65536).send(
            b"GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        seen = 0
        while piece := wire.read(200_000):
            seen += len(piece)
            time.sleep(0.002)
        assert seen > LONG


def test_hundreds_that_never_finish_keep_no_reader_out() -> None:
    bounds = Bounds(connections=50)
    echo = Echo()
    with serving(echo, bounds) as connect:
        slow = [connect().send(b"GET / HTTP/1.1\r\nHost: x\r\nX: ") for _ in range(300)]
        for _ in range(20):
            wire = connect().send(GET)
            assert wire.said()["path"] == "/"
            wire.close()
        for one in slow:
            one.close()
    assert len(echo.heard) == 20


def test_the_one_more_than_all_places_is_told_to_come_back() -> None:
    echo = Echo()
    echo.go_on.clear()
    with serving(echo, Bounds(connections=5)) as connect:
        wires = [connect().send(GET) for _ in range(5)]
        wait_for(lambda: len(echo.heard) == 5)
        said = connect().send(GET).everything()
        assert said.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: " in said
        echo.go_on.set()
        assert [one.said()["path"] for one in wires] == ["/"] * 5
        wait_for(lambda: is_served(connect))
    assert len(echo.heard) >= 6


def test_one_network_takes_its_share_and_others_are_served() -> None:
    echo = Echo()
    echo.go_on.clear()
    with serving(echo, Bounds(of_one_peer=3), trusted=()) as connect:
        greedy = [connect("127.0.0.2").send(GET) for _ in range(3)]
        wait_for(lambda: len(echo.heard) == 3)
        assert connect("127.0.0.2").send(GET).everything().startswith(b"HTTP/1.1 503 ")
        echo.go_on.set()
        other = connect("127.0.0.3").send(GET)
        assert other.said()["client"] == "127.0.0.3"
        for one in greedy:
            one.said()
            one.close()
        wait_for(lambda: connect("127.0.0.2").send(GET).answer()[0] == 200)


def test_a_trusted_proxy_may_bring_many() -> None:
    echo = Echo()
    with serving(echo, Bounds(of_one_peer=3)) as connect:
        wires = [connect().send(GET) for _ in range(10)]
        assert [one.said()["path"] for one in wires] == ["/"] * 10


def test_the_server_ends_at_once_although_a_request_is_half_here() -> None:
    with serving(Echo(), Bounds(head_time=600)) as connect:
        half, idle = connect().send(post(10)), connect().send(GET)
        idle.said()
        begun = time.monotonic()
        connect.end()
        assert time.monotonic() - begun < 7  # it would wait 8 s for an answer under way
        assert half.everything() == idle.everything() == b""


def test_an_answer_under_way_is_given_before_the_end() -> None:
    echo = Echo()
    echo.go_on.clear()
    with serving(echo) as connect, ThreadPoolExecutor(1) as thread:
        wire = connect().send(GET)
        wait_for(lambda: len(echo.heard) == 1)
        ending = thread.submit(connect.end)
        time.sleep(0.3)
        echo.go_on.set()
        assert wire.said()["path"] == "/"
        ending.result(60)


# ── too much ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 9000), 414),
        (b"GET /?%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 9000), 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: %b\r\n\r\n" % (b"a" * 20_000), 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n%b\r\n" % (b"A: b\r\n" * 101), 431),
        (post(65_537), 413),
        (post(10**18), 413),
        (CHUNKED + b"ffff\r\n%b\r\n" % (b"a" * 65_535) + b"2\r\nab\r\n0\r\n\r\n", 413),
        (CHUNKED + b"1\r\na\r\n" * 70_000, 413),
    ],
)
def test_what_is_too_long_is_refused(request_: bytes, status: int) -> None:
    echo = Echo()
    with serving(echo) as connect:
        said = connect().send(request_).everything()
        assert said.startswith(b"HTTP/1.1 %d " % status), said[:100]
        assert b"\r\nconnection: close\r\n" in said
        assert b"x-content-type-options: nosniff" in said
    assert echo.heard == []


def test_a_head_without_end_is_refused_long_before_its_time() -> None:
    with serving(Echo(), Bounds(head_time=600)) as connect:
        wire = connect().send(b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
        for _ in range(1000):
            wire.send(b"a" * 1000)
        assert wire.everything().startswith(b"HTTP/1.1 431 ")


def test_trailers_are_counted_and_forgotten() -> None:
    with serving(Echo()) as connect:
        trailed = CHUNKED + b"1\r\na\r\n0\r\nAuthorization: b\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n"
        said = connect().send(trailed).said()
        assert said["headers"] == ["host", "transfer-encoding"]
        assert said["client"] == "127.0.0.1"
        many = CHUNKED + b"0\r\n" + b"A: b\r\n" * 200 + b"\r\n"
        assert connect().send(many).everything().startswith(b"HTTP/1.1 431 ")


def test_the_largest_allowed_body_arrives_whole() -> None:
    with serving(Echo()) as connect:
        body = b"a" * 65_536
        assert connect().send(post(65_536) + body).said()["body"] == body.decode()
        pieces = b"8000\r\n%b\r\n" % (b"b" * 0x8000) * 2 + b"0\r\n\r\n"
        assert len(connect().send(CHUNKED + pieces).said()["body"]) == 65_536


def test_a_client_that_asks_whether_to_go_on_is_told_to() -> None:
    with serving(Echo()) as connect:
        wire = connect().send(post(2, b"Expect: 100-continue\r\n"))
        assert wire.read(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert wire.send(b"ab").said()["body"] == "ab"
        too_long = connect().send(post(70_000, b"Expect: 100-continue\r\n"))
        assert too_long.everything().startswith(b"HTTP/1.1 413 ")


def test_requests_behind_each_other_are_answered_in_order() -> None:
    with serving(Echo()) as connect:
        asked = [b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % n for n in range(5)]
        asked.insert(2, post(3) + b"abc")
        wire = connect().send(b"".join(asked))
        said = [wire.said() for _ in asked]
        assert [one["path"] for one in said] == ["/0", "/1", "/", "/2", "/3", "/4"]
        assert [one["body"] for one in said] == ["", "", "abc", "", "", ""]


def test_a_flood_of_requests_behind_each_other_is_cut_off() -> None:
    echo = Echo()
    echo.go_on.clear()
    with serving(echo) as connect:
        wire = connect().send(GET * 5000)
        assert b" 200 " not in wire.everything()
        echo.go_on.set()
        assert is_served(connect)
    assert len(echo.heard) < 20


# ── what could be read in two ways ───────────────────────────────────────────────────────────

_SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        b"Content-Length: 4\r\nContent-Length: 5\r\n",
        b"Content-Length: 4\r\nContent-Length: 4\r\n",
        b"Content-Length: 4, 4\r\n",
        b"Content-Length: +4\r\n",
        b"Content-Length: -4\r\n",
        b"Content-Length: 0x4\r\n",
        b"Content-Length:\r\n",
        b"Content-Length : 4\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: \x0bchunked\r\n",
        b"Transfer-Encoding:\r\n chunked\r\n",
        b"X: a\r\n b\r\nContent-Length: 0\r\n",
        b"X: a\nContent-Length: 0\r\n",
        b"X: a\rContent-Length: 0\r\n",
        b"X: a\x00b\r\n",
        b"X y: a\r\n",
        b": a\r\n",
        b"Host: y\r\n",
        b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 4\r\n",
    ],
)
def test_a_head_with_two_readings_is_refused_and_the_connection_ends(head: bytes) -> None:
    echo = Echo()
    with serving(echo) as connect:
        request = b"POST / HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n0\r\n\r\n" + _SMUGGLED
        said = connect().send(request).everything()
        assert said.startswith(b"HTTP/1.1 400 "), said[:200]
        assert said.count(b"HTTP/1.1") == 1
    assert echo.heard == []


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.2\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: x\r\n\r\n",
        b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"CONNECT evil:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"FOO / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        CHUNKED + b"2\nab\n0\n\n",
        CHUNKED + b"2;\nxx\r\nab\r\n0\r\n\r\n",
        CHUNKED + b"-1\r\n",
        CHUNKED + b"fffffffffffffffff\r\nab",
    ],
)
def test_what_is_no_request_is_refused(request_: bytes) -> None:
    echo = Echo()
    with serving(echo) as connect:
        said = connect().send(request_ + _SMUGGLED).everything()
        assert said.startswith(b"HTTP/1.1 400 "), said[:200]
        assert said.count(b"HTTP/1.1") == 1
    assert echo.heard == []


def test_an_upgrade_is_answered_as_if_it_had_not_been_asked_for() -> None:
    echo = Echo()
    with serving(echo) as connect:
        asked = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        said = connect().send(asked + _SMUGGLED).everything()
        assert said.startswith(b"HTTP/1.1 200 ")
        assert said.count(b"HTTP/1.1") == 1
    assert echo.heard == ["/"]


def test_a_request_with_an_address_in_full_is_for_us_all_the_same() -> None:
    with serving(Echo()) as connect:
        said = connect().send(b"GET http://evil.example/a HTTP/1.1\r\nHost: x\r\n\r\n").said()
        assert said["path"] == "/a"


# ── who they are ─────────────────────────────────────────────────────────────────────────────


def told(connect: Connect, *headers: bytes, source: str = "127.0.0.1") -> tuple[str, str]:
    lines = b"".join(one + b"\r\n" for one in headers)
    wire = connect(source).send(b"GET / HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n")
    said = wire.said()
    wire.close()
    return said["client"], said["scheme"]


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (b"203.0.113.9", "203.0.113.9"),
        (b"198.51.100.1, 203.0.113.9", "203.0.113.9"),
        (b"127.0.0.1, 203.0.113.9", "203.0.113.9"),
        (b"198.51.100.1, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
        (b"203.0.113.9, 10.1.2.3, 10.9.9.9", "203.0.113.9"),
        (b"10.1.2.3", "10.1.2.3"),
        (b"10.7.7.7, 10.1.2.3", "10.7.7.7"),
        (b"203.0.113.9:4711", "203.0.113.9"),
        (b"2001:db8::9", "2001:db8::9"),
        (b"[2001:db8::9]:4711", "2001:db8::9"),
        (b"[2001:db8::9]", "2001:db8::9"),
        (b"::ffff:203.0.113.9", "203.0.113.9"),
        (b"203.0.113.9, ::ffff:10.1.2.3", "203.0.113.9"),
        (b"unknown", "127.0.0.1"),
        (b"<script>alert(1)</script>", "127.0.0.1"),
        (b"203.0.113.9, unknown", "127.0.0.1"),
        (b"203.0.113.9, unknown, 10.1.2.3", "10.1.2.3"),
        (b"", "127.0.0.1"),
        (b", ,", "127.0.0.1"),
        (b"203.0.113.999", "127.0.0.1"),
        (b"1" * 5000, "127.0.0.1"),
        (b"\xff\xfe", "127.0.0.1"),
        (b", ".join([b"198.51.100.1"] * 500), "198.51.100.1"),
    ],
)
def test_the_visitor_is_whom_the_last_trusted_proxy_was_asked_by(
    forwarded: bytes, client: str
) -> None:
    with serving(Echo(), trusted=("127.0.0.1", "10.0.0.0/8")) as connect:
        assert told(connect, b"X-Forwarded-For: " + forwarded)[0] == client


def test_several_headers_are_one_list() -> None:
    with serving(Echo(), trusted=("127.0.0.1", "10.0.0.0/8")) as connect:
        lines = (b"X-Forwarded-For: 198.51.100.1", b"X-Forwarded-For: 203.0.113.9, 10.0.0.1")
        assert told(connect, *lines)[0] == "203.0.113.9"


def test_nobody_else_is_believed() -> None:
    lines = (b"X-Forwarded-For: 203.0.113.9", b"X-Forwarded-Proto: https")
    more = (b"X-Real-IP: 203.0.113.9", b"Forwarded: for=203.0.113.9;proto=https")
    with serving(Echo(), trusted=("127.0.0.9",)) as connect:
        assert told(connect, *lines, *more) == ("127.0.0.1", "http")
        assert told(connect, *lines, source="127.0.0.9") == ("203.0.113.9", "https")
    with serving(Echo(), trusted=()) as connect:
        assert told(connect, *lines, *more) == ("127.0.0.1", "http")


@pytest.mark.parametrize("scheme", [b"javascript", b"https, http", b"HTTPS ", b""])
def test_a_scheme_that_is_none_is_not_believed(scheme: bytes) -> None:
    with serving(Echo()) as connect:
        assert told(connect, b"X-Forwarded-Proto: " + scheme)[1] == "http"
