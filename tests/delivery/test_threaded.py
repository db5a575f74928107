"""A run that ends while a thread is at work: nothing leaves after that, and nothing is guessed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

import pytest

from newsletter_bot.delivery.inbox import AbandonedError, Inbox
from newsletter_bot.delivery.model import DeliveryState, Message, Outcome, accepted
from newsletter_bot.delivery.threaded import Announce, ThreadedSession
from newsletter_bot.delivery.transports import RelayError


class Slow:
    """A connection that stands still until it is let go on, before or after it announces."""

    def __init__(self, stands: str) -> None:
        self.stands = stands
        self.there, self.go_on = threading.Event(), threading.Event()
        self.delivered: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def deliver(
        self, inbox: Inbox, announce: Announce
    ) -> Iterator[Sequence[tuple[Message, Outcome]]]:
        while batch := inbox.gather(10, 1_000_000):
            self._stand("before")
            announce(batch)
            self.delivered += [one.delivery_id for one in batch]
            self._stand("after")
            yield [(one, accepted("ok")) for one in batch]

    def _stand(self, where: str) -> None:
        if where == self.stands:
            self.there.set()
            assert self.go_on.wait(30)


def begun(connection: Slow, *numbers: int) -> ThreadedSession:
    session = ThreadedSession(lambda: connection, lambda _one: None, lambda: None, 10)
    given = [Message(one, "a@x.example", "b@x.example", b"hi") for one in numbers]
    for one in given:
        session.give(one)
    for one in given:
        session.clear(one)
    assert connection.there.wait(30)
    return session


def test_what_was_not_announced_when_the_run_ended_never_leaves() -> None:
    connection = Slow("before")
    session = begun(connection, 1, 2)
    assert session.abandon() == []
    assert session.error is not None
    connection.go_on.set()
    until_ended(session)
    assert connection.delivered == []


def test_what_was_announced_when_the_run_ended_is_unknown_and_stays_so() -> None:
    connection = Slow("after")
    session = begun(connection, 1, 2)
    lost = session.abandon()
    assert [(one.delivery_id, what.state) for one, what in lost] == [
        (1, DeliveryState.UNKNOWN),
        (2, DeliveryState.UNKNOWN),
    ]
    connection.go_on.set()
    until_ended(session)


def until_ended(session: ThreadedSession) -> None:
    for _ in range(3000):
        if session._ended:
            return
        threading.Event().wait(0.01)
    raise AssertionError("its thread never ended")


def test_a_batch_waits_for_those_that_were_given_and_not_for_more() -> None:
    inbox, taken = Inbox(), []
    thread = threading.Thread(target=lambda: taken.extend(inbox.gather(10, 1_000_000)))
    first, second = (Message(one, "a@x.example", "b@x.example", b"hi") for one in (1, 2))
    for _ in range(3):
        inbox.give()
    thread.start()
    inbox.clear(first)
    thread.join(0.1)
    assert thread.is_alive(), "two more are on their way"
    inbox.withdraw()
    inbox.clear(second)
    thread.join(30)
    assert taken == [first, second]


def test_a_batch_holds_no_more_bytes_than_a_call_takes() -> None:
    inbox = Inbox()
    for number in range(3):
        inbox.give()
        inbox.clear(Message(number, "a@x.example", "b@x.example", b"x" * 600))
    assert len(inbox.gather(10, 1000)) == 1, "one that is too large goes alone"
    assert len(inbox.gather(10, 1200)) == 2


def test_a_thread_that_fails_is_heard() -> None:
    def connect() -> Slow:
        raise RelayError("no route")

    session = ThreadedSession(connect, lambda _one: None, lambda: None)
    until_ended(session)
    session.listen()
    assert session.closed
    assert session.error is not None
    with pytest.raises(RelayError, match="no route"):
        raise session.error


class Mistaken(Slow):
    """A connection that breaks over the answer to its second batch."""

    def deliver(
        self, inbox: Inbox, announce: Announce
    ) -> Iterator[Sequence[tuple[Message, Outcome]]]:
        yield from self._one_by_one(inbox, announce)
        self.there.set()
        raise TypeError("a mistake")

    def _one_by_one(
        self, inbox: Inbox, announce: Announce
    ) -> Iterator[Sequence[tuple[Message, Outcome]]]:
        first, second, *_ = inbox.gather(10, 1_000_000)
        announce([first])
        yield [(first, accepted("ok"))]
        announce([second])


def test_after_a_mistake_of_ours_what_may_have_left_is_unknown_and_the_rest_is_not() -> None:
    session = begun(Mistaken(""), 1, 2, 3)
    until_ended(session)
    heard = {one.delivery_id: what.state for one, what in session.listen()}
    assert heard == {1: DeliveryState.ACCEPTED, 2: DeliveryState.UNKNOWN}
    assert session.error is not None
    assert session.error.lasting


def test_what_is_done_for_messages_is_done_before_the_end_or_not_at_all() -> None:
    inbox = Inbox()
    with inbox.acting():
        ending = threading.Thread(target=inbox.abandon)
        ending.start()
        ending.join(0.1)
        assert ending.is_alive(), "it waits for what is being done"
    ending.join(30)
    with pytest.raises(AbandonedError), inbox.acting():
        raise AssertionError("it came too late")
