"""A test of subjects as it is reported: its sample once decided, until then what is so now."""

from __future__ import annotations

from newsletter_bot.delivery.planning.subject_test import Figures
from newsletter_bot.reports import events_store
from newsletter_bot.reports.model import SubjectTest, Variant
from newsletter_bot.reports.numbers_store import Moment, Planned
from newsletter_bot.reports.words import clean


def subject_test(moment: Moment, row: Planned) -> SubjectTest:
    """Tell what came of each subject; an issue without a test has none to tell."""
    test = row.subject_test
    subjects = [clean(str(one)) for one in test.get("subjects", ())]
    decided = test.get("decided_at") is not None
    figures = [
        Figures(place, one.get("sent", 0), one.get("clicked", 0))
        for place, one in enumerate(test.get("variants", ()))
    ]
    final = decided and test.get("wait_until") is not None
    if not final or len(figures) != len(subjects):
        figures = _now(moment, row, len(subjects))
    winner = test.get("winner")
    variants = tuple(
        Variant(subject, one.sent, one.clicked, *one.interval, won=one.variant == winner)
        for subject, one in zip(subjects, figures, strict=True)
    )
    return SubjectTest(variants, decided, clean(str(test.get("why", ""))))


def _now(moment: Moment, row: Planned, count: int) -> list[Figures]:
    sent = events_store.sent_by_variant(moment, row.id)
    clicked = events_store.clickers_by_variant(moment, row.id)
    return [Figures(one, sent.get(one, 0), clicked.get(one, 0)) for one in range(count)]
