"""One run over an issue's due deliveries: one thread that never waits, many sessions, one ledger.

All that decides stands here: who is next, when the ledger is written, what an outcome means.
Nothing waits for a relay but the loop itself: sessions say when they can go on.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager

from sqlalchemy.exc import DBAPIError

from newsletter_bot.delivery.lanes import Entry, Lane, Watch
from newsletter_bot.delivery.ledger import Ledger
from newsletter_bot.delivery.means import Means
from newsletter_bot.delivery.model import (
    Change,
    DeliveryState,
    Denial,
    DenialKind,
    Message,
    Outcome,
    Recipient,
    Start,
    deferred,
    refused,
)
from newsletter_bot.delivery.relaying import retry
from newsletter_bot.delivery.relaying.relays import Relay
from newsletter_bot.delivery.run import Run
from newsletter_bot.delivery.transports import ConnectionEndedError, RelayError
from newsletter_bot.delivery.waiting import Waiting
from newsletter_bot.errors import DataError

_GRACE = 7.5  # seconds that messages in flight get when the run is told to stop
_GOODBYE = 2.0  # seconds that sessions get to say QUIT
_SHOW = 0.1  # seconds between two calls of `progress`
_RETURNS = 3  # times that a session may end over one message before that message is put off


class Sender:
    """Hands over what is due of one planned issue; made anew for each run."""

    def __init__(self, means: Means, issue_id: int, lanes: Sequence[Lane], run: Run) -> None:
        self._means = means
        self._lanes = lanes
        self._run = run
        self._waiting = Waiting(means, issue_id, run)
        self._watch = Watch()
        self._ledger = Ledger(means.store, self._on_disk)
        self._asked: dict[Start, Entry] = {}  # that the ledger has not answered
        self._returns: Counter[int] = Counter()  # sessions that ended over a message
        self._shown = 0.0

    def work(self) -> None:
        """Send until nothing is due, the run is told to stop, or every relay is down.

        Returns with `run.trouble` set when deliveries that were due remain. The outcome of every
        message that left is on disk by then.
        """
        self._run.woken_by(self._watch.wake)
        gc.freeze()  # what the program was made of is not searched for garbage again and again
        try:
            self._send()
            self._finish()
        except DBAPIError as error:
            self._run.give_up(f"the ledger cannot be written: {error.orig}")
            self._finish()
        finally:
            self._drop_what_is_left()
            self._watch.close()
        if self._ledger.error is not None:
            self._run.give_up(str(self._ledger.error))

    # ── the loop ─────────────────────────────────────────────────────────────────────────────

    def _send(self) -> None:
        until = 0.0
        while not self._run.stopping:
            self._turn(until, filling=True)
            if self._ledger.error is not None:
                return
            quiet = not self._busy() and not self._ledger.waiting
            if quiet and not self._waiting.is_worth_it():
                return
            until = self._waiting.until()

    def _finish(self) -> None:
        """Let messages in flight come to their end, then say goodbye to the relays."""
        for lane in self._lanes:
            if lane.session is not None:
                lane.session.hurry()
        end = time.monotonic() + _GRACE
        while self._busy() and time.monotonic() < end and self._ledger.error is None:
            self._turn(min(end, time.monotonic() + _SHOW))
        idle = [lane for lane in self._lanes if lane.session is not None and not lane.held]
        for lane in idle:
            assert lane.session is not None, "chosen for it"
            lane.session.finish()
            self._speak(lane)
        end = time.monotonic() + _GOODBYE
        while time.monotonic() < end and any(lane.session is not None for lane in idle):
            self._turn(min(end, time.monotonic() + _SHOW))

    def _busy(self) -> bool:
        return any(lane.held for lane in self._lanes)

    def _turn(self, until: float, *, filling: bool = False) -> None:
        """Wait for something to happen; hear everybody, take on more, then speak once to each."""
        concerned = dict.fromkeys(self._ready(until))
        for lane in concerned:
            if lane.session is not None:
                self._hear(lane, lane.session.listen())
        if not concerned or self._ledger.full:
            concerned |= self._commit()
        if filling and not self._run.stopping:
            for relay in self._means.relays:
                concerned |= self._fill(relay)
        for lane in concerned:
            self._speak(lane)
        if time.monotonic() > self._shown + _SHOW:
            self._shown = time.monotonic()
            self._means.progress()

    def _ready(self, until: float) -> list[Lane]:
        if self._ledger.waiting:  # a commit is for a moment when no session has anything to say
            return self._watch.wait(self._lanes, 0.0)
        ends = [(lane, lane.session.deadline) for lane in self._lanes if lane.session is not None]
        until = min([until, *(end for _, end in ends if end is not None)])
        ready = self._watch.wait(self._lanes, until)
        now = time.monotonic()
        if not ready and now >= until:  # nothing happened: look at everybody
            return [lane for lane, _ in ends]
        return [*ready, *(lane for lane, end in ends if end is not None and end < now)]

    # ── who is next ──────────────────────────────────────────────────────────────────────────

    def _fill(self, relay: Relay) -> dict[Lane, None]:
        """Take on as many deliveries as the relay's sessions have room for."""
        if relay.down:
            self._means.backlog.reroute(relay)
            return {}
        now = self._means.store.now()
        filled: dict[Lane, None] = {}
        idle = 0
        for lane in self._lanes:
            if lane.relay is not relay:
                continue
            rested = lane.session is None and time.monotonic() >= relay.rests_until
            if (
                rested
                and not self._is_on_trial(relay)
                and self._means.backlog.has_more_than(idle, relay, now)
            ):
                self._open(lane)
            while self._may_fill(lane, now) and self._begin_next(lane, now):
                filled[lane] = None
            idle += lane.session is not None and not lane.held
        return filled

    def _is_on_trial(self, relay: Relay) -> bool:
        """Tell whether a relay that failed is being tried: one session does, however many fell."""
        lanes = (one for one in self._lanes if one.relay is relay)
        return relay.failures > 0 and any(one.session is not None for one in lanes)

    def _may_fill(self, lane: Lane, now: float) -> bool:
        if lane.relay.failures and lane.held:
            return False  # it is tried with one message, whatever a session of it takes
        return lane.room > 0 and lane.relay.pace.allows(now) and not self._ledger.full

    def _begin_next(self, lane: Lane, now: float) -> bool:
        recipient = self._means.backlog.take(lane.relay, now)
        if recipient is None:
            return False
        if recipient.unwanted:
            self._skip(recipient, recipient.unwanted)
        else:
            self._begin(lane, recipient)
        return True

    def _open(self, lane: Lane) -> None:
        lane.opened_at = time.monotonic()
        lane.outcomes = 0
        lane.session = lane.relay.transport.open(self._beyond, self._watch.wake)

    def _beyond(self, message: Message) -> None:
        self._means.recorder.beyond(message.delivery_id)

    def _begin(self, lane: Lane, recipient: Recipient) -> None:
        """Write the message and give it to the session, while the ledger is asked for `sending`."""
        lane.relay.pace.depart()
        self._run.waiting = ""
        self._means.domains.limit(lane.relay.name, recipient.domain).under_way += 1
        date = recipient.attempted_at or int(self._means.store.now())
        start = Start(recipient.delivery_id, again=recipient.attempts > 0)
        self._ledger.start(start)
        try:
            message = self._means.composer.compose(recipient, date)
        except (DataError, UnicodeError) as error:
            self._settle(lane.relay, recipient, refused(f"cannot be written: {error}"))
            return
        entry = self._asked[start] = Entry(recipient, lane, message)
        lane.held[recipient.delivery_id] = entry
        assert lane.session is not None, "it has room"
        lane.session.give(message)

    def _on_disk(self, changes: Sequence[Change]) -> None:
        ended = (one.delivery_id for one in changes if not isinstance(one, Start))
        self._means.recorder.settled(ended)
        for book in self._means.books:
            book.on_disk(changes)

    def _commit(self) -> dict[Lane, None]:
        """Write the ledger, and let the sessions deliver what may be delivered."""
        concerned: dict[Lane, None] = {}
        for start, denial in self._ledger.commit():
            entry = self._asked.pop(start, None)
            if entry is None or entry.lane.held.get(start.delivery_id) is not entry:
                continue  # its session ended meanwhile, and it was put back
            lane = entry.lane
            assert lane.session is not None, "it holds the message"
            concerned[lane] = None
            if denial is None:
                lane.session.clear(entry.message)
            else:
                del lane.held[start.delivery_id]
                lane.session.withdraw(entry.message)
                self._denied(entry, denial)
        return concerned

    def _denied(self, entry: Entry, denial: Denial) -> None:
        recipient = entry.recipient
        self._means.domains.limit(entry.lane.relay.name, recipient.domain).under_way -= 1
        if denial.kind is DenialKind.UNWANTED:
            self._skip(recipient, denial.reason)
        elif denial.kind is DenialKind.HALTED:
            self._waiting.is_halted()

    def _skip(self, recipient: Recipient, reason: str) -> None:
        self._ledger.settle(recipient.delivery_id, Outcome(DeliveryState.SKIPPED, reason))
        self._means.backlog.settled(recipient.delivery_id)
        self._run.done += 1

    # ── what becomes of it ───────────────────────────────────────────────────────────────────

    def _speak(self, lane: Lane) -> None:
        if lane.session is not None:
            self._hear(lane, lane.session.speak())
        self._watch.follow(lane)

    def _hear(self, lane: Lane, outcomes: Sequence[tuple[Message, Outcome]]) -> None:
        for message, outcome in outcomes:
            lane.outcomes += 1
            entry = lane.held.pop(message.delivery_id)
            self._settle(lane.relay, entry.recipient, outcome)
        if lane.session is not None and lane.session.closed:
            self._closed(lane, lane.session.error)

    def _settle(self, relay: Relay, recipient: Recipient, outcome: Outcome) -> None:
        means = self._means
        now, row = means.store.now(), recipient.delivery_id
        not_before = None
        if outcome.state is DeliveryState.DEFERRED:
            not_before = int(now) + retry.wait_after(recipient.attempts + 1, means.retry_after)
        self._ledger.settle(row, outcome, not_before, relay.name)
        changed = means.domains.hear(relay.name, recipient.domain, outcome, now)
        if changed is not None:
            means.pacing.limit_changed(relay.name, recipient.domain, changed, means.domains.most)
        if outcome.state is not DeliveryState.UNKNOWN and relay.works():
            self._remember(relay)
        means.backlog.settled(row)
        self._returns.pop(row, None)
        self._run.done += 1
        why = means.breaker.hear(outcome)
        if why is not None:
            means.pause(why)
            self._waiting.is_halted()

    def _closed(self, lane: Lane, error: RelayError | None) -> None:
        """Let a lane whose session is over begin a new one, and its messages another way."""
        lane.session = None
        self._watch.follow(lane)  # at once: its descriptor's number may be a new session's soon
        self._watch.wake()
        held, lane.held = lane.held, {}
        for row, entry in held.items():
            self._returns[row] += 1
            if self._returns[row] < _RETURNS or error is None or not lane.outcomes:
                self._give_back(entry)
            else:
                why = deferred(f"the session ended over it: {error.reason}")
                self._settle(lane.relay, entry.recipient, why)
        if error is None or isinstance(error, ConnectionEndedError):
            return
        relay = lane.relay
        self._run.refused = self._run.refused or (error.reason if error.lasting else "")
        if lane.opened_at >= relay.failed_at or error.lasting:  # once for all that fell together
            patient, wait = self._run.wait, error.wait or 0.0
            now = time.monotonic()
            relay.fail(error.reason, now, lasting=error.lasting, patient=patient, wait=wait)
            self._remember(relay)

    def _give_back(self, entry: Entry) -> None:
        relay, recipient = entry.lane.relay, entry.recipient
        self._means.domains.limit(relay.name, recipient.domain).under_way -= 1
        self._ledger.release(recipient.delivery_id)
        if not self._run.stopping:
            self._means.backlog.give_back(relay, recipient)

    def _remember(self, relay: Relay) -> None:
        rests = max(0.0, relay.rests_until - time.monotonic())
        until = self._means.store.now() + rests
        with _forgetful():
            self._means.pacing.relay_failed(relay.name, relay.failures, until, relay.reason)

    def _drop_what_is_left(self) -> None:
        self._run.stopping = True
        for lane in self._lanes:
            if lane.session is None:
                continue
            self._hear(lane, lane.session.abandon())
        self._ledger.commit()
        for book in self._means.books:
            with _forgetful():
                book.close()
        for relay in self._means.relays:
            with _forgetful():
                relay.pace.end(self._means.store.now())


def _forgetful() -> AbstractContextManager[None]:
    """Go on where the state of pacing cannot be written: it is not worth a message."""
    return contextlib.suppress(DBAPIError)
