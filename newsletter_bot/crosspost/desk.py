"""The cross-posting desk: drafts, plans and posts, channel by channel, never the same twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from sqlalchemy import Engine

from newsletter_bot import settings as configuration
from newsletter_bot.crosspost.channels import kinds
from newsletter_bot.crosspost.drafts import Desired, Drafter
from newsletter_bot.crosspost.model import CrossPost, CrossPostState, Draft, Failure, Posted
from newsletter_bot.crosspost.options import Means
from newsletter_bot.crosspost.round import Round
from newsletter_bot.crosspost.store import CrossPostStore, TokenStore
from newsletter_bot.errors import ConfigurationError, UsageError
from newsletter_bot.issues.model import Issue
from newsletter_bot.settings import Settings
from newsletter_bot.storage.lock import exclusive

_OWED = (CrossPostState.PLANNED, CrossPostState.POSTING)


class Crossposts:
    """What other parts of the program know of cross-posting; wired as `Bot.crossposts`."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._store = CrossPostStore(engine, clock)

    # ── before posting ───────────────────────────────────────────────────────────────────────

    def drafts(self, issue: Issue, page_url: str, only: str | None = None) -> list[Draft]:
        """Return what would be posted, writing nothing.

        Raises ConfigurationError for a wrong [channels.*] or template, UsageError for a channel
        that is not configured.
        """
        drafter = Drafter.of(issue, page_url, self._settings)
        return [draft for name in self.names(only) for draft in drafter.drafts(self._open(name))]

    def plan(self, issue: Issue, page_url: str, only: str | None = None) -> int:
        """Write the ledger's rows; returns how many are new. Raises what `drafts` raises.

        A channel that was planned stays as it was then, whatever the file says now: an item whose
        title changed would otherwise be posted a second time.
        """
        return self._store.add(issue.identity, self.drafts(issue, page_url, only))

    def retry(self, issue: Issue, page_url: str, only: str | None = None) -> int:
        """Owe again what failed or was skipped, with the texts of today; returns how many."""
        return self._store.redraft(issue.identity, self.drafts(issue, page_url, only))

    def resolve_unknown(self, issue_identity: str, only: str | None = None, *, post: bool) -> int:
        """Settle posts whose outcome nobody knows: post them again, or skip them."""
        channels = [only] if only else sorted({one.channel for one in self.rows(issue_identity)})
        return self._store.settle_unknown(issue_identity, channels, post=post)

    # ── posting ──────────────────────────────────────────────────────────────────────────────

    def due(self) -> list[str]:
        """Return the identities of issues that have something to post now."""
        return self._store.due()

    def rows(self, issue_identity: str) -> list[CrossPost]:
        """Return an issue's cross-posts, in the order in which they are posted."""
        return self._store.rows(issue_identity)

    def post(
        self,
        issue_identity: str,
        only: str | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Posted:
        """Post everything of an issue that is due; never raises for a channel's failure.

        `stop` is asked before each post.
        """
        with exclusive(self._engine, f"crosspost-{issue_identity}") as held:
            if not held:
                return Posted(busy=True)
            before = {row.id: row for row in self.rows(issue_identity)}
            failures: list[Failure] = []
            for name in dict.fromkeys(row.channel for row in before.values()):
                if only in (None, name):
                    failures += self._post_on(issue_identity, name, stop)
            return self._outcome(before, self.rows(issue_identity), failures)

    def _post_on(
        self, issue_identity: str, name: str, stop: Callable[[], bool]
    ) -> Sequence[Failure]:
        rows = [row for row in self.rows(issue_identity) if row.channel == name]
        if not any(row.state in _OWED for row in rows):
            return ()
        if name not in self._settings.channels:
            gone = f"[channels.{name}] is not in newsletter.toml any more"
            self._give_up(rows, CrossPostState.SKIPPED, gone)
            return ()
        try:
            desired = self._open(name)
        except ConfigurationError as error:
            self._give_up(rows, CrossPostState.FAILED, error.message)
            return [Failure(name, "", error.message, error.next_step)]
        zone = self._settings.newsletter.zone
        work = Round(desired, self._store, zone, self._clock, self._sleep)
        return work.post(rows, stop)

    def _give_up(self, rows: Sequence[CrossPost], state: CrossPostState, reason: str) -> None:
        for row in rows:
            if row.state in _OWED:
                maybe = row.attempted_at is not None
                self._store.end(row, CrossPostState.UNKNOWN if maybe else state, reason=reason)

    def _outcome(
        self, before: dict[int, CrossPost], after: list[CrossPost], failures: list[Failure]
    ) -> Posted:
        changed = [row for row in after if before[row.id].state is not row.state]
        count = {state: sum(row.state is state for row in changed) for state in CrossPostState}
        return Posted(
            posted=count[CrossPostState.POSTED],
            failed=count[CrossPostState.FAILED],
            unknown=count[CrossPostState.UNKNOWN],
            skipped=count[CrossPostState.SKIPPED],
            owed=sum(row.state in _OWED for row in after),
            failures=tuple(failures),
        )

    # ── configuration ────────────────────────────────────────────────────────────────────────

    def names(self, only: str | None = None) -> list[str]:
        """Return the configured channels, or `only` that one; raises UsageError."""
        configured = list(self._settings.channels)
        if only is None:
            return configured
        if only not in configured:
            raise UsageError(
                f"{only!r} is not one of the channels in newsletter.toml.",
                f"Configured: {', '.join(configured) or 'none'}.",
            )
        return [only]

    def means(self, name: str) -> Means:
        """Return what the channel `name` works with."""
        tokens = TokenStore(self._engine, name, self._clock)
        return Means(name, self._settings.folder, self._clock, tokens)

    def _open(self, name: str) -> Desired:
        known = kinds()
        if name not in known:
            raise ConfigurationError(
                f"newsletter.toml: channels.{name}: there is no such channel.",
                f"Known channels: {', '.join(known)}.",
            )
        kind, settings = known[name], self._settings
        place = f"channels.{name}"
        options = configuration.read_options(
            kind.Options, settings.channels[name], place, settings.folder
        )
        return Desired(name, kind, options, kind.open_channel(options, self.means(name)))
