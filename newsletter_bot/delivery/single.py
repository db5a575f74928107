"""A few messages through one session, without a ledger: for proofs."""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator

from newsletter_bot.delivery.model import Message, Outcome
from newsletter_bot.delivery.transports import BeforeFinal, Session, Transport

_LOOK = 0.5  # seconds between two looks at a session that says nothing


def hand_over(
    transport: Transport,
    messages: Iterable[Message],
    before_final: BeforeFinal = lambda _message: None,
) -> Iterator[tuple[Message, Outcome]]:
    """Yield an outcome for each message; raises RelayError when the session ends before."""
    waiting = deque(messages)
    held = 0
    bell, push = socket.socketpair()
    with bell, push:
        session = transport.open(before_final, lambda: push.sendall(b"!"))
        try:
            while not session.closed:
                outcomes = session.listen()
                while waiting and session.room > 0:
                    session.give(waiting[0])
                    session.clear(waiting.popleft())
                    held += 1
                if not waiting and held == len(outcomes):
                    session.finish()
                outcomes += session.speak()
                held -= len(outcomes)
                yield from outcomes
                if not outcomes and not session.closed:
                    _wait(session, bell)
        finally:
            session.abandon()
    if session.error is not None and (held or waiting):
        raise session.error


def _wait(session: Session, bell: socket.socket) -> None:
    reading: list[int | socket.socket] = [bell]
    if session.file is not None:
        reading.append(session.file)
    writing = [session.file] if session.writing and session.file is not None else []
    until = min(session.deadline or float("inf"), time.monotonic() + _LOOK)
    ready, _, _ = select.select(reading, writing, [], max(0.0, until - time.monotonic()))
    if bell in ready:
        bell.recv(4096)
