"""Calls whose answer was lost, and the next run: with a real ledger, and Resend as it behaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select, update

from newsletter_bot.delivery.calls import attempts
from newsletter_bot.delivery.calls.chunks import ChunkBook
from newsletter_bot.delivery.calls.model import Request
from newsletter_bot.delivery.chunks_store import ChunkStore
from newsletter_bot.delivery.mailroom import Mailroom
from newsletter_bot.delivery.model import (
    Message,
    Release,
    Settle,
    Start,
    Tally,
    accepted,
    unknown,
)
from newsletter_bot.delivery.recorder import Recorder
from newsletter_bot.delivery.relaying.pacing_store import PacingStore
from newsletter_bot.delivery.run import Run
from newsletter_bot.errors import TryAgainError
from newsletter_bot.rendering.model import Escape, Hole, Rendering, Static
from newsletter_bot.settings import Settings
from newsletter_bot.storage.tables import chunks, deliveries, issues, subscribers
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.model import NewSubscriber
from newsletter_bot.subscribers.store import SubscriberStore
from tests.delivery.newcomers import Clock
from tests.servers.providers import (
    Behaviour,
    Fault,
    ProviderServer,
    Reply,
    fake,
    provider_server,
    reply,
)

SECRET = b"0123456789abcdef" * 4
ISSUE = Rendering(
    issue="2026-W01",
    subjects=((Static("For "), Hole("first_name", "there", Escape.PLAIN)),),
    html=(Static("<p>Hello</p>"),),
    text=(Static("Hello"),),
    language="en",
)
HOUR = 3600
ALL_ATTEMPTS = len(attempts._UNSURE) + 1


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "_PAUSES", (0.01,) * 4)
    monkeypatch.setattr(attempts, "_UNSURE", (0.01,) * 3)


@dataclass
class Office:
    engine: Engine
    settings: Settings
    server: ProviderServer
    people: SubscriberStore
    mailroom: Mailroom
    clock: Clock

    def reopened(self, **more: Any) -> Mailroom:
        """Return the mailroom of a newsletter.toml that was changed meanwhile."""
        table = {**self.settings.transport.model_dump(), **more}
        changed = Settings(
            folder=self.settings.folder,
            newsletter=self.settings.newsletter.model_dump(by_alias=True),
            transport=table,
        )
        return Mailroom(self.engine, changed, SECRET, self.clock)

    def add(self, *names: str) -> None:
        who = [NewSubscriber(parse_address(f"{name}@example.com"), name) for name in names]
        self.people.add(who, "weekly", {"source": "test"})

    def send(self, run: Run | None = None) -> Tally:
        tally = self.mailroom.send(ISSUE, "Week 1", ["weekly"], run or Run())
        self.nobody_twice()
        return tally

    def gives_up(self) -> TryAgainError:
        with pytest.raises(TryAgainError) as caught:
            self.send()
        self.nobody_twice()
        return caught.value

    def nobody_twice(self) -> None:
        got = Counter(one.recipient for one in self.server.taken)
        assert set(got.values()) <= {1}, got

    def open_chunks(self) -> list[list[int]]:
        with self.engine.connect() as connection:
            query = select(chunks.c.deliveries).where(chunks.c.ended_at.is_(None))
            return list(connection.execute(query).scalars())

    def lose_answers(self, count: int = ALL_ATTEMPTS) -> None:
        self.server.faults.extend([Fault.CLOSE_AFTER] * count)


Open = Callable[..., Office]


@pytest.fixture
def office(engine: Engine, tmp_path: Path) -> Iterator[Open]:
    servers: list[Any] = []

    def opened(kind: str = "resend", behaviour: Behaviour | None = None, **more: Any) -> Office:
        context = provider_server(behaviour or fake(kind))
        server, clock = context.__enter__(), Clock()
        servers.append(context)
        table = {"kind": kind, **server.behaviour.options(server.url), "connections": 2, **more}
        newsletter = {
            "name": "News",
            "url": "https://news.example.com",
            "from": "News <news@news.example.com>",
            "postal_address": "here",
        }
        known = Settings(folder=tmp_path, newsletter=newsletter, transport=table)
        room = Mailroom(engine, known, SECRET, clock)
        return Office(engine, known, server, SubscriberStore(engine, SECRET, clock), room, clock)

    yield opened
    for context in servers:
        context.__exit__(None, None, None)


def numbers(tally: Tally) -> tuple[int, int, int]:
    return tally.accepted, tally.unknown, tally.skipped


def test_an_issue_goes_out_in_batches_and_leaves_no_chunk_open(office: Open) -> None:
    here = office()
    here.add(*[f"r{number}" for number in range(150)], "refused")
    tally = here.send()
    assert (tally.accepted, tally.refused, tally.balanced) == (150, 1, True)
    assert 2 <= len(here.server.handed_over) <= 4
    assert here.open_chunks() == []


def test_a_lost_answer_is_asked_for_by_the_next_run(office: Open) -> None:
    here = office()
    here.add("ada", "bo")
    here.lose_answers()
    assert numbers(here.send()) == (0, 2, 0)
    assert len(here.open_chunks()) == 1
    here.clock.pass_by(HOUR)
    assert numbers(here.send()) == (2, 0, 0)
    assert here.open_chunks() == []
    assert len({one.body for one in here.server.handed_over}) == 1
    assert len({one.headers["idempotency-key"] for one in here.server.handed_over}) == 1


def test_the_service_asks_by_itself_now_and_then(office: Open) -> None:
    here = office()
    here.add("ada")
    here.lose_answers(2 * ALL_ATTEMPTS)
    here.send()
    assert here.mailroom.owed() == ["2026-W01"]
    assert here.mailroom.owed() == []
    assert numbers(here.mailroom.carry_on("2026-W01", Run())) == (0, 1, 0)
    here.clock.pass_by(300)
    assert here.mailroom.owed() == ["2026-W01"]
    assert numbers(here.mailroom.carry_on("2026-W01", Run())) == (1, 0, 0)
    here.clock.pass_by(300)
    assert here.mailroom.owed() == []
    here.nobody_twice()


def test_a_provider_that_is_still_silent_leaves_the_chunk_to_a_later_run(office: Open) -> None:
    here = office()
    here.add("ada")
    here.lose_answers(2 * ALL_ATTEMPTS)
    assert numbers(here.send()) == (0, 1, 0)
    assert numbers(here.send()) == (0, 1, 0)
    assert len(here.open_chunks()) == 1
    assert numbers(here.send()) == (1, 0, 0)


@pytest.mark.parametrize("why", ["too late", "left", "another name", "another account", "skipped"])
def test_a_call_that_would_be_another_is_not_made_and_stays_unknown(
    office: Open, engine: Engine, why: str
) -> None:
    here = office()
    here.add("ada", "bo")
    here.lose_answers()
    here.send()
    calls = len(here.server.handed_over)
    match why:
        case "too late":
            here.clock.pass_by(24 * HOUR)
        case "left":
            here.people.unsubscribe("bo@example.com")
        case "another name":
            with engine.begin() as connection:
                connection.execute(update(subscribers).values(name="Somebody"))
        case "another account":
            here = replace(here, mailroom=here.reopened(api_key="re_of_somebody_else"))
        case "skipped":
            here.mailroom.resolve("2026-W01", resend=False)
    tally = here.send()
    assert numbers(tally) == ((0, 0, 2) if why == "skipped" else (0, 2, 0))
    assert len(here.server.handed_over) == calls
    assert here.open_chunks() == []


def test_two_chunks_of_one_delivery_would_both_be_left_alone(office: Open, engine: Engine) -> None:
    here = office()
    here.add("ada")
    here.lose_answers()
    here.send()
    calls = len(here.server.handed_over)
    with engine.begin() as connection:
        row = dict(connection.execute(select(chunks)).mappings().one())
        connection.execute(insert(chunks).values({**row, "id": row["id"] + 1, "key": "another"}))
    assert numbers(here.send()) == (0, 1, 0)
    assert len(here.server.handed_over) == calls
    assert here.open_chunks() == []


def test_a_call_of_which_everything_is_known_is_not_made_again(
    office: Open, engine: Engine
) -> None:
    here = office()
    here.add("ada", "bo")
    here.lose_answers()
    here.send()
    calls = len(here.server.handed_over)
    with engine.begin() as connection:  # as after a kill before the chunk's end was written
        connection.execute(update(deliveries).values(state="accepted"))
    assert numbers(here.send()) == (2, 0, 0)
    assert len(here.server.handed_over) == calls
    assert here.open_chunks() == []


def test_who_is_owed_it_again_is_asked_about_first(office: Open) -> None:
    here = office()
    here.add("ada", "bo")
    here.lose_answers()
    here.send()
    assert here.mailroom.resolve("2026-W01", resend=True) == 2
    assert numbers(here.send()) == (2, 0, 0)


def test_who_is_owed_it_again_gets_it_by_another_call_once_the_key_is_forgotten(
    office: Open,
) -> None:
    here = office()
    here.add("ada")
    here.server.faults.extend([Fault.BROKEN] * ALL_ATTEMPTS)
    here.send()
    here.server.taken.clear()  # as if nothing had come of it
    here.mailroom.resolve("2026-W01", resend=True)
    here.clock.pass_by(24 * HOUR)
    assert numbers(here.send()) == (1, 0, 0)
    assert len({one.headers["idempotency-key"] for one in here.server.handed_over}) == 2


def killed_before_the_call(here: Office) -> None:
    """Leave what a run does that was killed once a chunk was frozen: its call was never made."""
    here.lose_answers()
    here.send()
    here.server.taken.clear()
    known: Any = here.server.behaviour
    known.known.clear()
    with here.engine.begin() as connection:
        connection.execute(update(issues).values(state="sending", finished_at=None))
        connection.execute(update(deliveries).values(state="sending", reason=""))
        run: str = connection.execute(select(issues.c.run)).scalar_one()
    with Recorder(here.settings.folder / ".sending-2026-W01").recording(run):
        pass  # nothing was noted


def test_a_call_first_made_by_the_next_run_and_not_answered_is_asked_for_again_and_not_made_anew(
    office: Open,
) -> None:
    here = office()
    here.add("ada")
    killed_before_the_call(here)
    here.lose_answers()
    assert numbers(here.send()) == (0, 1, 0)
    assert len(here.open_chunks()) == 1
    assert numbers(here.send()) == (1, 0, 0)
    assert len({one.headers["idempotency-key"] for one in here.server.handed_over}) == 1


def test_a_call_first_made_by_the_next_run_and_certainly_not_taken_leaves_them_owed(
    office: Open,
) -> None:
    behaviour: Any = UsedUp(fake("resend"))
    behaviour.quota = True
    here = office(behaviour=behaviour)
    here.add("ada")
    killed_before_the_call(here)
    behaviour.quota = False
    assert "1 of 1 are still owed" in str(here.gives_up())
    assert here.mailroom.status("2026-W01").unknown == 0
    behaviour.quota = True
    assert numbers(here.send()) == (1, 0, 0)


def test_a_chunk_whose_messages_are_returned_has_ended_before_they_leave_another_way(
    office: Open, engine: Engine
) -> None:
    here = office()
    here.add("ada", "bo")
    here.mailroom.plan(ISSUE, "Week 1", ["weekly"])
    with engine.connect() as connection:
        issue: int = connection.execute(select(issues.c.id)).scalar_one()
    book = ChunkBook("main", "2026-W01", ChunkStore(engine, issue, here.clock))
    given = [Message(row, "a@x.example", "b@x.example", b"hi") for row in (1, 2)]
    request = Request("POST", "https://x.example/", {}, b"hi")
    book.freeze(book.new_key(), given, request)
    book.on_disk([Start(1), Start(2)])
    assert here.open_chunks() == [[1, 2]]
    book.on_disk([Release(1)])  # a kill may come now: another relay has it at once
    assert here.open_chunks() == []
    book.on_disk([Release(2)])
    book.freeze(book.new_key(), given, request)
    book.on_disk([Settle(1, accepted("ok")), Settle(2, unknown("lost"))])
    book.close()
    assert here.open_chunks() == [[1, 2]]


class UsedUp:
    """A provider whose quota is used up, as long as it is."""

    def __init__(self, real: Behaviour) -> None:
        self._real = real
        self.quota = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def answer(self, call: Any) -> Reply:
        if self.quota:
            return self._real.answer(call)
        return reply(429, {"name": "daily_quota_exceeded", "message": "100 a day"})


def test_a_quota_that_is_used_up_ends_the_run_and_burns_nobody(office: Open) -> None:
    behaviour: Any = UsedUp(fake("resend"))
    here = office(behaviour=behaviour)
    here.add(*[f"r{number}" for number in range(150)])
    run = Run()
    with pytest.raises(TryAgainError, match=r"quota.* 150 of 150 are still owed"):
        here.send(run)
    assert "quota" in run.refused, "an operator is told"
    assert len(here.server.handed_over) <= 2, "one for each connection"
    assert here.open_chunks() == []
    behaviour.quota = True
    assert numbers(here.send()) == (150, 0, 0)


def test_a_wait_that_is_too_long_ends_the_run_and_says_until_when(office: Open) -> None:
    here = office()
    here.server.wait = HOUR
    here.add("ada")
    here.server.faults.append(Fault.TOO_MANY)
    run = Run()
    with pytest.raises(TryAgainError) as caught:
        here.send(run)
    assert "again from" in caught.value.next_step
    assert run.not_before is not None
    assert 0 < run.not_before - here.clock.now <= HOUR


def test_an_outage_without_keys_makes_few_unknown(office: Open) -> None:
    here = office("postmark", connections=4)
    here.add(*[f"r{number}" for number in range(3000)])
    here.server.faults.extend([Fault.CLOSE_AFTER] * 100)
    error = here.gives_up()
    tally = here.mailroom.status("2026-W01")
    assert "still owed" in str(error)
    assert tally.unknown <= 4 * 500 + 3, "a batch for each connection, then one message at a time"
    assert tally.unknown == len(here.server.taken)


def test_a_run_that_is_stopped_does_not_wait_for_its_turn(office: Open, engine: Engine) -> None:
    here = office()
    here.server.wait = 50
    here.add("ada")
    here.server.faults.append(Fault.TOO_MANY)
    run = Run()
    here.mailroom.send(
        ISSUE, "Week 1", ["weekly"], run, lambda: run.stop() if here.server.calls else None
    )
    tally = here.mailroom.status("2026-W01")
    assert (tally.remaining, tally.unknown) == (1, 0)
    assert PacingStore(engine).failures() == {}, "that is no failure of the relay"
