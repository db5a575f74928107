"""The webhook: what it sends, how it is signed, and where it never goes."""

from __future__ import annotations

import hashlib
import hmac

import httpx
import pytest

from newsletter_bot.crosspost.calls import PutOffError, RefusedError
from newsletter_bot.crosspost.channels import webhook
from newsletter_bot.outside import guarded_client, is_public
from tests.crosspost.channels import opened, post
from tests.crosspost.conftest import options
from tests.servers.channel_server import ChannelServer


def test_the_document_says_all_there_is_and_is_signed(server: ChannelServer) -> None:
    table = {**options("webhook", server.url), "token": "let me in", "secret": "ours"}
    one = post("Grüße", item="an-item", url="https://example.com/")
    opened(webhook, table).post(one)
    [asked] = server.created
    assert asked.json == {
        "newsletter": "Weekly ML News",
        "issue": "2026-W01",
        "item": "an-item",
        "title": "Week 1",
        "description": "",
        "text": "Grüße",
        "url": "https://example.com/",
        "tags": ["ml", "nets"],
        "language": "en",
    }
    assert asked.headers["Idempotency-Key"] == one.key
    assert asked.headers["Authorization"] == "Bearer let me in"
    digest = hmac.new(b"ours", asked.body, hashlib.sha256).hexdigest()
    assert asked.headers["X-Signature-256"] == f"sha256={digest}"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "[::ffff:127.0.0.1]", "2130706433"]
)
def test_a_private_address_is_refused_unless_it_is_allowed(
    server: ChannelServer, host: str
) -> None:
    url = server.url.replace("127.0.0.1", host) + "/hook"
    with pytest.raises(RefusedError, match="private address") as caught:
        opened(webhook, {"url": url}).post(post())
    assert "allow_private" in caught.value.next_step
    assert server.asked == []


@pytest.mark.parametrize("url", ["ftp://example.com/", "example.com/hook", "file:///etc/passwd"])
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(RefusedError, match="no web address"):
        opened(webhook, {"url": url}).post(post())


def test_a_redirect_is_not_followed(server: ChannelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    away = {"Location": f"{server.url}/other"}
    monkeypatch.setattr(server, "_webhook", lambda asked: (307, away, ""))
    with pytest.raises(RefusedError, match=r"sends us to 127\.0\.0\.1"):
        opened(webhook, options("webhook", server.url)).post(post())
    assert len(server.asked) == 1


def test_a_server_that_is_away_is_tried_later() -> None:
    with pytest.raises(PutOffError):
        opened(webhook, options("webhook", "http://127.0.0.1:9")).post(post())


@pytest.mark.parametrize(
    "address",
    [
        *("10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("127.8.8.8", "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "nonsense"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "2001:db8::1"),
        *("::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:4136:e378:8000:63bf::"),
    ],
)
def test_private_addresses_of_every_form(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["8.8.8.8", "10.0.0.1"]

    with guarded_client(1.0, resolve) as client, pytest.raises(httpx.ConnectError, match="private"):
        client.get("http://rebinding.example/")
    assert asked == ["rebinding.example"], "resolved once"
