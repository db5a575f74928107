"""A newsroom on paper, and a clock that goes where it is told: what sweeps are tried on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from newsletter_bot.errors import DataError, NewsletterError
from newsletter_bot.schedule.model import Candidate
from newsletter_bot.settings import Settings
from newsletter_bot.settings.tables import NewsletterTable, SlotTable


class Clock:
    """Seconds since 1970 UTC that pass only when told."""

    def __init__(self, at: str) -> None:
        self.now = datetime.fromisoformat(at).timestamp()

    def __call__(self) -> float:
        return self.now

    def at(self, when: str) -> None:
        self.now = datetime.fromisoformat(when).timestamp()

    def pass_(self, seconds: float) -> None:
        self.now += seconds


class PaperNewsroom:
    """Issues as entries of a list; planning writes their names down."""

    def __init__(self) -> None:
        self.issues: dict[str, Candidate] = {}
        self.planned: list[str] = []
        self.trouble: NewsletterError | None = None
        self.killed: BaseException | None = None

    def add(self, identity: str, **facts: object) -> None:
        values = {"ready": True, "rendering": "a", "approved": "a"} | facts
        self.issues[identity] = Candidate(identity, **values)  # type: ignore[arg-type]

    def edit(self, identity: str) -> None:
        self.issues[identity] = replace(self.issues[identity], rendering="edited")

    def candidates(self) -> Sequence[Candidate]:
        return [one for one in self.issues.values() if one.identity not in self.planned]

    def is_planned(self, issue: str) -> bool:
        return issue in self.planned

    def plan(self, issue: str, *, approval: bool) -> None:
        if self.trouble is not None:
            raise self.trouble
        if issue in self.planned:
            return
        one = self.issues.get(issue)
        if one is None or not one.ready:
            raise DataError(f"{issue} is a draft, or gone.")
        if approval and one.approved != one.rendering:
            raise DataError(f"{issue} is not approved as it is now.")
        self.planned.append(issue)
        if self.killed is not None:
            raise self.killed


def settings_of(*slots: SlotTable, zone: str = "UTC") -> Settings:
    """Settings with slots alone."""
    newsletter = NewsletterTable(
        name="News", url="https://news.example.com", **{"from": "n@example.com"}, timezone=zone
    )
    return Settings(folder=Path(), newsletter=newsletter, slots=slots)
