"""Webhooks that point into a private network are refused, in every form that leads there."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from tests.hooks.conftest import Round
from tests.servers.hook_server import HookServer

Open = Callable[..., Round]
HOSTS = [
    *("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]", "2130706433"),
    *("0x7f.1", "0x7f.0.0.1", "0x7f000001", "127.1", "017700000001"),
    *("169.254.169.254", "2852039166", "0xa9fea9fe", "[fe80::1]", "[64:ff9b::a9fe:a9fe]"),
    *("10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "[fd00::1]"),
]


@pytest.mark.parametrize("host", HOSTS)
def test_it_is_refused_with_a_sentence_and_nothing_is_asked(
    open_round: Open, server: HookServer, host: str
) -> None:
    it = open_round({"name": "a", "url": server.url("a", host), "allow_private": False})
    answer = it.desk.test("a")
    assert answer.status is None
    assert "it leads to the private address" in answer.reason
    assert "webhooks.allow_private = true" in answer.reason
    it.tell()
    it.deliver()
    assert it.states() == ["planned"], "a name may be mended meanwhile"
    ((_, title, text),) = it.alerts
    assert title == "The webhook a cannot be reached"
    assert "private address" in text
    assert server.calls == []


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::1", "10.1.2.3"])
def test_a_name_that_leads_there_is_refused_too(
    open_round: Open, server: HookServer, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    real = socket.getaddrinfo

    def lookup(host: Any, *rest: Any, **named: Any) -> Any:
        return real(address if host == "hooks.example.com" else host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    url = server.url("a", "hooks.example.com")
    it = open_round({"name": "a", "url": url, "allow_private": False})
    assert f"private address {address}" in it.desk.test("a").reason
    assert server.calls == []


@pytest.mark.parametrize(
    "url",
    [
        *("http://user:password@example.com/", "http://example.com:99999/", "http://[::1"),
        *("http://0177.0.0.1/", "http://0251.0376.0251.0376/"),
    ],
)
def test_what_is_no_plain_web_address_is_refused(open_round: Open, url: str) -> None:
    it = open_round({"name": "a", "url": url})
    assert "correct webhooks.url" in it.desk.test("a").reason
