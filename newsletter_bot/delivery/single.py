"""A few messages through one session, without a ledger: for proofs and letters."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterable, Iterator

from newsletter_bot.delivery.model import Message, Outcome
from newsletter_bot.delivery.transports import BeforeFinal, Session, Transport

_AT_ONCE = 2
_LOOK = 0.5  # seconds between two looks at a session that says nothing


def hand_over(
    transport: Transport,
    messages: Iterable[Message | None],
    before_final: BeforeFinal = lambda _message: None,
    at_once: int = _AT_ONCE,
) -> Iterator[tuple[Message, Outcome]]:
    """Yield an outcome for each message; raises RelayError when the session ends before.

    A message is taken when the session has room for it, and once what is known of those before was
    yielded; no more than `at_once` are without an outcome, whatever there is room for. None stands
    for one that must not leave yet: a moment later the next is asked for.
    """
    source, more, held = iter(messages), True, 0
    bell, push = socket.socketpair()
    with bell, push:
        session = transport.open(before_final, lambda: push.sendall(b"!"))
        try:
            while not session.closed:
                heard = session.listen()
                yield from heard
                free = at_once - held + len(heard)
                given, more = _give(session, source, free) if more else (0, False)
                held += given - len(heard)
                if not more and not held:
                    session.finish()
                said = session.speak()
                held -= len(said)
                yield from said
                if not heard and not said and not session.closed:
                    _wait(session, bell)
        finally:
            session.abandon()
    if session.error is not None and (held or more):
        raise session.error


def _give(session: Session, source: Iterator[Message | None], free: int) -> tuple[int, bool]:
    """Give the session what it has room for; returns how many, and whether there may be more."""
    given = 0
    while session.room > 0 and given < free:
        try:
            message = next(source)
        except StopIteration:
            return given, False
        if message is None:
            break
        session.give(message)
        session.clear(message)
        given += 1
    return given, True


def _wait(session: Session, bell: socket.socket) -> None:
    reading: list[int | socket.socket] = [bell]
    if session.file is not None:
        reading.append(session.file)
    writing = [session.file] if session.writing and session.file is not None else []
    until = min(session.deadline or float("inf"), time.monotonic() + _LOOK)
    ready, _, _ = select.select(reading, writing, [], max(0.0, until - time.monotonic()))
    if bell in ready:
        bell.recv(4096)
