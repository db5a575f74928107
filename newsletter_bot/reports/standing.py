"""How an issue stands while it is reported, in a sentence."""

from __future__ import annotations

from newsletter_bot.delivery.model import IssueState
from newsletter_bot.reports.report import Report


def standing(report: Report) -> tuple[str, str]:
    """Say how an issue stands, and with which command an operator may go on."""
    tally, issue = report.figures.tally, report.about.issue
    owed = f"{tally.remaining:,} of {tally.planned:,} are still owed"
    match report.about.state:
        case IssueState.PAUSED:
            return f"It is paused; {owed}. Find out why:", f"newsletter-bot status {issue}"
        case IssueState.CANCELLED:
            took = f"{tally.accepted:,} of {tally.planned:,}"
            return f"It was cancelled; {took} had been accepted.", ""
        case IssueState.SENDING:
            return f"It is being sent; {owed}. These numbers will change.", ""
        case _ if not tally.planned:
            return "Nobody was owed it: its lists had no reader when it was planned.", ""
        case _ if tally.unknown:
            lost = f"of {tally.unknown:,} nobody knows whether they arrived"
            return f"It was sent; {lost}.", f"newsletter-bot resolve {issue} --unknown skip"
        case _:
            return "It was sent; every delivery came to an end.", ""
