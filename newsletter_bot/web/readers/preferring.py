"""The page of somebody's preferences: lists, how often, name, language."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from newsletter_bot.bot import Bot
from newsletter_bot.errors import DataError
from newsletter_bot.logs import log
from newsletter_bot.settings.tables import ListTable
from newsletter_bot.subscribers.consent import By, Choices, Evidence, Frequency
from newsletter_bot.web.readers.forms import Problems, is_name
from newsletter_bot.web.readers.pages import Answers
from newsletter_bot.web.readers.persons import Person, Persons
from newsletter_bot.web.serving.bodies import Form, form_of

_LONGEST_PAUSE = timedelta(days=366)


def add_preferring(app: FastAPI, preferring: Preferring) -> None:
    """Answer `/p/TOKEN`."""
    persons = preferring.persons

    @app.api_route("/p/{token}", methods=["GET", "HEAD"])
    def show(token: str, request: Request) -> Response:
        return persons.answer(token, request, preferring.show)

    @app.post("/p/{token}")
    async def save(token: str, request: Request) -> Response:
        form = await form_of(request)
        return await run_in_threadpool(
            persons.answer, token, request, lambda person: preferring.save(person, form)
        )


@dataclass(frozen=True, slots=True)
class _Draft:
    """The page's fields, as they are kept or as somebody filled them in."""

    name: str
    language: str
    frequency: str
    day: str  # ISO 8601; empty for no pause
    lists: frozenset[str]

    @classmethod
    def kept(cls, choices: Choices, day: str) -> _Draft:
        return cls(choices.name, choices.language, choices.frequency, day, choices.lists)

    @classmethod
    def of(cls, form: Form) -> _Draft:
        name, language = form.one("name"), form.one("language")
        frequency, day = form.one("frequency"), form.one("day")
        return cls(name, language, frequency, day, frozenset(form.all("list")))


class Preferring:
    """What somebody chose, shown and saved."""

    def __init__(self, bot: Bot, answers: Answers, persons: Persons) -> None:
        self._bot = bot
        self._settings = bot.settings
        self._answers = answers
        self.persons = persons

    def show(self, person: Person) -> Response:
        """Show what is kept."""
        draft = _Draft.kept(person.choices, self._day(person.choices))
        return self._page(person, draft)

    def save(self, person: Person, form: Form) -> Response:
        """Keep what was chosen; a body without the button's own field changes nothing."""
        if form.one("do") != "save":
            return self.show(person)
        draft = _Draft.of(form)
        problems = self._problems(draft)
        if problems:
            return self._page(person, draft, problems)
        try:
            self._keep(person, draft)
        except DataError:
            return self._page(person, draft, {"name": "wrong_name"})
        log("web.preferences", subscriber=person.id)
        return self._saved(person)

    def _saved(self, person: Person) -> Response:
        choices = self._bot.people.choices(person.id)
        if choices is None:  # erased in the meantime
            return self._answers.dead(person.language)
        now = replace(person, choices=choices)
        return self._page(now, _Draft.kept(choices, self._day(choices)), saved=True)

    def _keep(self, person: Person, draft: _Draft) -> None:
        offered = {one.id for one in self._offered(person.choices)}
        # A list that left newsletter.toml is not on the page: nobody unticked it.
        hidden = person.choices.lists - offered
        languages = self._settings.signup.languages
        choices = Choices(
            draft.name,
            draft.language if draft.language in languages else person.choices.language,
            Frequency.MONTHLY if draft.frequency == Frequency.MONTHLY else Frequency.EVERY,
            self._paused_until(draft.day),
            (draft.lists & offered) | hidden,
        )
        evidence = Evidence(
            page=self._answers.link("p"),
            wording=self._answers.say(person.language, "lists_text"),
            version=self._settings.signup.version,
            prefix=person.visitor.prefix,
        )
        self._bot.people.choose(person.id, choices, By.PAGE, evidence)

    # ── pauses ───────────────────────────────────────────────────────────────────────────────

    def _day(self, choices: Choices) -> str:
        """Return the day a pause ends, on the newsletter's calendar; empty without a pause."""
        if choices.paused_until is None:
            return ""
        day = datetime.fromtimestamp(choices.paused_until, self._settings.newsletter.zone).date()
        return day.isoformat() if day > self._today() else ""

    def _paused_until(self, day: str) -> int | None:
        wanted = _date(day)
        if wanted is None:
            return None
        return int(datetime.combine(wanted, time(), self._settings.newsletter.zone).timestamp())

    def _today(self) -> date:
        return datetime.now(self._settings.newsletter.zone).date()

    def _problems(self, draft: _Draft) -> Problems:
        found = {} if self._is_day(draft.day) else {"day": "wrong_day"}
        return found if is_name(draft.name) else {**found, "name": "wrong_name"}

    def _is_day(self, day: str) -> bool:
        if not day:
            return True
        wanted = _date(day)
        return wanted is not None and self._today() < wanted <= self._today() + _LONGEST_PAUSE

    # ── the page ─────────────────────────────────────────────────────────────────────────────

    def _offered(self, choices: Choices) -> list[ListTable]:
        """Return the public lists, and those others that the person is on."""
        return [one for one in self._settings.lists if one.public or one.id in choices.lists]

    def _page(
        self,
        person: Person,
        draft: _Draft,
        problems: Problems | None = None,
        *,
        saved: bool = False,
    ) -> Response:
        found = problems or {}
        return self._answers.page(
            "preferences.html.j2",
            person.language,
            status=422 if found else 200,
            draft=replace(draft, day=draft.day if _date(draft.day) else ""),
            problems={one: self._answers.say(person.language, word) for one, word in found.items()},
            saved=saved,
            here=person.token,
            address=person.address,
            lists=self._offered(person.choices),
            languages=self._languages(draft),
            **self._days(),
        )

    def _languages(self, draft: _Draft) -> tuple[tuple[str, str], ...]:
        """Return what may be chosen; where the person's own is not offered, nothing is for now."""
        offered = self._answers.languages()
        known = draft.language in self._settings.signup.languages
        return offered if known or not offered else (("", "—"), *offered)

    def _days(self) -> dict[str, Any]:
        today = self._today()
        first, last = today + timedelta(days=1), today + _LONGEST_PAUSE
        return {"first_day": first.isoformat(), "last_day": last.isoformat()}


def _date(day: str) -> date | None:
    """Read a day as browsers write it: 2026-11-25."""
    try:
        return date.fromisoformat(day) if len(day) == len("2026-11-25") else None
    except ValueError:
        return None
