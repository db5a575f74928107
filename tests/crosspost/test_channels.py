"""What each channel sends, and what only that service does."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from newsletter_bot.crosspost.calls import ChannelDownError, LostError, PutOffError, RefusedError
from newsletter_bot.crosspost.channels import (
    bluesky,
    discord,
    kinds,
    linkedin,
    mastodon,
    medium,
    slack,
    telegram,
)
from newsletter_bot.crosspost.model import Details, Post
from tests.crosspost.channels import NOON, opened, post
from tests.crosspost.conftest import options
from tests.servers.channel_server import ChannelServer

HOSTILE = "@everyone <!channel> *bold* [a](http://b.io) a_b #tag https://a.io/x_y(z)"


def send(server: ChannelServer, kind: Any, one: Post, **more: Any) -> Any:
    """Post it; returns the request that reached the service."""
    name = kind.__name__.rpartition(".")[2]
    opened(kind, {**options(name, server.url), **more}).post(one)
    return server.created[-1]


# ── Bluesky ──────────────────────────────────────────────────────────────────────────────────


def test_blueskys_links_are_marked_by_bytes_and_the_card_costs_no_characters(
    server: ChannelServer,
) -> None:
    text = "日本語👍 https://example.com/ü, and more"
    one = post(text, url="https://news.example.com/archive/2026-W01/")
    record = send(server, bluesky, one).json["record"]
    [facet] = record["facets"]
    place = facet["index"]
    marked = text.encode()[place["byteStart"] : place["byteEnd"]].decode()
    assert marked == facet["features"][0]["uri"] == "https://example.com/ü"
    assert record["embed"]["external"]["uri"] == one.url
    assert one.url not in record["text"]
    assert record["createdAt"] == "2027-01-15T08:00:00.000Z"


def test_blueskys_record_is_the_same_at_every_attempt(server: ChannelServer) -> None:
    first = send(server, bluesky, post()).json
    second = send(server, bluesky, post(again=True)).json
    assert first == second
    assert len(server.posts) == 1


def test_blueskys_record_key_is_a_tid_that_sorts_by_time() -> None:
    early, late = bluesky.record_key(post()), bluesky.record_key(post(made_at=NOON + 60))
    assert len(early) == len(late) == 13
    assert early < late
    assert early != bluesky.record_key(post(key="f" * 32))
    assert set(early) <= set("234567abcdefghijklmnopqrstuvwxyz")
    assert early[0] in "234567abcdefghij"


def test_blueskys_thread_names_its_root_and_its_parent(server: ChannelServer) -> None:
    one = post("Third", part=2, replies_to="at://two cid2", thread="at://one cid1")
    reply = send(server, bluesky, one).json["record"]["reply"]
    assert reply == {
        "root": {"uri": "at://one", "cid": "cid1"},
        "parent": {"uri": "at://two", "cid": "cid2"},
    }


def test_bluesky_logs_in_once_for_a_run_and_again_when_the_session_ended(
    server: ChannelServer,
) -> None:
    channel = opened(bluesky, options("bluesky", server.url))
    for number in range(3):
        channel.post(post(f"Post {number}", key=f"{number:032x}"))
    assert sum("createSession" in one.path for one in server.asked) == 1
    assert isinstance(channel, bluesky.Bluesky)
    channel._session = ("ended", "did:plc:news")
    channel.post(post("Fourth", key="f" * 32))
    assert sum("createSession" in one.path for one in server.asked) == 2
    assert len(server.posts) == 4


def test_a_wrong_app_password_takes_bluesky_down(server: ChannelServer) -> None:
    with pytest.raises(ChannelDownError) as caught:
        send(server, bluesky, post(), app_password="wrong")
    assert "app password" in caught.value.next_step


# ── Mastodon ─────────────────────────────────────────────────────────────────────────────────


def test_mastodons_limit_is_what_the_server_says(server: ChannelServer) -> None:
    server.characters = 1234
    assert opened(mastodon, options("mastodon", server.url)).limit == 1234
    assert opened(mastodon, {**options("mastodon", server.url), "most": 70}).limit == 70
    nowhere = opened(mastodon, {**options("mastodon", "http://127.0.0.1:9"), "timeout": 1})
    assert nowhere.limit == 500


@pytest.mark.parametrize("said", [0, -1, "many", None, 10**9])
def test_a_limit_that_makes_no_sense_is_not_believed(server: ChannelServer, said: Any) -> None:
    server.characters = said
    assert opened(mastodon, options("mastodon", server.url)).limit == 500


def test_a_status_has_its_key_language_and_visibility(server: ChannelServer) -> None:
    one = post(details=Details(language="ja-JP"), replies_to="41")
    asked = send(server, mastodon, one, visibility="unlisted")
    assert asked.headers["Idempotency-Key"] == one.key
    assert asked.json == {
        "status": "Hello",
        "visibility": "unlisted",
        "language": "ja",
        "in_reply_to_id": "41",
    }


# ── LinkedIn, Discord, Slack, Telegram ───────────────────────────────────────────────────────


def test_linkedins_reserved_characters_are_escaped_and_links_are_not(
    server: ChannelServer,
) -> None:
    asked = send(server, linkedin, post(HOSTILE))
    assert asked.json["commentary"] == (
        r"\@everyone \<!channel\> \*bold\* \[a\]\(http://b.io\) a\_b \#tag https://a.io/x_y(z)"
    )
    assert asked.headers["LinkedIn-Version"] == "202611"


def test_linkedins_duplicate_gives_the_first_posts_urn(server: ChannelServer) -> None:
    channel = opened(linkedin, options("linkedin", server.url))
    first, second = channel.post(post()), channel.post(post(again=True))
    assert first.remote_id == second.remote_id == "urn:li:share:1000"
    assert "already" in second.note


def test_discord_waits_for_the_message_and_mentions_nobody(server: ChannelServer) -> None:
    asked = send(server, discord, post(HOSTILE))
    assert asked.path.endswith("?wait=true")
    assert asked.json["allowed_mentions"] == {"parse": []}
    assert r"\*bold\* \[a\](http://b.io) a\_b \#tag https://a.io/x_y(z)" in asked.json["content"]


def test_discord_tells_its_wait_in_the_body(
    server: ChannelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"message": "You are being rate limited.", "retry_after": 2.5}
    monkeypatch.setattr(server, "_discord", lambda asked: (429, {}, body))
    with pytest.raises(PutOffError) as caught:
        send(server, discord, post())
    assert caught.value.seconds == 2.5


def test_slack_is_given_no_formatting_and_no_mention(server: ChannelServer) -> None:
    asked = send(server, slack, post(HOSTILE))
    assert asked.json["text"].startswith("@everyone &lt;!channel&gt; *bold*")
    assert asked.json["mrkdwn"] is False


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_slack_webhook_that_is_gone_takes_the_channel_down(
    server: ChannelServer, status: int
) -> None:
    server.faults += [str(status)]
    with pytest.raises(ChannelDownError, match=str(status)):
        send(server, slack, post())


def test_an_answer_that_is_not_slacks_leaves_open_what_happened(
    server: ChannelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_slack", lambda asked: (200, {}, "<html>Log in</html>"))
    with pytest.raises(LostError, match="Log in"):
        send(server, slack, post())


def test_telegram_sends_plain_text_and_tells_its_wait_in_the_body(
    server: ChannelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipt = opened(telegram, options("telegram", server.url)).post(post(HOSTILE))
    assert server.created[0].json == {"chat_id": "@news", "text": HOSTILE}
    assert receipt.remote_url == "https://t.me/news/1000"
    body = {"ok": False, "description": "Too Many Requests", "parameters": {"retry_after": 35}}
    monkeypatch.setattr(server, "_telegram", lambda asked: (429, {}, body))
    with pytest.raises(PutOffError) as caught:
        send(server, telegram, post())
    assert caught.value.seconds == 35


def test_a_bot_that_was_put_out_of_the_chat_takes_the_channel_down(server: ChannelServer) -> None:
    server.faults += ["403"]
    with pytest.raises(ChannelDownError) as caught:
        send(server, telegram, post())
    assert "BotFather" in caught.value.next_step


# ── Medium ───────────────────────────────────────────────────────────────────────────────────

STORY = "<h1>Week 1</h1>\n<p>Text &amp; more</p>\n"
PAGE = "https://news.example.com/archive/2026-W01/"


def story(**more: Any) -> Post:
    tags = ("a-tag-that-is-longer-than-medium-takes", "ml", "nets", "papers", "fifth")
    return post(STORY, url=PAGE, details=Details(title="Week <1>", tags=tags), **more)


def test_mediums_bundle_is_two_files_beside_the_way_to_import(tmp_path: Path) -> None:
    channel = opened(medium, {}, tmp_path)
    assert channel.safe_for == math.inf
    channel.post(story())
    receipt = channel.post(story())
    folder = tmp_path / "medium" / "2026-W01"
    assert sorted(one.name for one in folder.iterdir()) == ["medium.html", "medium.md"]
    html = (folder / "medium.html").read_text(encoding="utf-8")
    assert f'<link rel="canonical" href="{PAGE}">' in html
    assert "<title>Week &lt;1&gt;</title>" in html
    assert "Tags: ml, nets, papers." in html
    assert STORY in html
    markdown = (folder / "medium.md").read_text(encoding="utf-8")
    assert markdown.startswith(f"---\ncanonical: {PAGE}\ntags: ml, nets, papers\n---\n# Week 1\n")
    assert receipt.remote_url == "https://medium.com/p/import"
    assert "medium/2026-W01/medium.html" in receipt.note


def test_a_bundle_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    (tmp_path / "medium").write_text("in the way", encoding="utf-8")
    with pytest.raises(RefusedError, match="cannot be written"):
        opened(medium, {}, tmp_path).post(story())


def test_mediums_api_gets_a_draft_with_its_canonical_address(server: ChannelServer) -> None:
    asked = send(server, medium, story())
    assert asked.json == {
        "title": "Week <1>",
        "contentFormat": "html",
        "content": STORY,
        "tags": ["ml", "nets", "papers"],
        "canonicalUrl": PAGE,
        "publishStatus": "draft",
        "notifyFollowers": False,
    }


# ── answers of no known shape ────────────────────────────────────────────────────────────────

ODD = ["", "null", "[]", '{"data": []}', '{"id": {}}', "\x00\x1b[31m", "[" * 5000, "<html>" * 99]


@pytest.mark.parametrize("name", sorted(set(kinds()) - {"webhook"}))
@pytest.mark.parametrize("status", [200, 302, 400, 418, 599])
def test_an_odd_answer_is_never_taken_for_a_post(
    server: ChannelServer, name: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for odd in ODD:
        monkeypatch.setattr(server, f"_{name}", lambda asked, odd=odd: (status, {}, odd))
        with pytest.raises((LostError, PutOffError, RefusedError)) as caught:
            opened(kinds()[name], options(name, server.url)).post(post())
        assert "\x1b" not in caught.value.reason
        assert len(json.dumps(caught.value.reason)) < 600
