"""A session for a transport that waits: a thread carries what the sender gives it."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Protocol, Self

from newsletter_bot.delivery.inbox import AbandonedError, Inbox
from newsletter_bot.delivery.model import Message, Outcome, unknown
from newsletter_bot.delivery.transports import BeforeFinal, RelayError

_log = logging.getLogger(__name__)
_AT_ONCE = 2

Announce = Callable[[Sequence[Message]], None]
"""Say that the messages may be delivered from now on; raises AbandonedError when they must not."""


class Connection(Protocol):
    """What a thread works with: made, used and closed in that thread."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def deliver(
        self, inbox: Inbox, announce: Announce
    ) -> Iterator[Sequence[tuple[Message, Outcome]]]:
        """Hand messages over, one outcome for each message taken; what becomes known together.

        `announce` is called for messages before the first byte leaves that could complete their
        delivery. RelayError says that messages taken without an outcome were certainly not
        delivered; one that may have been gets the outcome `unknown` first.
        """
        ...


class ThreadedSession:
    """See transports.Session; `connect` is called, and its connection used, in one thread."""

    file = None
    writing = False
    deadline = None

    def __init__(
        self,
        connect: Callable[[], Connection],
        before_final: BeforeFinal,
        wake: Callable[[], None],
        at_once: int = _AT_ONCE,
    ) -> None:
        self.error: RelayError | None = None
        self.closed = False
        self._at_once = at_once
        self._before_final = before_final
        self._wake = wake
        self._inbox = Inbox()
        self._outcomes: deque[Sequence[tuple[Message, Outcome]]] = deque()
        self._ended: list[RelayError | None] = []  # one entry once the thread is through
        self._final: dict[int, Message] = {}  # announced, and without an outcome
        self._held = 0
        self._finishing = False
        threading.Thread(target=self._work, args=(connect,), name="session", daemon=True).start()

    @property
    def room(self) -> int:
        """See Session."""
        return 0 if self._finishing or self.closed or self._ended else self._at_once - self._held

    def give(self, message: Message) -> None:
        """See Session."""
        del message  # nothing can be done about it before it is cleared
        self._inbox.give()
        self._held += 1

    def clear(self, message: Message) -> None:
        """See Session."""
        self._inbox.clear(message)

    def withdraw(self, message: Message) -> None:
        """See Session."""
        del message  # it was never handed to the thread
        self._inbox.withdraw()
        self._held -= 1

    def listen(self) -> list[tuple[Message, Outcome]]:
        """See Session."""
        ended = list(self._ended)  # looked at first: outcomes come before the end
        outcomes: list[tuple[Message, Outcome]] = []
        while self._outcomes:
            outcomes += self._outcomes.popleft()
        self._held -= len(outcomes)
        if self._finishing and not self._held:
            self._inbox.end()
        if ended and not self.closed:
            self.closed, self.error = True, ended[0]
        return outcomes

    def speak(self) -> list[tuple[Message, Outcome]]:
        """See Session; the thread speaks by itself."""
        return []

    def hurry(self) -> None:
        """See Session."""
        self._inbox.hurried.set()

    def finish(self) -> None:
        """See Session."""
        self._finishing = True
        if not self._held:
            self._inbox.end()

    def abandon(self) -> list[tuple[Message, Outcome]]:
        """See Session."""
        self.finish()
        self._inbox.abandon()  # from here on nothing more can leave
        outcomes = self.listen()
        if not self.closed:
            self.closed, self.error = True, RelayError("the run ended")
            heard = {message.delivery_id for message, _ in outcomes}
            lost = unknown("the run ended before the transport answered")
            left = [one for one in list(self._final.values()) if one.delivery_id not in heard]
            outcomes += [(message, lost) for message in left]
        return outcomes

    def _work(self, connect: Callable[[], Connection]) -> None:
        error = None
        try:
            with connect() as connection:
                for known in connection.deliver(self._inbox, self._announce):
                    self._outcomes.append(known)
                    for message, _outcome in known:
                        self._final.pop(message.delivery_id, None)
                    self._wake()
        except RelayError as found:
            error = found
        except AbandonedError:
            error = RelayError("the run ended")
        except Exception as found:  # noqa: BLE001 - a thread must never end unheard
            _log.exception("a session's thread ended")
            error = RelayError(f"unexpected {type(found).__name__}: {found}", lasting=True)
            # A mistake of ours says nothing of what was announced: it may have left.
            lost = unknown(error.reason)
            self._outcomes.append([(one, lost) for one in self._final.values()])
        self._ended.append(error)
        self._wake()

    def _announce(self, messages: Sequence[Message]) -> None:
        with self._inbox.acting():
            for message in messages:
                if message.delivery_id not in self._final:  # in an attempt before
                    self._before_final(message)
                    self._final[message.delivery_id] = message
