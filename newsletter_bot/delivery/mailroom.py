"""What an operator asks of the ledger: plan, send, status, resolve, and a dry run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Engine

from newsletter_bot.delivery.alone import alone
from newsletter_bot.delivery.backlog import Backlog
from newsletter_bot.delivery.clock import SteadyClock
from newsletter_bot.delivery.composing.composer import Composer
from newsletter_bot.delivery.control_store import ControlStore
from newsletter_bot.delivery.feed import Feed
from newsletter_bot.delivery.leftovers import Leftovers, OpenCalls
from newsletter_bot.delivery.means import Means, domains_of, lanes_of, relays_of, router_of
from newsletter_bot.delivery.model import DeliveryState, IssueKind, IssueState, Tally
from newsletter_bot.delivery.planning.dry_run import DryRun, dry_run
from newsletter_bot.delivery.planning.plan_store import IssueRow, PlanStore
from newsletter_bot.delivery.planning.sequences import Newcomers
from newsletter_bot.delivery.planning.subject_test import terms_of
from newsletter_bot.delivery.planning.subject_test_store import SubjectTestStore
from newsletter_bot.delivery.proofs import Proofs
from newsletter_bot.delivery.recorder import Recorder
from newsletter_bot.delivery.relaying.breaker import Breaker
from newsletter_bot.delivery.relaying.pacing_store import PacingStore
from newsletter_bot.delivery.report_store import ReportStore, Said, Stuck
from newsletter_bot.delivery.run import Run
from newsletter_bot.delivery.sender import Sender
from newsletter_bot.delivery.stopped import stopped
from newsletter_bot.delivery.store import LedgerStore
from newsletter_bot.delivery.telling_store import Telling
from newsletter_bot.errors import DataError, TryAgainError
from newsletter_bot.logs import log
from newsletter_bot.rendering.model import Rendering
from newsletter_bot.settings import Settings
from newsletter_bot.settings.tables import seconds
from newsletter_bot.storage.lock import exclusive
from newsletter_bot.subscribers.model import Subscriber
from newsletter_bot.subscribers.selection import USUAL, Selection

_CANCELLED = "the issue was cancelled"


def _going_on(row: IssueRow) -> list[IssueState]:
    """Return the states in which there is something to halt: newcomers come again and again."""
    again = [IssueState.SENT] if row.kind is IssueKind.SEQUENCE else []
    return [IssueState.SENDING, *again]


class Mailroom:
    """The ledger of one newsletter, with the relay it sends through."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        secret: bytes,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._secret = secret
        # By the wall clock, as subscriptions are: a steady one lags after a machine has slept.
        zone = settings.newsletter.zone
        wall, clock = clock or time.time, clock or SteadyClock()
        self.newcomers = Newcomers(engine, wall, zone)
        self._plans = PlanStore(engine, clock, zone)
        self._store = LedgerStore(engine, clock, Telling(settings))
        self._control = ControlStore(engine, clock)
        self._report = ReportStore(engine, clock)
        self._pacing = PacingStore(engine)
        self._calls = OpenCalls(engine, settings, self._pacing, self._store, wall)
        self.subject_tests = SubjectTestStore(engine, clock, seconds(settings.transport.deadline))
        self.proofs = Proofs(settings, secret, clock)

    def issue(self, identity: str) -> IssueRow | None:
        """Return a planned issue or a sequence message, or None before its plan."""
        return self._plans.issue(identity)

    def issues(self) -> list[IssueRow]:
        """Return every planned issue, the newest first."""
        return self._plans.issues()

    def status(self, identity: str) -> Tally:
        """Count an issue's deliveries by state; raises DataError before its plan."""
        row = self._planned(identity)
        counts = dict(self._report.tally(row.id))
        total = sum(counts.values())
        counts.pop(DeliveryState.PLANNED, None)
        return Tally(issue=identity, state=row.state.value, planned=total, **counts)

    def reasons(self, identity: str) -> list[tuple[DeliveryState, str, int]]:
        """Count why deliveries were not accepted, the most frequent reason first."""
        row = self._planned(identity)
        return self._report.reasons(row.id, set(DeliveryState) - {DeliveryState.ACCEPTED})

    def stuck(self, identity: str, limit: int = 20) -> list[Stuck]:
        """Count what was tried and has not arrived, by domain and age."""
        return self._report.stuck(self._planned(identity).id, limit)

    def search(self, identity: str, words: str, limit: int = 100) -> list[Said]:
        """Return what servers said that contains `words`, or to addresses that do."""
        return self._report.search(self._planned(identity).id, words, limit)

    def next_deferred(self, identity: str) -> int | None:
        """Return when the next deferred delivery is due (seconds since 1970 UTC)."""
        return self._store.next_deferred(self._planned(identity).id)

    def dry_run(
        self,
        rendering: Rendering,
        lists: Sequence[str],
        people: Iterable[tuple[Subscriber, str]] | None = None,
        selection: Selection = USUAL,
    ) -> DryRun:
        """Tell what `send` would do, writing nothing; for `people` instead of all on the lists."""
        people = self._plans.forecast(lists, selection) if people is None else people
        test = terms_of(rendering, self._settings, self._secret)
        return dry_run(people, rendering, lists, selection, test)

    def send(  # noqa: PLR0913 - an issue, whom it is for, and the run that sends it
        self,
        rendering: Rendering,
        title: str,
        lists: Sequence[str],
        run: Run,
        progress: Callable[[], None] = lambda: None,
        *,
        selection: Selection = USUAL,
    ) -> Tally:
        """Plan the issue when that has not been done, then hand over everything due.

        An issue already planned keeps its plan's rendering and people. Raises TryAgainError when
        another process sends it, or when deliveries that are due remain: run it again.
        """

        def planned() -> IssueRow:
            return self._plan(rendering, title, lists, selection)

        return self._send(rendering.issue, planned, run, progress)

    def plan(
        self, rendering: Rendering, title: str, lists: Sequence[str], selection: Selection = USUAL
    ) -> None:
        """Owe an issue to those it is for, sending nothing; a second time it changes nothing.

        Raises TryAgainError while another process plans or sends it, or the database is in trouble.
        """
        with alone(self._engine, rendering.issue):
            self._plan(rendering, title, lists, selection)

    def _plan(
        self, rendering: Rendering, title: str, lists: Sequence[str], selection: Selection
    ) -> IssueRow:
        self._check_relays(rendering, lists)
        first, test = self._warming_up(), terms_of(rendering, self._settings, self._secret)
        return self._plans.plan(rendering, title, lists, selection, engaged_first=first, test=test)

    def carry_on(
        self, identity: str, run: Run, progress: Callable[[], None] = lambda: None
    ) -> Tally:
        """Hand over what is due of an issue that was planned; its file is not needed any more.

        Raises what `send` raises.
        """
        return self._send(identity, lambda: self._planned(identity), run, progress)

    def owed(self) -> list[str]:
        """Return the issues that `carry_on` would do something for now."""
        owed = self._store.owed(seconds(self._settings.transport.deadline))
        return [*owed, *(one for one in self._calls.due() if one not in owed)]

    def _send(
        self,
        identity: str,
        planned: Callable[[], IssueRow],
        run: Run,
        progress: Callable[[], None],
    ) -> Tally:
        with alone(self._engine, identity):
            row = planned()
            self._may_send(row)
            recorder = self._recorder(row)
            self._settle_old(row, recorder, self._calls.left(row, self._composer, run))
            while row.state is IssueState.SENDING:
                row = self._tested(row)
                self._hand_over(row, run, progress, recorder)
                if not self._came_to_a_decision(row, run):
                    break
            self._conclude(row, recorder)
        tally = self.status(identity)
        if run.trouble and tally.remaining:
            raise stopped(run, tally, self._settings.newsletter.zone)
        return tally

    def _tested(self, row: IssueRow) -> IssueRow:
        """Decide a test of subjects whose time has come; call it under the issue's lock."""
        why = self.subject_tests.settle(row.id)
        if not why:
            return row
        log("subject_test.decided", issue=row.identity, why=why)
        return self._planned(row.identity)

    def _came_to_a_decision(self, row: IssueRow, run: Run) -> bool:
        due = self.subject_tests.put_off(row.id) <= self._store.now()
        return run.wait and due and run.goes_on()

    # ── what an operator decides ─────────────────────────────────────────────────────────────

    def pause(self, identity: str) -> Tally:
        """Send nothing more of an issue until `resume`; raises DataError when it is not sent."""
        row = self._planned(identity)
        if not self._control.move(row.id, _going_on(row), IssueState.PAUSED):
            self._refuse(row, "paused", IssueState.PAUSED)
        return self.status(identity)

    def resume(self, identity: str) -> Tally:
        """Let a paused issue be sent again; raises DataError for one that is not paused."""
        row = self._planned(identity)
        if not self._control.move(row.id, [IssueState.PAUSED], IssueState.SENDING):
            self._refuse(row, "resumed", IssueState.SENDING)
        return self.status(identity)

    def cancel(self, identity: str) -> Tally:
        """Skip all that is still owed of an issue, for good; what is on its way arrives."""
        row = self._planned(identity)
        before = [*_going_on(row), IssueState.PAUSED]
        if not self._control.move(row.id, before, IssueState.CANCELLED):
            self._refuse(row, "cancelled", IssueState.CANCELLED)
        with exclusive(self._engine, f"send-{identity}") as held:
            if held:  # nobody sends it, so whoever did was killed
                recorder = self._recorder(row)
                self._settle_old(row, recorder)
                self._conclude(row, recorder)
            else:
                self._control.skip_owed(row.id, _CANCELLED)
        return self.status(identity)

    def retry(self, identity: str) -> int:
        """Owe an issue again to those who were refused or expired; returns how many."""
        return self._control.retry_failed(self._not_cancelled(identity).id)

    def resolve(self, identity: str, *, resend: bool) -> int:
        """Settle the unknown deliveries: skip them, or owe them again; returns how many."""
        row = self._not_cancelled(identity) if resend else self._planned(identity)
        return self._control.resolve_unknown(row.id, resend=resend)

    def _planned(self, identity: str) -> IssueRow:
        row = self._plans.issue(identity)
        if row is None:
            raise DataError(
                f"{identity} has not been planned: nothing of it was sent.",
                f"Send it with `newsletter-bot send {identity}`.",
            )
        return row

    def _not_cancelled(self, identity: str) -> IssueRow:
        row = self._planned(identity)
        if row.state is IssueState.CANCELLED:
            raise DataError(f"{identity} is cancelled.", "Nothing of it can be sent any more.")
        return row

    def _may_send(self, row: IssueRow) -> None:
        if row.state is IssueState.PAUSED:
            why = f": {row.reason}" if row.reason else ""
            raise TryAgainError(
                f"{row.identity} is paused{why}.",
                f"Let it go on with `newsletter-bot resume {row.identity}`, then send it again.",
            )
        if row.state is IssueState.CANCELLED:
            raise DataError(f"{row.identity} is cancelled.", "It is not sent any more.")

    def _refuse(self, row: IssueRow, done: str, already: IssueState) -> None:
        if row.state is not already:
            raise DataError(
                f"{row.identity} is {row.state}: it cannot be {done}.",
                f"See `newsletter-bot status {row.identity}`.",
            )

    def _check_relays(self, rendering: Rendering, lists: Sequence[str]) -> None:
        """Let mistakes in the configuration show before anything is planned."""
        composer = Composer(rendering, self._settings, self._secret)
        router_of(relays_of(self._settings, self._pacing), lists, composer)

    def _recorder(self, row: IssueRow) -> Recorder:
        return Recorder(self._settings.folder / f".sending-{row.identity}")

    def _settle_old(self, row: IssueRow, recorder: Recorder, left: Leftovers | None = None) -> None:
        """Settle what a run that was killed left behind; call it under the issue's lock."""
        if left is not None:
            left.finish()
        beyond = recorder.found(self._store.last_run(row.id))
        resend = self._settings.transport.unknown == "resend"
        self._store.recover(row.id, resend=resend, beyond=beyond)
        if left is not None:
            left.drop_owed()
        patience = seconds(self._settings.transport.deadline)
        if self._store.now() > row.owed_since + patience:
            self._store.expire(row.id)
        else:
            self._store.expire(row.id, tried_before=int(self._store.now()) - patience)

    def _conclude(self, row: IssueRow, recorder: Recorder) -> None:
        self._control.skip_owed(row.id, _CANCELLED)
        state, _reason = self._store.issue_state(row.id)
        if self._store.finish(row.id) or state is IssueState.CANCELLED:
            recorder.remove()

    def _composer(self, row: IssueRow) -> Composer:
        rendering, counted = self._plans.rendering(row.rendering), self._plans.counted(row.id)
        return Composer(rendering, self._settings, self._secret, counted)

    def _hand_over(
        self, row: IssueRow, run: Run, progress: Callable[[], None], recorder: Recorder
    ) -> None:
        table = self._settings.transport

        def pause(reason: str) -> None:
            self._control.move(row.id, [IssueState.SENDING], IssueState.PAUSED, reason)

        composer, relays = self._composer(row), relays_of(self._settings, self._pacing)
        domains = domains_of(table.domain_connections, self._pacing, relays)
        router = router_of(relays, row.lists, composer)
        means = Means(
            store=self._store,
            pacing=self._pacing,
            relays=relays,
            backlog=Backlog(Feed(self._store, row.id), router, relays, domains),
            domains=domains,
            composer=composer,
            recorder=recorder,
            breaker=Breaker(),
            retry_after=seconds(table.retry_after),
            deadline=row.owed_since + seconds(table.deadline),
            pause=pause,
            progress=progress,
            test_until=lambda: self.subject_tests.put_off(row.id),
            books=self._calls.books(row, relays),
        )
        owed = self._report.tally(row.id)
        run.due = owed.get(DeliveryState.PLANNED, 0) + owed.get(DeliveryState.DEFERRED, 0)
        run.due -= self.subject_tests.waiting(row.id).count
        with recorder.recording(self._store.begin_run(row.id), means.most_at_once):
            Sender(means, row.id, lanes_of(means.relays, run.due), run).work()

    def _warming_up(self) -> bool:
        return any(one.warmup is not None for one in self._settings.routes)
