"""What an operator is told when a run ends before everything was sent."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from newsletter_bot.delivery.model import IssueState, Tally
from newsletter_bot.delivery.run import Run
from newsletter_bot.errors import TryAgainError


def stopped(run: Run, tally: Tally, zone: ZoneInfo) -> TryAgainError:
    """Return why a run ended with deliveries left, and what lets it go on."""
    left = f"{tally.remaining} of {tally.planned} are still owed; nothing is lost."
    if run.halt is IssueState.PAUSED:
        return TryAgainError(
            f"Sending stopped: {run.trouble}. {left}",
            f"When the cause is mended: `newsletter-bot resume {tally.issue}`, then"
            f" `newsletter-bot send {tally.issue} --yes`.",
        )
    if run.not_before is not None:
        when = datetime.fromtimestamp(run.not_before, zone)
        return TryAgainError(
            f"Sending stopped: {run.trouble}. {left}",
            f"Run `newsletter-bot send {tally.issue} --yes` again from {when:%a %H:%M} on, or"
            " add --wait.",
        )
    return TryAgainError(
        f"Sending stopped: {run.trouble}. {left}",
        f"Mend the cause, then run `newsletter-bot send {tally.issue} --yes` again: it goes on"
        " where it stopped.",
    )
