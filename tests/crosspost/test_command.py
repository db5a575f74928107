"""`crosspost` and `channels`, as people and scripts use them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import pytest

from newsletter_bot.cli import main
from newsletter_bot.crosspost.channels import kinds
from tests.crosspost.conftest import IDEMPOTENT, ISSUE, PAGE, Newsroom
from tests.servers.channel_server import TOKEN


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def engine() -> None:
    """The command opens the newsletter's own."""


def run(newsroom: Newsroom, *words: str, as_json: bool = False, typed: str = "") -> Result:
    newsroom.write_settings()
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.StringIO(typed))
        patch.setenv("COLUMNS", "200")
        arguments = ["-C", str(newsroom.folder), *(["--json"] if as_json else []), *words]
        code = 0
        with redirect_stdout(out), redirect_stderr(err):
            try:
                main(arguments)
            except SystemExit as ended:
                code = int(ended.code or 0)
    assert "Traceback" not in err.getvalue()
    return Result(code, out.getvalue(), err.getvalue())


def test_a_dry_run_shows_texts_weights_links_and_cost(newsroom: Newsroom) -> None:
    newsroom.channel("x")
    newsroom.channel("bluesky")
    shown = run(newsroom, "crosspost", ISSUE, "--dry-run")
    assert shown.code == 0
    assert "x  36 of 280  $0.200" in shown.out
    assert f"link: {PAGE}" in shown.out
    assert "Would post 2 of 2026-W01 for $0.200; nothing was posted." in shown.out
    [first, _] = run(newsroom, "crosspost", ISSUE, "--dry-run", as_json=True).json["posts"]
    assert first == {
        "channel": "x",
        "item": "",
        "text": f"Week 1, 2026\n{PAGE}",
        "weight": 36,
        "limit": 280,
        "url": PAGE,
        "cost_usd": 0.2,
    }
    assert newsroom.server.asked == []


def test_posting_prints_where_it_is_and_a_second_time_posts_nothing(newsroom: Newsroom) -> None:
    newsroom.channel("mastodon")
    first = run(newsroom, "crosspost", ISSUE, "--no-check")
    assert first.code == 0, first.err
    assert f"{newsroom.server.url}/@news/1000" in first.out
    again = run(newsroom, "crosspost", ISSUE, "--no-check", as_json=True)
    assert (again.code, again.json["posted"]) == (0, 0)
    assert again.json["rows"][0]["state"] == "posted"
    assert len(newsroom.server.posts) == 1


def test_what_is_to_be_tried_again_exits_75_and_a_failure_1(newsroom: Newsroom) -> None:
    newsroom.channel("slack")
    newsroom.server.faults += ["429"]
    later = run(newsroom, "crosspost", ISSUE, "--no-check")
    assert later.code == 75
    assert "again from" in later.out
    assert "next:" in later.err
    newsroom.tables = {}
    newsroom.channel("telegram", token="revoked")
    failed = run(newsroom, "crosspost", ISSUE, "--channel", "telegram", "--no-check")
    assert failed.code == 1
    assert "next:  telegram: Ask @BotFather" in failed.out
    newsroom.channel("telegram")
    again = run(newsroom, "crosspost", ISSUE, "--channel", "telegram", "--no-check", "--retry")
    assert again.code == 0, again.out


def test_an_unknown_outcome_is_shown_and_settled(newsroom: Newsroom) -> None:
    newsroom.channel("discord")
    newsroom.server.faults += ["lost"]
    unknown = run(newsroom, "crosspost", ISSUE, "--no-check")
    assert (unknown.code, "unknown" in unknown.out) == (1, True)
    assert run(newsroom, "crosspost", ISSUE, "--no-check").code == 1
    assert run(newsroom, "crosspost", ISSUE, "--no-check", "--unknown", "skip").code == 0
    assert len(newsroom.server.posts) == 1


def test_a_page_that_is_not_there_is_a_warning(newsroom: Newsroom) -> None:
    path = newsroom.folder / "newsletter.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace("https://news.example.com", "http://127.0.0.1:9"), encoding="utf-8"
    )
    newsroom.channel("slack")
    warned = run(newsroom, "crosspost", ISSUE)
    assert (warned.code, "does not answer; posts link to it" in warned.out) == (0, True)
    assert len(newsroom.server.posts) == 1


def test_mistakes_are_sentences(newsroom: Newsroom) -> None:
    nothing = run(newsroom, "crosspost", ISSUE)
    assert (nothing.code, "names no channel" in nothing.err) == (78, True)
    newsroom.channel("slack")
    assert run(newsroom, "crosspost", ISSUE, "--channel", "slick").code == 2
    assert run(newsroom, "crosspost", "2031-W01").code == 65
    newsroom.tables["slack"]["hook"] = "x"
    wrong = run(newsroom, "crosspost", ISSUE, "--dry-run")
    assert (wrong.code, "channels.slack.hook" in wrong.err) == (78, True)


def test_a_secret_may_come_from_the_environment_or_a_file(
    newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    newsroom.channel("mastodon")
    del newsroom.tables["mastodon"]["token"]
    missing = run(newsroom, "crosspost", ISSUE, "--no-check")
    assert missing.code == 1
    assert "NEWSLETTER_BOT_CHANNELS__MASTODON__TOKEN" in missing.out
    monkeypatch.setenv("NEWSLETTER_BOT_CHANNELS__MASTODON__TOKEN", TOKEN)
    assert run(newsroom, "crosspost", ISSUE, "--no-check", "--retry").code == 0
    monkeypatch.delenv("NEWSLETTER_BOT_CHANNELS__MASTODON__TOKEN")
    (newsroom.folder / "slack.url").write_text(
        f"{newsroom.server.url}/services/T/B/{TOKEN}\n", encoding="utf-8"
    )
    newsroom.tables = {"slack": {"url_file": "slack.url"}}
    assert run(newsroom, "crosspost", ISSUE, "--no-check").code == 0


def test_channels_are_listed_with_price_and_options(newsroom: Newsroom) -> None:
    listed = run(newsroom, "channels", "list", as_json=True).json["channels"]
    known = {one["name"]: one for one in listed}
    assert {"x", "medium", "mastodon", "webhook"} <= set(known)
    assert "$0.200" in known["x"]["price"]
    assert "monthly_cap_usd" in known["x"]["options"]
    assert "Bluesky" in run(newsroom, "channels", "list").out


def test_connecting_x_asks_for_the_redirect_address(newsroom: Newsroom) -> None:
    newsroom.tables["x"] = {"server": newsroom.server.url, "client_id": "client"}
    wrong = run(newsroom, "channels", "connect", "x", typed="http://127.0.0.1/callback?code=1\n")
    assert (wrong.code, "another attempt" in wrong.err) == (65, True)
    assert "https://x.com/i/oauth2/authorize?response_type=code&client_id=client" in wrong.out
    newsroom.tables["x"].pop("client_id")
    assert run(newsroom, "channels", "connect", "x").code == 78
    assert run(newsroom, "channels", "connect", "slack").code == 2


@pytest.mark.parametrize("name", list(kinds()))
def test_a_killed_program_leaves_one_post_whatever_is_run_next(
    newsroom: Newsroom, name: str
) -> None:
    state = "posted" if name in IDEMPOTENT else "unknown"
    newsroom.channel(name)
    newsroom.write_settings()
    newsroom.server.hold = threading.Event()
    words = ["-C", str(newsroom.folder), "crosspost", ISSUE, "--no-check"]
    process = subprocess.Popen(
        [sys.executable, "-m", "newsletter_bot", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 60
    while not newsroom.server.posts:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    process.kill()
    process.communicate()
    newsroom.server.hold.set()
    after = run(newsroom, "crosspost", ISSUE, "--no-check", as_json=True)
    assert [row["state"] for row in after.json["rows"]] == [state]
    assert len(newsroom.server.posts) == 1
    assert after.code == (0 if state == "posted" else 1)
