"""What is asked of reports: one issue's, or several side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, tzinfo

from sqlalchemy import Engine

from newsletter_bot.delivery.model import DeliveryState, Tally
from newsletter_bot.errors import DataError
from newsletter_bot.reports import events_store, numbers_store
from newsletter_bot.reports.failures import failures, skipped
from newsletter_bot.reports.growth_store import growth
from newsletter_bot.reports.items import item_clicks, summed
from newsletter_bot.reports.model import About, Clicks, Domain, Growth, SubjectTest, Timing
from newsletter_bot.reports.numbers_store import Moment, Planned
from newsletter_bot.reports.report import Comparison, Figures, Report, Row
from newsletter_bot.reports.timing import timing, width_for
from newsletter_bot.reports.words import clean

LATEST = 12  # issues that are compared where none is named
_DOMAINS = 15


class Reports:
    """Counts what issues came to."""

    def __init__(
        self, engine: Engine, zone: tzinfo, clock: Callable[[], float] = time.time
    ) -> None:
        self._engine = engine
        self._zone = zone
        self._clock = clock

    def is_planned(self, identity: str) -> bool:
        """Tell whether there is anything to report of an issue."""
        with numbers_store.one_moment(self._engine) as moment:
            return numbers_store.find(moment, identity) is not None

    def report(self, identity: str) -> Report:
        """Count one issue's numbers; raises DataError before its plan."""
        with numbers_store.one_moment(self._engine) as moment:
            row = _found(moment, identity)
            clicks = events_store.clicks_by_link(moment, row.id)
            together = {row.id: summed(clicks.values())}
            figures = _figures(moment, [row], self._now(), together)[row.id]
            told = numbers_store.said(moment, row.id)
            links = events_store.links_of(moment, row.id)
            return Report(
                about=self._about(row),
                figures=figures,
                timing=_timing(moment, row),
                domains=_domains(moment, row, figures),
                failures=failures(told, _failed(moment, row, figures.tally)),
                skipped=skipped(told),
                items=item_clicks(links, clicks),
                opens=events_store.opens(moment, row.id),
                test=_subject_test(moment, row),
                growth=self._growth_up_to(moment, row),
            )

    def compare(self, identities: Sequence[str] = ()) -> Comparison:
        """Count several issues' numbers, by default the latest's; raises DataError as `report`."""
        with numbers_store.one_moment(self._engine) as moment:
            every = numbers_store.all_issues(moment)
            rows = [_found(moment, one) for one in dict.fromkeys(identities)]
            rows = sorted(rows, key=lambda one: (one.planned_at, one.id)) or every[-LATEST:]
            clicks = events_store.clicks(moment, [one.id for one in rows])
            figures = _figures(moment, rows, self._now(), clicks)
            made = [
                Row(self._about(row), figures[row.id], self._growth(moment, row, every))
                for row in rows
            ]
            return Comparison(self._time(self._now()), made)

    def _about(self, row: Planned) -> About:
        finished = row.finished_at
        return About(
            issue=clean(row.identity),
            title=clean(row.title),
            kind=row.kind.value,
            state=row.state,
            lists=row.lists,
            planned_at=self._time(row.planned_at),
            finished_at=None if finished is None else self._time(finished),
            made_at=self._time(self._now()),
        )

    def _time(self, at: int) -> datetime:
        return datetime.fromtimestamp(at, self._zone)

    def _now(self) -> int:
        return int(self._clock())

    def _growth_up_to(self, moment: Moment, row: Planned) -> list[Growth]:
        every = numbers_store.all_issues(moment)
        kin = [one for one in every if set(one.lists) & set(row.lists)]
        earlier = [one for one in kin if (one.planned_at, one.id) <= (row.planned_at, row.id)]
        return [self._growth(moment, one, every) for one in earlier[-LATEST:]]

    def _growth(self, moment: Moment, row: Planned, every: Sequence[Planned]) -> Growth:
        """Count from an issue's plan to that of the next one for any of its lists."""
        later = (
            one.planned_at
            for one in every
            if one.planned_at > row.planned_at and set(one.lists) & set(row.lists)
        )
        until = next(later, self._now() + 1)
        return Growth(clean(row.identity), growth(moment, row.lists, row.planned_at, until))


def _found(moment: Moment, identity: str) -> Planned:
    row = numbers_store.find(moment, identity)
    if row is None:
        raise DataError(
            f"{identity} has not been planned: nothing of it was sent, and there is no report.",
            f"Send it with `newsletter-bot send {identity}`.",
        )
    return row


def _figures(
    moment: Moment, rows: Sequence[Planned], now: int, clicks: Mapping[int, Clicks]
) -> dict[int, Figures]:
    ids = [one.id for one in rows]
    tallies = numbers_store.tallies(moment, ids)
    bounced = numbers_store.came_back(moment, ids)
    complained = events_store.complaints(moment, ids)
    left = events_store.left_after(moment, rows, now)
    readers = events_store.clickers(moment, ids)
    return {
        row.id: Figures(
            tally=_tally(row, tallies.get(row.id, {})),
            bounced=bounced.get(row.id, 0),
            complained=complained.get(row.id, 0),
            left=left[row.id],
            clicks=replace(clicks.get(row.id, Clicks()), readers=readers.get(row.id, 0)),
        )
        for row in rows
    }


def _tally(row: Planned, counts: dict[str, int]) -> Tally:
    rest = {name: count for name, count in counts.items() if name != DeliveryState.PLANNED}
    return Tally(row.identity, row.state.value, sum(counts.values()), **rest)


def _timing(moment: Moment, row: Planned) -> Timing | None:
    last = numbers_store.last_accepted(moment, row.id)
    if last is None:
        return None
    span = max(0, last - row.planned_at)
    width = width_for(span)
    counts = numbers_store.accepted_over_time(moment, row.id, row.planned_at, width)
    return timing(counts, width, span)


def _domains(moment: Moment, row: Planned, figures: Figures) -> list[Domain]:
    found = numbers_store.domains(moment, row.id, _DOMAINS)
    tally = figures.tally
    others = Domain(
        name="",
        readers=tally.planned - sum(one.readers for one in found),
        accepted=tally.accepted - sum(one.accepted for one in found),
        bounced=figures.bounced - sum(one.bounced for one in found),
        refused=tally.refused + tally.expired - sum(one.refused for one in found),
        waiting=tally.remaining - sum(one.waiting for one in found),
        other=tally.skipped + tally.unknown - sum(one.other for one in found),
    )
    return [*found, others] if others.readers else found


def _failed(moment: Moment, row: Planned, tally: Tally) -> dict[tuple[str, str], int]:
    later = numbers_store.came_back_by_class(moment, row.id)
    at_once = {"refused": tally.refused, "expired": tally.expired, "deferred": tally.deferred}
    return {
        **{(when, ""): count for when, count in at_once.items()},
        **{("bounced", fault): count for fault, count in later.items()},
    }


def _subject_test(moment: Moment, row: Planned) -> SubjectTest | None:
    if not row.subject_test.get("subjects"):
        return None
    # It brings rendering with it, which takes longer to import than a small report does.
    from newsletter_bot.reports.subjects import subject_test

    return subject_test(moment, row)
