"""The contract kit of channels: what every one of them must make of a service's answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from newsletter_bot.crosspost.channels import kinds
from newsletter_bot.crosspost.model import CrossPostState
from newsletter_bot.storage.engine import open_engine
from tests.crosspost.conftest import IDEMPOTENT, NOON, Newsroom
from tests.servers.channel_server import RETRY_AFTER, ChannelServer


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """One kind of database is enough here: the ledger's own tests use both."""
    opened = open_engine("sqlite:///test.db", tmp_path)
    yield opened
    opened.dispose()


@pytest.fixture(params=list(kinds()))
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def room(newsroom: Newsroom, name: str) -> Newsroom:
    newsroom.channel(name)
    return newsroom


def test_a_channel_says_what_it_is(name: str) -> None:
    kind = kinds()[name]
    assert kind.description.endswith(".")
    assert kind.idempotency.endswith(".")
    assert kind.price
    assert {"posts", "link", "timeout"} <= set(kind.Options.model_fields)


def test_a_post_is_made_once_however_often_it_is_asked_for(room: Newsroom) -> None:
    assert room.post().posted == 1
    assert room.post().posted == 0
    assert len(room.server.posts) == 1
    assert room.states == [CrossPostState.POSTED]
    assert room.desk.due() == []


def test_a_revoked_token_fails_the_channel_with_a_next_step(room: Newsroom) -> None:
    room.server.faults += ["401"]
    done = room.post()
    assert (done.posted, done.failed, done.owed) == (0, 1, 0)
    assert done.failures[0].reason
    assert done.failures[0].next_step
    assert room.server.posts == []
    assert room.desk.due() == []
    room.desk.retry(room.issue, "https://news.example.com/archive/2026-W01/")
    assert room.desk.post("2026-W01").posted == 1


def test_too_many_requests_wait_as_long_as_the_service_says(room: Newsroom) -> None:
    room.server.faults += ["429"]
    done = room.post()
    assert (done.posted, done.failed, done.owed) == (0, 0, 1)
    [row] = room.rows
    assert row.not_before == NOON + RETRY_AFTER + 1
    assert room.post().posted == 0
    assert len(room.server.created) == 1, "asked again before its time"
    room.clock.now += RETRY_AFTER + 1
    assert room.desk.due() == ["2026-W01"]
    assert room.post().posted == 1


def test_too_many_requests_without_a_time_wait_twice_as_long_each_time(room: Newsroom) -> None:
    room.server.faults += ["429 bare", "429 bare"]
    room.post()
    first = (room.rows[0].not_before or 0) - room.clock.now
    room.clock.now += first
    room.post()
    second = (room.rows[0].not_before or 0) - room.clock.now
    assert 50 < first < second < 4 * first
    room.clock.now += second
    assert room.post().posted == 1
    assert len(room.server.posts) == 1


def test_an_error_of_the_server_is_tried_again(room: Newsroom) -> None:
    room.server.faults += ["500", "503"]
    assert room.post().owed == 1
    room.clock.now += 3600
    assert room.post().owed == 1
    room.clock.now += 3600
    assert room.post().posted == 1
    assert len(room.server.posts) == 1


def test_a_server_that_is_not_there_is_tried_again(room: Newsroom, name: str) -> None:
    port = room.server.url.rpartition(":")[2]
    away = {
        key: value.replace(f":{port}", ":9") if isinstance(value, str) else value
        for key, value in room.tables[name].items()
    }
    here = room.tables[name]
    room.tables[name] = away
    done = room.post()
    assert (done.owed, done.unknown, done.failed) == (1, 0, 0)
    assert "127.0.0.1 does not answer" in room.rows[0].reason
    room.tables[name] = here
    room.clock.now += 120
    assert room.post().posted == 1


@pytest.mark.parametrize("fault", ["lost", "504"])
def test_a_lost_reply_never_leads_to_a_second_post(room: Newsroom, name: str, fault: str) -> None:
    room.server.faults += [fault]
    done = room.post()
    assert done.posted == 0
    if name in IDEMPOTENT:
        assert (done.unknown, done.owed) == (0, 1)
        room.clock.now += 120
        assert room.post().posted == 1
        assert len(room.server.posts) == 1
        assert room.rows[0].remote_id
    else:
        assert (done.unknown, done.owed) == (1, 0)
        assert done.failures[0].next_step
        room.clock.now += 10_000
        assert room.post().posted == 0
        assert len(room.server.created) == 1
        assert room.states == [CrossPostState.UNKNOWN]


def test_a_process_killed_between_call_and_reply_never_leads_to_a_second_post(
    room: Newsroom, name: str, server: ChannelServer
) -> None:
    killed = _killed_while(room, server)
    killed()
    assert room.states == [CrossPostState.POSTING]
    assert len(server.posts) == 1
    done = room.desk.post("2026-W01")
    assert len(server.posts) == 1
    if name in IDEMPOTENT:
        assert room.states == [CrossPostState.POSTED]
        assert room.rows[0].remote_id
    else:
        assert done.unknown == 1
        assert room.states == [CrossPostState.UNKNOWN]


def test_what_the_service_will_not_take_fails_with_its_words(room: Newsroom) -> None:
    room.server.faults += ["refused"]
    done = room.post()
    assert (done.failed, done.owed) == (1, 0)
    assert "answered 4" in done.failures[0].reason
    assert room.desk.due() == []


def test_no_secret_is_shown(room: Newsroom, name: str) -> None:
    room.server.faults += ["401", "500"]
    room.post()
    shown = [row.reason for row in room.rows] + [repr(room.desk._open(name).channel)]
    assert "good-token" not in " ".join(shown)
    assert "account-secret" not in " ".join(shown)


class _KilledError(BaseException):
    """What a kill looks like from inside: nothing after the request is done."""


def _killed_while(room: Newsroom, server: ChannelServer) -> Callable[[], None]:
    """Post, and let the process end when the service has the post and before its reply is read."""
    desk = room.desk
    desk.plan(room.issue, "https://news.example.com/archive/2026-W01/")

    def run() -> None:
        with pytest.MonkeyPatch.context() as patch:
            _end_after_request(patch)
            with pytest.raises(_KilledError):
                desk.post("2026-W01")

    return run


def _end_after_request(patch: pytest.MonkeyPatch) -> None:
    import httpx

    real = httpx.Response.iter_bytes

    def ended(self: httpx.Response, chunk_size: int | None = None) -> Iterator[bytes]:
        creates = self.request.method == "POST" and "createSession" not in str(self.request.url)
        if creates:
            raise _KilledError
        return real(self, chunk_size)

    patch.setattr(httpx.Response, "iter_bytes", ended)
