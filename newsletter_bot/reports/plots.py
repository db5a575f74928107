"""The plots of a report and of a comparison: numbers in, drawings out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from markupsafe import Markup

from newsletter_bot.feedback.mails.model import Fault
from newsletter_bot.reports import svg
from newsletter_bot.reports.model import (
    Domain,
    Failure,
    Growth,
    ItemClicks,
    Share,
    SubjectTest,
    Timing,
    written,
)
from newsletter_bot.reports.report import BAD_RATE, GOOD_RATE, Figures, Row
from newsletter_bot.reports.words import span

_MOST_ITEMS = 15
_AIR = 1.25


class Key(NamedTuple):
    """A colour of a plot, and what it stands for."""

    kind: str
    words: str
    number: int | None = None


def outcome_parts(figures: Figures) -> list[Key]:
    """Return what became of all deliveries; the counts add up to those planned."""
    tally = figures.tally
    counts = (
        ("c1", "delivered", tally.accepted - figures.bounced),
        ("c2", "came back later", figures.bounced),
        ("c3", "refused", tally.refused),
        ("c5", "expired", tally.expired),
        ("c4", "still owed", tally.remaining),
        ("c6", "unknown", tally.unknown),
        ("c0", "skipped", tally.skipped),
    )
    return [Key(*one) for one in counts if one[2]]


def outcomes(figures: Figures) -> Markup:
    """Draw what became of all deliveries as one bar."""
    keys = outcome_parts(figures)
    told = ", ".join(f"{one.number:,} {one.words}" for one in keys)
    total = figures.tally.planned or 1
    x, shapes = 0.0, [svg.rect("track", (0, 100), (0, 30))]
    for one in keys:
        width = 100 * (one.number or 0) / total
        shapes.append(
            svg.rect(f"part {one.kind}", (x, width), (0, 30), f"{one.number:,} {one.words}")
        )
        x += width
    return svg.drawing("outcomes", "What became of all deliveries", told, 30, shapes)


def over_time(timing: Timing) -> Markup:
    """Draw when servers accepted the messages."""
    width = timing.width
    made = [
        svg.Column(
            "plan" if not place else f"{span(place * width)} to {span((place + 1) * width)}",
            count,
            words=f"{count:,} after {span(place * width)} to {span((place + 1) * width)}",
        )
        for place, count in enumerate(timing.spans)
    ]
    made[-1] = svg.Column(span(len(made) * width), made[-1].up, words=made[-1].words)
    marks = [
        svg.Mark(seconds / width, words)
        for seconds, words in (
            (timing.p50, f"half: {span(timing.p50)}"),
            (timing.p90, f"90 %: {span(timing.p90)}"),
        )
        if seconds / width <= len(made)
    ]
    told = f"Half were accepted within {span(timing.p50)}, 90 % within {span(timing.p90)}"
    told += (
        f", the last after {span(timing.last)}; the most in {span(width)}: {max(timing.spans):,}."
    )
    return svg.drawing(
        "time", "Accepted by time since the plan", told, *svg.columns(made, marks=marks)
    )


DOMAIN_KEYS = (
    Key("c1", "delivered"),
    Key("c2", "came back"),
    Key("c3", "refused or expired"),
    Key("c4", "still owed"),
    Key("c0", "skipped or unknown"),
)


def by_domain(domains: Sequence[Domain]) -> Markup:
    """Draw what became of each domain's deliveries, each bar as wide as all of its own."""
    made = []
    for one in domains:
        counts = (one.delivered, one.bounced, one.refused, one.waiting, one.other)
        parts = [
            (key.kind, count / one.readers) for key, count in zip(DOMAIN_KEYS, counts, strict=True)
        ]
        value = percent_of(Share(one.delivered, one.readers))
        made.append(svg.Bar(one.name or "all other domains", value, parts))
    told = "; ".join(f"{one.label}: {one.value}" for one in made[:5])
    title = "Outcome by domain, delivered of those planned"
    return svg.drawing("domains", title, told, *svg.bars(made))


def percent_of(share: Share) -> str:
    """Write a share shortly: `98 % of 1,200`, or `3 of 4` where that says more."""
    if share.percent is None:
        return f"{share.count:,} of {share.of:,}"
    return f"{written(share.percent)} of {share.of:,}"


CLASS_WORDS = {
    Fault.HARD: "hard: wrong or closed address",
    Fault.SOFT: "soft: mailbox, not for good",
    Fault.BLOCK: "block: about us",
    Fault.TECHNICAL: "technical: between us",
}
FAILURE_KEYS = (
    Key("c3", "refused at once"),
    Key("c2", "came back later"),
    Key("c5", "expired"),
    Key("c4", "deferred until now"),
)
_TIMES = ("refused", "bounced", "expired", "deferred")


def by_class(failures: Iterable[Failure]) -> Markup:
    """Draw what did not arrive by whose fault it is."""
    counts = dict.fromkeys(((fault, when) for fault in Fault for when in _TIMES), 0)
    for one in failures:
        counts[one.fault, one.when] += one.readers
    made = []
    for fault in Fault:
        found = [counts[fault, when] for when in _TIMES]
        parts = [(key.kind, float(n)) for key, n in zip(FAILURE_KEYS, found, strict=True)]
        made.append(svg.Bar(CLASS_WORDS[fault], f"{sum(found):,}", parts))
    told = "; ".join(f"{one.label}: {one.value}" for one in made)
    return svg.drawing("classes", "What did not arrive, by class", told, *svg.bars(made))


CLICK_KEYS = (
    Key("c1", "people"),
    Key("c4", "unknown"),
    Key("c0", "machines"),
)


def by_item(items: Sequence[ItemClicks]) -> Markup:
    """Draw the clicks on each item by who made them."""
    made = [
        svg.Bar(
            one.title,
            f"{one.clicks.human:,}",
            (
                ("c1", one.clicks.human),
                ("c4", one.clicks.unknown),
                ("c0", one.clicks.machine),
            ),
        )
        for one in items[:_MOST_ITEMS]
    ]
    told = "; ".join(f"{one.label}: {one.value} by people" for one in made[:5])
    return svg.drawing("items", "Clicks by item; numbers are of people", told, *svg.bars(made))


def complaint_scale(figures: Figures) -> Markup:
    """Draw the rate of complaints against the lines that Gmail draws."""
    rate = figures.complaints.percent or 0.0
    marks = [
        svg.Mark(GOOD_RATE, f"{GOOD_RATE} %", "limit"),
        svg.Mark(BAD_RATE, f"{BAD_RATE} %", "limit"),
    ]
    told = f"{figures.complaints}; below {GOOD_RATE} % is asked for, {BAD_RATE} % is too much."
    height, shapes = svg.scale(rate, marks, max(BAD_RATE, rate) * _AIR)
    shapes.append(svg.words(written(rate), 0, 14, "label"))
    return svg.drawing("complaints", "Complaints of those delivered", told, height, shapes)


def subject_test(test: SubjectTest) -> Markup:
    """Draw each subject's share of readers who clicked, with its interval."""
    rows = [
        (
            one.subject + (" ✓" if one.won else ""),
            percent_of(one.share),
            one.low,
            one.share.count / one.share.of if one.share.of else 0.0,
            one.high,
        )
        for one in test.variants
    ]
    title = "Readers who clicked by subject, with intervals at 95 %"
    return svg.drawing("subjects", title, test.why or "Not decided yet.", *svg.intervals(rows))


GROWTH_KEYS = (Key("c1", "joined"), Key("c2", "left"))


def list_growth(growth: Sequence[Growth]) -> Markup:
    """Draw who joined above and who left below the line, from each issue to the next."""
    made = []
    for one in growth:
        all_ = one.all
        said = f"{one.issue}: {all_.joined:,} joined, {all_.left:,} left"
        made.append(svg.Column(one.issue, all_.joined, all_.left, said))
    told = "; ".join(one.words for one in made[-3:])
    height, shapes = svg.columns(made)
    joined = max((one.all.joined for one in growth), default=0)
    left = max((one.all.left for one in growth), default=0)
    shapes.append(svg.words(f"at most {joined:,} joined, {left:,} left", 0, 14, "tick"))
    title = "Joined and left, from each issue to the next"
    return svg.drawing("growth", title, told, height, shapes)


# ── several issues ───────────────────────────────────────────────────────────────────────────


class Trend(NamedTuple):
    """A figure of several issues side by side."""

    name: str
    title: str
    note: str
    picture: Markup


def trends(rows: Sequence[Row]) -> list[Trend]:
    """Draw what issues are compared by, a plot for each."""
    shares: Sequence[tuple[str, str, str, Callable[[Figures], Share | None]]] = (
        ("delivered", "Delivered", "of those it was for", lambda one: one.delivered),
        ("clickers", "Readers who clicked", "people, of those delivered", lambda one: one.clickers),
        (
            "unsubscribed",
            "Unsubscribed",
            "within 7 days, of those delivered",
            lambda one: one.unsubscribed,
        ),
        ("complaints", "Complaints", "of those delivered", lambda one: one.complaints),
        ("bounces", "Came back", "of those accepted", lambda one: one.bounces),
    )
    made = [_trend(rows, *one) for one in shares]
    growth = list_growth([row.growth for row in rows])
    return [*made, Trend("growth", "List growth", "joined above, left below", growth)]


def _trend(
    rows: Sequence[Row], name: str, title: str, note: str, pick: Callable[[Figures], Share | None]
) -> Trend:
    shares = [pick(row.figures) for row in rows]
    percents = [None if share is None else share.percent for share in shares]
    made = [
        svg.Column(row.about.issue, percent, words=f"{row.about.issue}: {share or 'not known'}")
        for row, share, percent in zip(rows, shares, percents, strict=True)
    ]
    known = [one for one in percents if one is not None]
    limits = [_limit(GOOD_RATE), _limit(BAD_RATE)] if name == "complaints" else []
    height, shapes = svg.columns(made, levels=limits)
    if known:
        said = f"latest {written(known[-1])}, highest {written(max(known))}"
        shapes.append(svg.words(said, 0, 14, "tick"))
    told = "; ".join(one.words for one in made[-3:])
    return Trend(name, title, note, svg.drawing(name, title, told, height, shapes))


def _limit(rate: float) -> svg.Mark:
    return svg.Mark(rate, written(rate), "limit")
