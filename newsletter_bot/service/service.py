"""Everything that runs by itself: duties that the ticker rings, and the sender's threads."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor, wait
from enum import StrEnum
from functools import partial
from threading import Event, Lock

from newsletter_bot.alerts import Alerts
from newsletter_bot.bot import Bot
from newsletter_bot.delivery.model import IssueState
from newsletter_bot.delivery.run import Run
from newsletter_bot.errors import BusyError, NewsletterError, TryAgainError
from newsletter_bot.hooks.courier import Ways
from newsletter_bot.logs import log
from newsletter_bot.schedule.sweep import Happening, Notice, Sweep
from newsletter_bot.schedule.ticker import Ticker
from newsletter_bot.service.feedback import FeedbackDuty
from newsletter_bot.service.mailboxes import MailboxDuty
from newsletter_bot.service.newsroom import Newsroom
from newsletter_bot.service.people import PeopleDuties
from newsletter_bot.service.posting import Posting
from newsletter_bot.service.reception import Reception
from newsletter_bot.settings.tables import seconds
from newsletter_bot.storage.instance import Instance, state_folder

_MARK = 60.0  # seconds between two changes of the machine's mark
_TIDY = 3600.0
_SENDERS = 4  # issues and sequences that are sent at the same time
_MOMENT = 0.5  # seconds from an event to the courier: it is committed by then, or soon after
_STOP = 9.0  # seconds that messages in flight and duties get at the end


class Role(StrEnum):
    """What a process does; all of it unless `run --only` says otherwise."""

    WEB = "web"
    SCHEDULER = "scheduler"
    WORKER = "worker"


class Service:
    """One process's duties; every one of them may be killed at any moment, and is done again."""

    def __init__(
        self,
        bot: Bot,
        roles: Collection[Role],
        *,
        clock: Callable[[], float] = time.time,
        alerts: Alerts | None = None,
    ) -> None:
        self._bot = bot
        self._roles = frozenset(roles)
        owner = f"{socket.gethostname()}:{os.getpid()}"
        self._alerts = alerts or Alerts(bot.engine, bot.settings.alerts, bot.settings.folder, clock)
        self._instance = Instance(bot.engine, state_folder(bot.settings), clock)
        self._newsroom = Newsroom(bot, clock, self._warn, owner, self._instance.mark)
        self._sweep = Sweep(self._newsroom.occurrences, bot.settings, self._newsroom, self._tell)
        self._posting = Posting(bot, self._alerts.say, clock)
        self._reception = Reception(bot, self._warn_of_message)
        self._people = PeopleDuties(bot, self._reception, self._alerts.say, self.ring, clock)
        self._feedback = FeedbackDuty(bot, self._alerts.say, clock)
        self._mailboxes = MailboxDuty(bot, self._alerts.say, self.ring)
        self._senders = ThreadPoolExecutor(_SENDERS, "sender")
        self._runs: dict[str, tuple[Run, Future[None]]] = {}
        self._lock = Lock()
        self._ticker = Ticker(self._failed)
        ring_hooks = partial(self._ticker.ring, "hooks")
        ways = Ways(self._alerts.say, ring_hooks, lambda: bool(self.objection))
        self._courier = bot.webhooks.courier(ways)
        self._hooks_rung = False
        bot.doorbell.answer = self._ring_hooks
        self._clock = clock
        self._looked_at = 0.0
        self._stopping = Event()
        self.objection = "it has not started yet"  # why nothing is done by itself

    # ── beginning and end ────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Begin all duties of these roles."""
        tick = seconds(self._bot.settings.service.tick)
        self.mark()
        self._ticker.every(_MARK, "mark", self.mark)
        if Role.SCHEDULER in self._roles:
            self._ticker.every(tick, "look", self._quietly(self.look))
            self._ticker.every(tick, "newcomers", self._quietly(self.greet))
            every = seconds(self._bot.settings.collect.every)
            self._ticker.every(every, "collect", self._quietly(self.collect))
        if Role.WORKER in self._roles:
            self._ticker.every(tick, "send", self._quietly(self.send))
            self._ticker.every(tick, "crosspost", self._quietly(self._posting.look))
            self._ticker.every(tick, "people", self._quietly(self._people.settle))
            self._ticker.every(tick, "letters", self._quietly(self._people.send))
            self._ticker.every(tick, "feedback", self._quietly(self._feedback.read))
            self._ticker.every(tick, "mailboxes", self._quietly(self._mailboxes.look))
            self._ticker.every(tick, "visits", self._quietly(self.judge_visits))
            self._ticker.every(tick, "hooks", self._quietly(self._tell_hooks))
        self._ticker.start()
        log("service.started", roles=sorted(self._roles), quarantine=self.objection)

    def stop(self) -> None:
        """End within 10 s: messages in flight come to their outcome, nothing new begins.

        A duty that takes longer (a feed that does not answer) is left where it is.
        """
        end = time.monotonic() + _STOP
        self._stopping.set()
        self._posting.stop()
        self._people.stop()
        self._feedback.stop()
        self._mailboxes.stop()
        self._courier.stop()
        self._ticker.stop()
        with self._lock:
            runs = list(self._runs.values())
        for run, _ in runs:
            run.stop()
        wait([future for _, future in runs], timeout=_STOP)
        self._senders.shutdown(wait=False, cancel_futures=True)
        self._ticker.wait(end - time.monotonic())
        self._courier.wait(end - time.monotonic())
        log("service.stopped")

    def ring(self, duty: str) -> None:
        """Let a duty begin at once, when it is one of this process's."""
        self._ticker.ring(duty)

    def readiness(self) -> list[str]:
        """Return why this process is not ready; empty when it is."""
        reasons = [self.objection] if self.objection else []
        tick = seconds(self._bot.settings.service.tick)
        late = self._clock() - self._looked_at > 3 * tick + 5
        if Role.SCHEDULER in self._roles and late and not self.objection:
            reasons.append("the scheduler has not looked for a while")
        return reasons

    # ── duties ───────────────────────────────────────────────────────────────────────────────

    def mark(self) -> None:
        """Change the machine's mark; a copy of the database does nothing from then on."""
        before, self.objection = self.objection, self._instance.mark()
        if self.objection and self.objection != before:
            log("service.quarantined", reason=self.objection)
            self._alerts.say(
                "quarantine",
                "Nothing is sent: this newsletter is in quarantine",
                f"{self.objection}. If this is the one to go on: newsletter-bot instance adopt.",
            )

    def look(self) -> None:
        """Take what is due on the schedule one step further."""
        self._sweep.look()
        self._looked_at = self._clock()
        following = self._newsroom.occurrences.next_due(int(self._looked_at))
        if following is not None:
            self._ticker.ring("look", following)

    def greet(self) -> None:
        """Owe newcomers what their time has come for."""
        for identity in self._reception.plan():
            log("newcomers.planned", issue=identity)
            self._ticker.ring("send")

    def collect(self) -> None:
        """Gather links into the inbox."""
        for one in self._bot.collect():
            log("collected", source=one.name, new=one.new, reason=one.reason)

    def judge_visits(self) -> None:
        """Tell readers who follow links from machines that do."""
        if count := self._bot.visit_counter.judge():
            log("visits.judged", count=count)

    def send(self) -> None:
        """Send whatever is owed, each issue in a thread of its own."""
        for identity in self._bot.mailroom.owed():
            with self._lock:
                running = self._runs.get(identity)
                if self._stopping.is_set() or (running and not running[1].done()):
                    continue
                run = Run()
                self._runs[identity] = (run, self._senders.submit(self._send_one, identity, run))

    def _send_one(self, identity: str, run: Run) -> None:
        log("send.started", issue=identity)
        try:
            tally = self._bot.mailroom.carry_on(identity, run)
        except BusyError:
            return  # another process sends it
        except TryAgainError as error:
            log("send.stopped", issue=identity, reason=error.message)
            if run.halt is IssueState.PAUSED:
                self._alerts.say(
                    f"paused:{identity}",
                    f"{identity} is paused",
                    f"{error.message} {error.next_step}",
                )
            elif run.refused:
                self._alerts.say(
                    f"refused:{identity}",
                    f"{identity} does not go out",
                    f"{error.message} {error.next_step}",
                )
        except NewsletterError as error:
            log("send.failed", issue=identity, reason=error.message)
            self._alerts.say(f"failed:{identity}", f"{identity} cannot be sent", error.message)
        except Exception as error:  # noqa: BLE001 - it must be told; the ledger knows what is owed
            self._failed("send", error)
        else:
            log("send.finished", **tally.to_json())
            self._ticker.ring("crosspost")
            self._ticker.ring("hooks")

    def _tell_hooks(self) -> None:
        self._hooks_rung = False
        self._courier.look()

    def _ring_hooks(self) -> None:
        """Have the courier look in a moment, once for all that is told until then."""
        if not self._hooks_rung:
            self._hooks_rung = True
            self._ticker.ring("hooks", time.time() + _MOMENT)

    # ── what is told ─────────────────────────────────────────────────────────────────────────

    def _quietly(self, duty: Callable[[], None]) -> Callable[[], None]:
        """Leave a duty out while this machine may not act, and at the end."""

        def done() -> None:
            if not self.objection and not self._stopping.is_set():
                duty()

        return done

    def _tell(self, notice: Notice) -> None:
        one = notice.occurrence
        log(
            f"slot.{notice.happening}",
            slot=one.slot,
            occurrence=one.date,
            issue=notice.issue,
            reason=notice.reason,
        )
        if notice.happening is Happening.SENT:
            self._ticker.ring("send")
        title = _TITLES.get(notice.happening)
        if title is not None:
            name = notice.issue or "no issue"
            self._alerts.say(
                f"{notice.happening}:{one.slot}:{one.date}",
                title.format(slot=one.slot, date=one.date),
                f"{name}: {notice.reason or _WORDS[notice.happening]}",
            )

    def _warn(self, sentence: str) -> None:
        log("archive.failed", reason=sentence)
        self._alerts.say("archive", "The archive was not built", sentence)

    def _warn_of_message(self, sentence: str) -> None:
        log("newcomers.failed", reason=sentence)
        self._alerts.say(f"newcomers:{sentence}", "Something newcomers get needs mending", sentence)

    def _failed(self, duty: str, error: Exception) -> None:
        log("service.failed", duty=duty, error=error)
        self._alerts.say(
            f"duty:{duty}", f"The bot failed at: {duty}", f"{type(error).__name__}: {error}"
        )


_TITLES = {
    Happening.ANNOUNCED: "Soon: the issue of {slot}, {date}",
    Happening.NONE_READY: "Nothing is ready for {slot}, {date}",
    Happening.MISSED: "Missed: {slot}, {date}",
    Happening.SKIPPED: "Skipped: {slot}, {date}",
    Happening.FAILED: "Not sent yet: {slot}, {date}",
}
_WORDS = {Happening.ANNOUNCED: "it goes out now unless you cancel it"}
