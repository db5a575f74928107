"""The ledger of cross-posts: what is planned, what is due, who posts, what is never doubled."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from newsletter_bot.crosspost.model import CrossPostState
from newsletter_bot.errors import ConfigurationError, UsageError
from tests.crosspost.conftest import ISSUE, NOON, PAGE, Newsroom

POSTED, FAILED, SKIPPED = CrossPostState.POSTED, CrossPostState.FAILED, CrossPostState.SKIPPED
PLANNED, UNKNOWN = CrossPostState.PLANNED, CrossPostState.UNKNOWN


def test_a_plan_is_written_once_and_keeps_the_texts_of_its_day(
    newsroom: Newsroom, write_issue: Callable[..., Path]
) -> None:
    newsroom.channel("mastodon", posts="items")
    assert newsroom.desk.plan(newsroom.issue, PAGE) == 2
    path = write_issue()
    path.write_text(
        path.read_text(encoding="utf-8").replace("Very deep networks", "Quite deep networks"),
        encoding="utf-8",
    )
    assert newsroom.desk.plan(newsroom.issue, PAGE) == 0
    assert [row.item for row in newsroom.rows] == [
        "very-deep-networks-can-be-trained",
        "building-blocks-of-interpretability",
    ]
    assert newsroom.desk.due() == [ISSUE]


def test_a_channel_added_later_is_planned_then(newsroom: Newsroom) -> None:
    newsroom.channel("mastodon")
    newsroom.post()
    newsroom.channel("slack")
    assert newsroom.post().posted == 1
    assert [row.channel for row in newsroom.rows] == ["mastodon", "slack"]


def test_one_channel_alone_leaves_the_others(newsroom: Newsroom) -> None:
    newsroom.channel("mastodon")
    newsroom.channel("slack")
    assert newsroom.post("slack").posted == 1
    assert [row.channel for row in newsroom.rows] == ["slack"]
    with pytest.raises(UsageError, match="'bluesky' is not one of the channels"):
        newsroom.drafts("bluesky")


def test_a_channels_failure_leaves_the_others_alone(newsroom: Newsroom) -> None:
    newsroom.channel("telegram", token="revoked")
    newsroom.channel("slack")
    newsroom.channel("discord", url="")
    done = newsroom.post()
    assert (done.posted, done.failed) == (1, 2)
    reasons = {failure.channel: failure.reason for failure in done.failures}
    assert "does not accept our login" in reasons["telegram"]
    assert "channels.discord.url is needed" in reasons["discord"]
    assert newsroom.desk.due() == []


def test_a_fault_in_a_channels_own_code_is_unknown_and_stops_nobody(
    newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    from newsletter_bot.crosspost.channels.telegram import Telegram

    def broken(self: Telegram, post: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(Telegram, "post", broken)
    newsroom.channel("telegram")
    newsroom.channel("slack")
    done = newsroom.post()
    assert (done.posted, done.unknown) == (1, 1)
    assert "surprise" in done.failures[0].reason


def test_a_thread_goes_on_in_the_middle(newsroom: Newsroom) -> None:
    newsroom.channel("mastodon", posts="thread")
    newsroom.server.faults += ["", "429"]
    assert (newsroom.post().posted, newsroom.states) == (1, [POSTED, PLANNED, PLANNED])
    assert newsroom.post().posted == 0
    newsroom.clock.now += 60
    assert newsroom.post().posted == 2
    replies = [one["body"].get("in_reply_to_id") for one in newsroom.server.posts]
    assert replies == [None, "1000", "1001"]


def test_a_lost_reply_in_a_thread_is_found_before_the_next_part(newsroom: Newsroom) -> None:
    newsroom.channel("x", posts="thread")
    newsroom.server.faults += ["", "lost"]
    newsroom.post()
    newsroom.clock.now += 600
    assert newsroom.post().posted == 2
    assert len(newsroom.server.posts) == 3
    assert newsroom.server.posts[2]["body"]["reply"] == {"in_reply_to_tweet_id": "1001"}


def test_a_thread_ends_where_a_part_is_refused_and_goes_on_after_a_retry(
    newsroom: Newsroom,
) -> None:
    newsroom.channel("x", posts="thread")
    newsroom.server.faults += ["", "refused"]
    assert newsroom.post().failed == 1
    assert newsroom.states == [POSTED, FAILED, SKIPPED]
    assert newsroom.desk.due() == []
    assert newsroom.desk.retry(newsroom.issue, PAGE) == 2
    assert newsroom.desk.post(ISSUE).posted == 2
    assert newsroom.states == [POSTED] * 3


def test_items_without_a_thread_do_not_wait_for_each_other(newsroom: Newsroom) -> None:
    newsroom.channel("x", posts="items")
    newsroom.server.faults += ["refused"]
    assert newsroom.post().posted == 1
    assert newsroom.states == [FAILED, POSTED]


def test_mastodons_key_is_trusted_for_less_than_an_hour(newsroom: Newsroom) -> None:
    newsroom.channel("mastodon")
    newsroom.server.faults += ["lost"]
    newsroom.post()
    newsroom.clock.now += 3600
    done = newsroom.post()
    assert (done.unknown, len(newsroom.server.created)) == (1, 1)


def test_an_unknown_post_is_settled_by_the_operator_alone(newsroom: Newsroom) -> None:
    newsroom.channel("slack")
    newsroom.channel("telegram")
    newsroom.server.faults += ["lost", "lost"]
    assert newsroom.post().unknown == 2
    assert newsroom.desk.retry(newsroom.issue, PAGE) == 0
    assert newsroom.desk.resolve_unknown(ISSUE, "slack", post=False) == 1
    assert newsroom.desk.resolve_unknown(ISSUE, post=True) == 1
    assert newsroom.states == [SKIPPED, PLANNED]
    assert newsroom.desk.retry(newsroom.issue, PAGE) == 0, "what may be there is not posted again"
    assert newsroom.desk.post(ISSUE).posted == 1


def test_posts_beyond_the_months_cap_are_skipped_with_the_reason(newsroom: Newsroom) -> None:
    newsroom.channel("x", posts="items", link="all", monthly_cap_usd=0.3)
    done = newsroom.post()
    assert (done.posted, done.skipped) == (1, 1)
    assert newsroom.rows[1].reason == "monthly_cap_usd of $0.30 would be exceeded"
    assert sum(row.cost for row in newsroom.rows) == pytest.approx(0.4)
    newsroom.clock.now += 31 * 86_400
    newsroom.desk.retry(newsroom.issue, PAGE)
    assert newsroom.desk.post(ISSUE).posted == 1


def test_a_cap_of_nothing_posts_nothing(newsroom: Newsroom) -> None:
    newsroom.channel("x", monthly_cap_usd=0)
    assert newsroom.post().skipped == 1
    assert newsroom.server.asked == []


def test_two_processes_never_post_the_same_issue_at_once(newsroom: Newsroom) -> None:
    newsroom.channel("slack")
    newsroom.server.hold = threading.Event()
    newsroom.desk.plan(newsroom.issue, PAGE)
    first = newsroom.desk
    thread = threading.Thread(target=first.post, args=(ISSUE,))
    thread.start()
    while not newsroom.server.posts:
        assert thread.is_alive()
    assert newsroom.desk.post(ISSUE).busy
    assert newsroom.desk.due() == []
    newsroom.server.hold.set()
    thread.join()
    assert newsroom.states == [POSTED]
    assert len(newsroom.server.posts) == 1


def test_plans_made_at_once_make_each_row_once(newsroom: Newsroom) -> None:
    newsroom.channel("mastodon", posts="items", most=500)
    issue, desks = newsroom.issue, [newsroom.desk for _ in range(4)]
    threads = [threading.Thread(target=desk.plan, args=(issue, PAGE)) for desk in desks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(newsroom.rows) == 2


def test_a_stop_is_heard_before_the_next_post(newsroom: Newsroom) -> None:
    newsroom.channel("mastodon", posts="items")
    newsroom.desk.plan(newsroom.issue, PAGE)
    done = newsroom.desk.post(ISSUE, stop=lambda: len(newsroom.server.posts) == 1)
    assert (done.posted, done.owed) == (1, 1)
    assert newsroom.desk.due() == [ISSUE]


def test_posts_are_spaced_where_a_service_asks_for_it(newsroom: Newsroom) -> None:
    newsroom.channel("telegram", posts="items")
    newsroom.post()
    assert newsroom.pauses == [1.1]


def test_a_channel_that_is_not_configured_any_more_is_skipped(newsroom: Newsroom) -> None:
    newsroom.channel("slack")
    newsroom.desk.plan(newsroom.issue, PAGE)
    newsroom.tables.clear()
    assert newsroom.desk.post(ISSUE).skipped == 1
    assert newsroom.desk.due() == []


def test_a_channel_whose_table_was_broken_meanwhile_fails_without_raising(
    newsroom: Newsroom,
) -> None:
    newsroom.channel("slack")
    newsroom.desk.plan(newsroom.issue, PAGE)
    newsroom.tables["slack"]["colour"] = "red"
    done = newsroom.desk.post(ISSUE)
    assert done.failed == 1
    assert "channels.slack.colour" in done.failures[0].reason


def test_wrong_tables_are_told_before_anything_is_planned(newsroom: Newsroom) -> None:
    newsroom.tables["carrier-pigeon"] = {"loft": "north"}
    with pytest.raises(ConfigurationError, match="there is no such channel"):
        newsroom.drafts()
    newsroom.tables = {"mastodon": {"server": "https://a.example", "tokn": "x"}}
    with pytest.raises(ConfigurationError, match="Did you mean 'token'"):
        newsroom.drafts()
    newsroom.tables = {"telegram": {"chat": "@a", "posts": "thread"}}
    with pytest.raises(ConfigurationError, match=r"channels\.telegram\.posts"):
        newsroom.drafts()


def test_what_never_gets_through_is_given_up_in_the_end(newsroom: Newsroom) -> None:
    newsroom.channel("slack")
    newsroom.server.faults += ["500"] * 100
    for _ in range(40):
        newsroom.post()
        newsroom.clock.now += 4000
    assert newsroom.states == [FAILED]
    assert "given up after 30 attempts" in newsroom.rows[0].reason


def test_tokens_that_change_with_use_are_kept_in_the_database(newsroom: Newsroom) -> None:
    newsroom.tables["x"] = {"server": newsroom.server.url, "client_id": "client"}
    tokens = newsroom.desk.means("x").tokens
    assert tokens.read() == {}
    tokens.write({"access_token": "old", "refresh_token": "refresh-0", "until": NOON - 1})
    assert newsroom.post().posted == 1
    assert newsroom.desk.means("x").tokens.read()["refresh_token"] == "refresh-1"
    with tokens.alone() as held, newsroom.desk.means("x").tokens.alone() as second:
        assert (held, second) == (True, False)


def test_a_channel_that_went_down_after_a_lost_reply_leaves_the_post_unknown(
    newsroom: Newsroom,
) -> None:
    newsroom.channel("linkedin", posts="items")
    newsroom.server.faults += ["lost", "401"]
    newsroom.post()
    newsroom.clock.now += 120
    newsroom.post()
    assert newsroom.states == [UNKNOWN, FAILED]
    assert newsroom.desk.retry(newsroom.issue, PAGE) == 1
