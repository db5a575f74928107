"""One of a relay's connections as the sender sees it: its session, and the messages it holds."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from newsletter_bot.delivery.model import Message, Recipient
from newsletter_bot.delivery.relaying.relays import Relay
from newsletter_bot.delivery.transports import Session


@dataclass(eq=False, slots=True)
class Entry:
    """A delivery that a lane took on: given to the session, cleared when the ledger agrees."""

    recipient: Recipient
    lane: Lane
    message: Message


@dataclass(eq=False, slots=True)
class Lane:
    """A place for one session; it opens when there is something to send."""

    relay: Relay
    session: Session | None = None
    opened_at: float = 0.0
    outcomes: int = 0  # of this session
    held: dict[int, Entry] = field(default_factory=dict)  # given to the session, by delivery

    @property
    def room(self) -> int:
        """How many more deliveries it can take on."""
        return 0 if self.session is None else self.session.room


class Watch:
    """Waits until a session has something to do, or somebody calls `wake`."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._bell, self._push = socket.socketpair()
        self._bell.setblocking(False)
        self._push.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._watched: dict[Lane, tuple[int, int]] = {}

    def wake(self) -> None:
        """End the waiting; from any thread, or a signal's handler."""
        with contextlib.suppress(OSError):  # full, so it rings already; or closed
            self._push.send(b"!")

    def follow(self, lane: Lane) -> None:
        """Watch what a lane's session waits for now."""
        session = lane.session
        before = self._watched.get(lane)
        now = None
        if session is not None and not session.closed and session.file is not None:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if session.writing else 0)
            now = (session.file, wanted)
        if now == before:
            return
        if before is not None:
            with contextlib.suppress(KeyError, ValueError, OSError):  # closed, hence gone already
                self._selector.unregister(before[0])
            del self._watched[lane]
        if now is not None:
            self._selector.register(now[0], now[1], lane)
            self._watched[lane] = now

    def wait(self, lanes: Iterable[Lane], until: float) -> list[Lane]:
        """Return the lanes that have something to do, at the latest at `until` (monotonic).

        A ring of the bell returns those without a descriptor to watch as well.
        """
        ready, rung = [], False
        for key, _events in self._selector.select(max(0.0, until - time.monotonic())):
            if key.data is None:
                rung = True
                with contextlib.suppress(OSError):
                    self._bell.recv(4096)
            else:
                ready.append(key.data)
        if rung:
            ready += [one for one in lanes if one.session is not None and one.session.file is None]
        return ready

    def close(self) -> None:
        """Free the descriptors."""
        self._selector.close()
        self._bell.close()
        self._push.close()
