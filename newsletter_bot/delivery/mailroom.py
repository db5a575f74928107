"""What an operator asks of the ledger: plan, send, status, resolve, proof, and a dry run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from newsletter_bot.delivery.composer import Composer, as_proof
from newsletter_bot.delivery.model import (
    DeliveryState,
    IssueState,
    Message,
    Outcome,
    Recipient,
    Tally,
)
from newsletter_bot.delivery.pacing import Pace
from newsletter_bot.delivery.plan_store import IssueRow, PlanStore
from newsletter_bot.delivery.sender import Run, Sender
from newsletter_bot.delivery.store import LedgerStore
from newsletter_bot.delivery.transports import RelayError, open_transport
from newsletter_bot.errors import DataError, TryAgainError
from newsletter_bot.rendering.model import Only, Rendering, applies, filled
from newsletter_bot.settings import Settings, seconds
from newsletter_bot.storage.lock import exclusive

_FIRST_SUBJECTS = 3


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a send would do: counted with the plan's own question, nothing written."""

    count: int
    lists: Sequence[str]
    skips: dict[str, int]
    segments: dict[str, int]
    subjects: tuple[tuple[str, str], ...]


class Mailroom:
    """The ledger of one newsletter, with the relay it sends through."""

    def __init__(self, engine: Engine, settings: Settings, secret: bytes) -> None:
        self._engine = engine
        self._settings = settings
        self._secret = secret
        self._plans = PlanStore(engine)
        self._store = LedgerStore(engine)

    def issue(self, identity: str) -> IssueRow | None:
        """Return a planned issue, or None before its plan."""
        return self._plans.issue(identity)

    def issues(self) -> list[IssueRow]:
        """Return every planned issue, the newest first."""
        return self._plans.issues()

    def status(self, identity: str) -> Tally:
        """Count an issue's deliveries by state; raises DataError before its plan."""
        row = self._planned(identity)
        counts = dict(self._store.tally(row.id))
        total = sum(counts.values())
        counts.pop(DeliveryState.PLANNED, None)
        return Tally(issue=identity, state=row.state.value, planned=total, **counts)

    def reasons(self, identity: str) -> list[tuple[DeliveryState, str, int]]:
        """Count why deliveries were not accepted, the most frequent reason first."""
        row = self._planned(identity)
        return self._store.reasons(row.id, set(DeliveryState) - {DeliveryState.ACCEPTED})

    def next_deferred(self, identity: str) -> int | None:
        """Return when the next deferred delivery is due (seconds since 1970 UTC)."""
        return self._store.next_deferred(self._planned(identity).id)

    def dry_run(self, rendering: Rendering, lists: Sequence[str]) -> DryRun:
        """Tell what `send` would do, writing nothing."""
        count, skips, segments = 0, Counter[str](), Counter[str]()
        subjects: list[tuple[str, str]] = []
        blocks = {_words(one): one for one in rendering.html if isinstance(one, Only)}
        for person, reason in self._plans.forecast(lists):
            if reason:
                skips[reason] += 1
                continue
            count += 1
            values = person.values()
            segments.update(name for name, one in blocks.items() if applies(one.conditions, values))
            if len(subjects) < _FIRST_SUBJECTS:
                subjects.append((person.address, filled(rendering.subjects[0], values)))
        seen = {name: segments[name] for name in blocks}
        return DryRun(count, lists, dict(skips), seen, tuple(subjects))

    def send(
        self,
        rendering: Rendering,
        title: str,
        lists: Sequence[str],
        run: Run,
        progress: Callable[[Outcome], None] = lambda _outcome: None,
    ) -> Tally:
        """Plan the issue when that has not been done, then hand over everything due.

        An issue already planned keeps the rendering it was planned with. Raises TryAgainError when
        another process sends it, or when the relay or the database gave out: run it again.
        """
        with exclusive(self._engine, f"send-{rendering.issue}") as held:
            if not held:
                raise TryAgainError(
                    f"Another process is sending {rendering.issue}.",
                    f"Watch it with `newsletter-bot status {rendering.issue}`.",
                )
            row = self._plans.plan(rendering, title, lists)
            self._may_send(row)
            self._settle_old(row)
            if row.state is IssueState.SENDING:
                self._hand_over(row, run, progress)
                self._store.finish(row.id)
        tally = self.status(rendering.issue)
        if run.trouble:
            raise TryAgainError(
                f"Sending stopped: {run.trouble}. {tally.remaining} of {tally.planned} are still"
                " owed; nothing is lost.",
                f"Mend the cause, then run `newsletter-bot send {rendering.issue}` again: it goes"
                " on where it stopped.",
            )
        return tally

    def resolve(self, identity: str, *, resend: bool) -> int:
        """Settle the unknown deliveries: skip them, or owe them again; returns how many."""
        return self._store.resolve_unknown(self._planned(identity).id, resend=resend)

    def proof(self, rendering: Rendering, values: dict[str, str], to: str) -> Outcome:
        """Send one copy outside the ledger; raises TryAgainError when the relay gives out."""
        message = self.sample(as_proof(rendering), values, to)
        transport = open_transport(self._settings)
        try:
            with transport.connect() as connection:
                outcomes = [one for _, one in connection.deliver(iter([message]), lambda _: None)]
        except RelayError as error:
            raise TryAgainError(
                f"The proof was not sent: {error.reason}.",
                "Check [transport] in newsletter.toml and that the server runs, then try again.",
            ) from error
        return outcomes[0]

    def sample(self, rendering: Rendering, values: dict[str, str], to: str) -> Message:
        """Write the message as an invented reader would get it."""
        composer = Composer(rendering, self._settings, self._secret)
        recipient = Recipient(
            delivery_id=0,
            subscriber_id=0,
            address=to,
            name="",
            list=self._settings.lists[0].id,
            values=values,
        )
        return composer.compose(recipient, self._store.now())

    def _planned(self, identity: str) -> IssueRow:
        row = self._plans.issue(identity)
        if row is None:
            raise DataError(
                f"{identity} has not been planned: nothing of it was sent.",
                f"Send it with `newsletter-bot send {identity}`.",
            )
        return row

    def _may_send(self, row: IssueRow) -> None:
        if row.state in (IssueState.PAUSED, IssueState.CANCELLED):
            raise DataError(f"{row.identity} is {row.state}.", "It is not sent in this state.")

    def _settle_old(self, row: IssueRow) -> None:
        table = self._settings.transport
        self._store.recover(row.id, resend=table.unknown == "resend")
        if self._store.now() > row.planned_at + seconds(table.deadline):
            self._store.expire(row.id)

    def _hand_over(self, row: IssueRow, run: Run, progress: Callable[[Outcome], None]) -> None:
        table = self._settings.transport
        composer = Composer(self._plans.rendering(row.rendering), self._settings, self._secret)
        sender = Sender(
            self._store, open_transport(self._settings), composer, Pace(table.rate), progress
        )
        owed = self._store.tally(row.id)
        run.due = owed.get(DeliveryState.PLANNED, 0) + owed.get(DeliveryState.DEFERRED, 0)
        sender.run(row.id, min(table.connections, run.due), run)


def _words(block: Only) -> str:
    return " ".join(
        f"{one.field}{'!=' if one.negated else '='}{','.join(one.values)}"
        for one in block.conditions
    )
