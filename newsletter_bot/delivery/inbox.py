"""What a session's thread takes from the sender: messages one after the other, or many at once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from newsletter_bot.delivery.model import Message

_LINGER = 0.01  # seconds that a batch which is not full waits for one more


class AbandonedError(Exception):
    """The run is over, and what was not announced yet is owed to the next one: do nothing more."""


class Inbox:
    """Messages are given, then cleared or withdrawn, by the sender; the thread takes the cleared.

    `hurried` is set once the run ends: what can be left to the next run is not waited for.
    """

    def __init__(self) -> None:
        self.hurried = threading.Event()
        self._changed = threading.Condition()
        self._given = 0  # that are neither cleared nor withdrawn
        self._cleared: deque[Message] = deque()
        self._ended = False
        self._acting = threading.Lock()
        self._abandoned = False

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Do something for messages that the sender shall hear of; raises AbandonedError.

        What is done here is done before the sender abandons the session, or not at all.
        """
        with self._acting:
            if self._abandoned:
                raise AbandonedError
            yield

    def abandon(self) -> None:
        """Let nothing more be done, nor anything be waited for."""
        self.hurried.set()
        with self._acting:
            self._abandoned = True
        self.end()

    def give(self) -> None:
        """Note that a message will be cleared or withdrawn soon."""
        with self._changed:
            self._given += 1

    def clear(self, message: Message) -> None:
        """Let the thread have a message that was given."""
        with self._changed:
            self._given -= 1
            self._cleared.append(message)
            self._changed.notify()

    def withdraw(self) -> None:
        """Take back a message that was given."""
        with self._changed:
            self._given -= 1
            self._changed.notify()

    def end(self) -> None:
        """Say that there will be no more, once those cleared are taken."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def __iter__(self) -> Iterator[Message]:
        """Take one after the other, until the end."""
        while batch := self.gather(1, 0):
            yield from batch

    def gather(self, most: int, most_bytes: int) -> list[Message]:
        """Wait for messages and take up to `most` of them; none at the end.

        More than one only as far as they hold no more than `most_bytes` together. A batch waits for
        those that were given and will be cleared in a moment, and a little for others to follow.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._cleared or self._ended)
            while len(self._cleared) < most and not self._ended:
                if not self._changed.wait(None if self._given else _LINGER) and not self._given:
                    break
            return self._taken(most, most_bytes)

    def _taken(self, most: int, most_bytes: int) -> list[Message]:
        taken: list[Message] = []
        room = most_bytes
        while self._cleared and len(taken) < most:
            room -= len(self._cleared[0].content)
            if taken and room < 0:
                break
            taken.append(self._cleared.popleft())
        return taken
