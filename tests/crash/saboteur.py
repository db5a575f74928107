"""Kills the program it runs in with SIGKILL, at the n-th time that it reaches a step.

Called in the process of `send` before the program, it wraps what the program calls at that step;
all the rest is the program as it is. It also notes, apart from the
program's own notes, for whom a final dot may have left: what goes on after a kill is judged by it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

from newsletter_bot.delivery import store
from newsletter_bot.delivery.calls.attempts import Attempts
from newsletter_bot.delivery.calls.caller import Caller, _Body
from newsletter_bot.delivery.chunks_store import ChunkStore
from newsletter_bot.delivery.model import Change, Release, Settle, Start
from newsletter_bot.delivery.planning import plan_store, subject_test_store
from newsletter_bot.delivery.planning.plan_store import PlanStore
from newsletter_bot.delivery.planning.subject_test_store import SubjectTestStore
from newsletter_bot.delivery.recorder import Recorder
from newsletter_bot.delivery.store import LedgerStore
from newsletter_bot.delivery.transports.smtp import session
from newsletter_bot.delivery.transports.smtp.session import SmtpSession
from newsletter_bot.delivery.transports.smtp.transaction import Transaction
from newsletter_bot.delivery.transports.smtp.wire import Wire

NEVER = "never"
_HEAD_START = 0.1  # seconds that the sessions run on while the ledger hangs, before the kill

Weight = Callable[..., int]


def sabotage(step: str, count: int, notes: str) -> None:
    """Prepare the kill at the `count`-th time of `step`."""
    _before(SmtpSession, "_send_body", _noting(notes))
    fuse = _Fuse(count)
    for name, prepare in STEPS.items():
        if name == step:
            prepare(fuse)


class _Fuse:
    def __init__(self, count: int) -> None:
        self._left = count

    def burns(self, weight: int) -> bool:
        """Tell whether the step has been reached as often as it may be."""
        before, self._left = self._left, self._left - weight
        return before > 0 >= self._left


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_later() -> None:
    time.sleep(_HEAD_START)
    _kill()


def _noting(notes: str) -> Callable[..., None]:
    file = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(_session: SmtpSession, transaction: Transaction, _wire: Wire) -> None:
        os.write(file, f"{transaction.message.recipient}\n".encode())

    return note


# ── where to strike ──────────────────────────────────────────────────────────────────────────


def _before(owner: Any, name: str, act: Callable[..., None]) -> None:
    real = getattr(owner, name)

    def wrapped(*words: Any, **more: Any) -> Any:
        act(*words, **more)
        return real(*words, **more)

    setattr(owner, name, wrapped)


def _after(owner: Any, name: str, act: Callable[..., None]) -> None:
    real = getattr(owner, name)

    def wrapped(*words: Any, **more: Any) -> Any:
        found = real(*words, **more)
        act(*words, **more)
        return found

    setattr(owner, name, wrapped)


def _once(*_words: Any, **_more: Any) -> int:
    return 1


def _changes(*kinds: type[Change]) -> Weight:
    """Count changes in the last argument: one commit holds many."""

    def count(*words: Any) -> int:
        changes: Sequence[Change] = words[-1] if isinstance(words[-1], Sequence) else words[1]
        return sum(isinstance(one, kinds) for one in changes)

    return count


def _at(
    strike: Callable[[Any, str, Callable[..., None]], None],
    owner: Any,
    name: str,
    weight: Weight = _once,
    kill: Callable[[], None] = _kill,
) -> Callable[[_Fuse], None]:
    def prepare(fuse: _Fuse) -> None:
        def act(*words: Any, **more: Any) -> None:
            if fuse.burns(weight(*words, **more)):
                kill()

        strike(owner, name, act)

    return prepare


def _in_the_middle_of_a_body(fuse: _Fuse) -> None:
    def act(_session: SmtpSession, _transaction: Transaction, wire: Wire) -> None:
        if fuse.burns(1):
            waiting = b"".join((wire._unsent, *wire._parts))
            wire._socket.send(waiting[: len(waiting) // 2])
            _kill()

    _after(SmtpSession, "_send_body", act)


def _behind_the_dot(fuse: _Fuse) -> None:
    def act(_session: SmtpSession, _transaction: Transaction, _wire: Wire) -> None:
        if fuse.burns(1):
            _after(Wire, "flush", lambda _wire: _kill())

    _after(SmtpSession, "_send_body", act)


_BEGUN = _changes(Start)
_ENDED = _changes(Settle, Release)

STEPS: dict[str, Callable[[_Fuse], None]] = {
    NEVER: lambda _fuse: None,
    "plan written, not committed": _at(_after, plan_store, "_plan_list"),
    "draw written, not committed": _at(_after, plan_store, "share_out"),
    "plan committed": _at(_after, PlanStore, "plan"),
    "decision written, not committed": _at(_after, subject_test_store, "_release"),
    "decision committed": _at(_after, SubjectTestStore, "settle"),
    "run named, no notes yet": _at(_before, Recorder, "recording"),
    "claim written, not committed": _at(_after, store, "begin", _BEGUN, _kill_later),
    "claim committed": _at(_after, LedgerStore, "write", _BEGUN, _kill_later),
    "before MAIL": _at(_before, session, "mail"),
    "before DATA": _at(_before, session, "recipient"),
    "before the body": _at(_before, SmtpSession, "_send_body"),
    "in the middle of the body": _in_the_middle_of_a_body,
    "after the dot": _behind_the_dot,
    "answer heard": _at(_after, SmtpSession, "_hear_final"),
    "outcome written, not committed": _at(_after, store, "settle", _ENDED, _kill_later),
    "outcome committed": _at(_after, LedgerStore, "write", _ENDED),
    "before the chunk is frozen": _at(_before, ChunkStore, "freeze"),
    "chunk frozen": _at(_after, ChunkStore, "freeze"),
    "before the call": _at(_before, Caller, "call"),
    "before the call's last byte": _at(_before, _Body, "let_go"),
    "call answered": _at(_after, Caller, "call"),
    "call understood": _at(_after, Attempts, "make"),
    "before QUIT": _at(_before, SmtpSession, "finish"),
    "before the end is written": _at(_before, LedgerStore, "finish"),
    "end written": _at(_after, LedgerStore, "finish"),
    "before what a kill left is settled": _at(_before, LedgerStore, "recover"),
    "what a kill left settled": _at(_after, LedgerStore, "recover"),
}
