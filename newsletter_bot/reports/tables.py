"""The tables of a report and of a comparison: what is drawn, as numbers to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from newsletter_bot.reports.model import Domain, Failure, Growth, ItemClicks, SubjectTest, Timing
from newsletter_bot.reports.report import Comparison, Figures
from newsletter_bot.reports.words import span

Cell = str | int
_MOST_FAILURES = 30


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a head; the first cell of a row says what it is about."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    texts: Sequence[int] = (0,)  # the columns that hold words, not numbers


def outcomes(figures: Figures) -> Table:
    """Tell what became of all deliveries."""
    tally = figures.tally
    rows: list[tuple[Cell, ...]] = [
        ("planned", tally.planned),
        ("accepted", tally.accepted),
        ("– of which came back later", figures.bounced),
        ("refused", tally.refused),
        ("skipped", tally.skipped),
        ("unknown", tally.unknown),
        ("expired", tally.expired),
        ("deferred", tally.deferred),
        ("being sent, or not begun", tally.remaining - tally.deferred),
    ]
    return Table("The numbers", ("Outcome", "Deliveries"), rows)


def times(timing: Timing) -> Table:
    """Tell when messages were accepted."""
    rows: list[tuple[Cell, ...]] = [
        (span(place * timing.width), count) for place, count in enumerate(timing.spans)
    ]
    if timing.later:
        rows.append(("later", timing.later))
    return Table("The numbers", ("From, since the plan", "Accepted"), rows)


def domains(found: Sequence[Domain]) -> Table:
    """Tell what became of deliveries by domain."""
    head = ("Domain", "Readers", "Delivered", "Came back", "Refused", "Owed", "Other")
    rows = [
        (
            one.name or "all other domains",
            one.readers,
            one.delivered,
            one.bounced,
            one.refused,
            one.waiting,
            one.other,
        )
        for one in found
    ]
    return Table("The numbers", head, rows)


def failures(found: Sequence[Failure]) -> Table:
    """Tell what servers said, the most frequent first."""
    rows: list[tuple[Cell, ...]] = [
        (one.words or f"other words, read as “{one.rule}”", one.when, one.fault.value, one.readers)
        for one in found[:_MOST_FAILURES]
    ]
    more = found[_MOST_FAILURES:]
    if more:
        rows.append((f"{len(more):,} other reasons", "", "", sum(one.readers for one in more)))
    head = ("Words", "When", "Class", "Readers")
    return Table("What servers said", head, rows, texts=(0, 1, 2))


def left(figures: Figures) -> Table:
    """Tell how readers unsubscribed."""
    return Table("How they left", ("By", "Readers"), list(figures.left.items()))


def items(found: Sequence[ItemClicks]) -> Table:
    """Tell the clicks on each item."""
    rows = [
        (
            one.title,
            one.clicks.human,
            one.clicks.unknown,
            one.clicks.machine,
            one.clicks.readers or "–",
        )
        for one in found
    ]
    return Table("The numbers", ("Item", "People", "Unknown", "Machines", "Readers"), rows)


def subjects(test: SubjectTest) -> Table:
    """Tell what came of each subject."""
    rows = [
        (
            one.subject + (" (won)" if one.won else ""),
            one.sent,
            one.clicked,
            f"{100 * one.low:.1f} to {100 * one.high:.1f} %",
        )
        for one in test.variants
    ]
    return Table("The numbers", ("Subject", "Sent", "Clicked", "Interval at 95 %"), rows)


def list_growth(found: Sequence[Growth]) -> Table:
    """Tell who joined and left each list, from each issue to the next."""
    head = ("From issue", "List", "Joined", "Imported", "Left", "Net", "Left by")
    rows = [
        (
            growth.issue,
            one.list,
            one.joined,
            one.imported,
            one.left,
            f"{one.net:+,}",
            ", ".join(f"{name} {count:,}" for name, count in one.by.items()),
        )
        for growth in found
        for one in growth.lists
    ]
    return Table("The numbers", head, rows, texts=(0, 1, 6))


def comparison(found: Comparison) -> Table:
    """Tell what issues came to, one in each row."""
    head = (
        *("Issue", "Title", "State", "Planned", "Accepted", "Delivered", "Came back", "Refused"),
        *("Readers who clicked", "Clicks by people", "Unknown", "By machines"),
        *("Unsubscribed", "Complaints", "Joined", "Left", "Net"),
    )
    rows = [
        (
            row.about.issue,
            row.about.title,
            row.about.state.value,
            *_deliveries(row.figures),
            *_readers(row.figures),
            row.growth.all.joined,
            row.growth.all.left,
            f"{row.growth.all.net:+,}",
        )
        for row in found.rows
    ]
    return Table("All numbers", head, rows, texts=(0, 1, 2))


def _deliveries(one: Figures) -> tuple[Cell, ...]:
    tally = one.tally
    return tally.planned, tally.accepted, one.delivered.count, one.bounced, tally.refused


def _readers(one: Figures) -> tuple[Cell, ...]:
    clickers = "–" if one.clickers is None else one.clickers.count
    clicks = (clickers, one.clicks.human, one.clicks.unknown, one.clicks.machine)
    return *clicks, one.unsubscribed.count, one.complaints.count
