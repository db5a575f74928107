"""X: signatures, tokens that work once, duplicates, credits."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from newsletter_bot.crosspost.calls import ChannelDownError, PutOffError, RefusedError
from newsletter_bot.crosspost.channels import x
from newsletter_bot.crosspost.channels.x.oauth1 import Keys, authorization
from newsletter_bot.crosspost.options import Means
from newsletter_bot.errors import ConfigurationError, DataError
from tests.crosspost.channels import NOON, MemoryTokens, opened, post
from tests.crosspost.conftest import options
from tests.servers.channel_server import ChannelServer

OAUTH2 = {"client_id": "client", "client_secret": "hush"}


def channel(server: ChannelServer, tokens: MemoryTokens | None = None, **more: object) -> x.X:
    table = {"server": server.url, **more} if more else options("x", server.url)
    found = opened(x, table, tokens=tokens)
    assert isinstance(found, x.X)
    return found


@pytest.mark.parametrize(
    ("version", "signature"),
    [("1", "tnnArxj06cWHq44gCs1OSKk%2FjLY%3D"), ("1.1", "hCtSmYh%2BiHYCEqBWrE7C7hYmtUk%3D")],
)
def test_a_signature_is_that_of_the_published_example(version: str, signature: str) -> None:
    """ "Creating a signature", as published for both versions of the API."""
    keys = Keys(
        "xvz1evFS4wEEPTGEFPHBog",
        "kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw",
        "370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb",
        "LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE",
    )
    query = urlencode(
        {
            "include_entities": "true",
            "status": "Hello Ladies + Gentlemen, a signed OAuth request!",
        }
    )
    url = f"https://api.twitter.com/{version}/statuses/update.json?{query}"
    nonce = "kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg"
    header = authorization("post", url, keys, 1318622958, nonce)
    assert f'oauth_signature="{signature}"' in header
    assert "include_entities" not in header


def test_a_post_is_signed_and_says_nothing_but_its_text(server: ChannelServer) -> None:
    receipt = channel(server).post(post("Größe & 日本語"))
    [asked] = server.created
    assert asked.json == {"text": "Größe & 日本語"}
    assert asked.headers["Authorization"].startswith('OAuth oauth_consumer_key="app"')
    assert receipt.remote_url == "https://x.com/i/web/status/1000"


def test_a_duplicate_that_we_did_not_make_is_refused_with_the_reason(
    server: ChannelServer,
) -> None:
    channel(server).post(post("Same"))
    with pytest.raises(RefusedError, match="very text already"):
        channel(server).post(post("Same"))


def test_an_earlier_attempt_is_found_among_our_own_posts(server: ChannelServer) -> None:
    text = "Nets & more\nhttps://example.com/a?b=1&c=2"
    channel(server).post(post(text))
    found = channel(server).post(post(text, again=True))
    assert (found.remote_id, len(server.created)) == ("1000", 1)


def test_a_duplicate_that_cannot_be_found_is_still_known_to_be_posted(
    server: ChannelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel(server).post(post("Same"))
    monkeypatch.setattr(x.X, "_find", lambda self, post: None)
    receipt = channel(server).post(post("Same", again=True))
    assert (receipt.remote_id, len(server.posts)) == ("", 1)
    assert "posted by an attempt" in receipt.note


def test_a_reply_in_a_thread_names_the_post_before(server: ChannelServer) -> None:
    channel(server).post(post("Second", replies_to="41", part=1))
    assert server.created[0].json["reply"] == {"in_reply_to_tweet_id": "41"}


@pytest.mark.parametrize("fault", ["402", "usage"])
def test_without_credits_the_channel_says_so(
    server: ChannelServer, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "usage":
        body = {"type": "https://api.x.com/2/problems/usage-capped", "detail": "Usage cap"}
        monkeypatch.setattr(server, "_x", lambda asked: (429, {}, body))
    else:
        server.faults += [fault]
    with pytest.raises(ChannelDownError, match="takes no more posts") as caught:
        channel(server).post(post())
    assert "credits" in caught.value.next_step


def test_the_end_of_a_rate_limit_is_read_from_its_own_header(
    server: ChannelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reset = {"x-rate-limit-reset": str(NOON + 900)}
    monkeypatch.setattr(server, "_x", lambda asked: (429, reset, {"detail": "Too many"}))
    with pytest.raises(PutOffError) as caught:
        channel(server).post(post())
    assert caught.value.seconds == 900


def test_without_keys_it_says_which_one_and_where_to_set_it(server: ChannelServer) -> None:
    with pytest.raises(ConfigurationError) as caught:
        channel(server, link="all").post(post())
    assert "channels.x.api_key is needed" in caught.value.message
    assert "NEWSLETTER_BOT_CHANNELS__X__API_KEY" in caught.value.next_step


# ── OAuth 2 ──────────────────────────────────────────────────────────────────────────────────


def test_connecting_asks_with_a_challenge_and_keeps_the_tokens(server: ChannelServer) -> None:
    tokens = MemoryTokens()
    way = connection(server, tokens)
    request = way.begin()
    query = parse_qs(urlsplit(request.url).query)
    assert query["code_challenge_method"] == ["S256"]
    assert "offline.access" in query["scope"][0]
    assert request.verifier not in request.url
    way.finish(request, f"http://127.0.0.1/callback?state={request.state}&code=refresh-0")
    [asked] = server.asked
    assert asked.form["code_verifier"] == request.verifier
    assert asked.headers["Authorization"].startswith("Basic ")
    assert tokens.tokens["refresh_token"] == "refresh-1"


def test_an_address_of_another_attempt_or_a_refusal_gives_no_tokens(
    server: ChannelServer,
) -> None:
    way = connection(server, MemoryTokens())
    request = way.begin()
    for address in ("", "nonsense", "http://127.0.0.1/callback?state=forged&code=refresh-0"):
        with pytest.raises(DataError, match="another attempt"):
            way.finish(request, address)
    refused = f"http://127.0.0.1/callback?state={request.state}&error=access_denied"
    with pytest.raises(DataError, match="access_denied"):
        way.finish(request, refused)
    assert server.asked == []


def test_a_token_that_ended_is_renewed_and_the_new_one_kept(server: ChannelServer) -> None:
    tokens = MemoryTokens({"access_token": "old", "refresh_token": "refresh-0", "until": NOON + 10})
    channel(server, tokens, **OAUTH2).post(post())
    assert tokens.tokens["access_token"] == "access-1"
    assert tokens.tokens["until"] == NOON + 7200
    channel(server, tokens, **OAUTH2).post(post("Another"))
    assert server.refresh_tokens == ["refresh-0", "refresh-1"]


def test_a_token_that_is_refused_before_its_time_is_renewed_once(server: ChannelServer) -> None:
    tokens = MemoryTokens(
        {"access_token": "old", "refresh_token": "refresh-0", "until": NOON + 7000}
    )
    channel(server, tokens, **OAUTH2).post(post())
    assert len(server.posts) == 1


def test_a_refresh_token_that_was_revoked_takes_the_channel_down(server: ChannelServer) -> None:
    tokens = MemoryTokens({"access_token": "a", "refresh_token": "stolen", "until": 0})
    with pytest.raises(ChannelDownError, match="does not accept our tokens") as caught:
        channel(server, tokens, **OAUTH2).post(post())
    assert "channels connect x" in caught.value.next_step


def test_without_a_connection_it_says_how_to_make_one(server: ChannelServer) -> None:
    with pytest.raises(ChannelDownError, match="not connected") as caught:
        channel(server, MemoryTokens(), **OAUTH2).post(post())
    assert "channels connect x" in caught.value.next_step


def connection(server: ChannelServer, tokens: MemoryTokens) -> x.oauth2.Connection:
    table = x.Options.model_validate({"server": server.url, **OAUTH2})
    return x.connection(table, Means("x", Path(), lambda: float(NOON), tokens))
