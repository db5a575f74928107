"""A session for a transport that waits: a thread carries what the sender gives it."""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator

from newsletter_bot.delivery.model import Message, Outcome, unknown
from newsletter_bot.delivery.transports import BeforeFinal, Connection, RelayError

_log = logging.getLogger(__name__)
_AT_ONCE = 2


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
    ) -> None:
        self.error: RelayError | None = None
        self.closed = False
        self._before_final = before_final
        self._wake = wake
        self._given: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._outcomes: deque[tuple[Message, Outcome]] = deque()
        self._ended: list[RelayError | None] = []  # one entry once the thread is through
        self._final: dict[int, Message] = {}  # announced, and without an outcome
        self._held = 0
        self._finishing = False
        threading.Thread(target=self._work, args=(connect,), name="session", daemon=True).start()

    @property
    def room(self) -> int:
        """See Session."""
        return 0 if self._finishing or self.closed or self._ended else _AT_ONCE - self._held

    def give(self, message: Message) -> None:
        """See Session."""
        del message  # nothing can be done about it before it is cleared
        self._held += 1

    def clear(self, message: Message) -> None:
        """See Session."""
        self._given.put(message)

    def withdraw(self, message: Message) -> None:
        """See Session."""
        del message  # it was never handed to the thread
        self._held -= 1

    def listen(self) -> list[tuple[Message, Outcome]]:
        """See Session."""
        ended = list(self._ended)  # looked at first: outcomes come before the end
        outcomes = []
        while self._outcomes:
            outcomes.append(self._outcomes.popleft())
        self._held -= len(outcomes)
        if self._finishing and not self._held:
            self._given.put(None)
        if ended and not self.closed:
            self.closed, self.error = True, ended[0]
        return outcomes

    def speak(self) -> list[tuple[Message, Outcome]]:
        """See Session; the thread speaks by itself."""
        return []

    def finish(self) -> None:
        """See Session."""
        self._finishing = True
        if not self._held:
            self._given.put(None)

    def abandon(self) -> list[tuple[Message, Outcome]]:
        """See Session."""
        self.finish()
        self._given.put(None)
        outcomes = self.listen()
        if not self.closed:
            self.closed, self.error = True, RelayError("the run ended")
            lost = unknown("the run ended before the transport answered")
            outcomes += [(message, lost) for message in list(self._final.values())]
        return outcomes

    def _work(self, connect: Callable[[], Connection]) -> None:
        error = None
        try:
            with connect() as connection:
                for message, outcome in connection.deliver(self._messages(), self._announce):
                    self._outcomes.append((message, outcome))
                    self._final.pop(message.delivery_id, None)
                    self._wake()
        except RelayError as found:
            error = found
        except Exception as found:  # noqa: BLE001 - a thread must never end unheard
            _log.exception("a session's thread ended")
            error = RelayError(f"unexpected {type(found).__name__}: {found}", lasting=True)
        self._ended.append(error)
        self._wake()

    def _messages(self) -> Iterator[Message]:
        while (message := self._given.get()) is not None:
            yield message

    def _announce(self, message: Message) -> None:
        self._before_final(message)
        self._final[message.delivery_id] = message
