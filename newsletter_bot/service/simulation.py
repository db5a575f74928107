"""A year in a minute: the real program in fake time, with every kind of bad luck.

The newsletter is copied into a folder of its own, mail goes to a server on this machine, channels
are left out unless they are given, and time is a number. Everything else is what `run` does.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from newsletter_bot.bot import Bot
from newsletter_bot.crosspost.desk import Crossposts
from newsletter_bot.delivery.run import Run
from newsletter_bot.errors import NewsletterError, TryAgainError
from newsletter_bot.schedule.model import Occurrence, OccurrenceState
from newsletter_bot.schedule.slots import between
from newsletter_bot.schedule.sweep import Sweep
from newsletter_bot.service.mail_server import mail_server
from newsletter_bot.service.newsroom import Newsroom
from newsletter_bot.service.posting import Posting
from newsletter_bot.service.story import DAY, Do, Step, Week, steps, week
from newsletter_bot.settings import Settings
from newsletter_bot.settings.secret import write_secret
from newsletter_bot.settings.tables import DatabaseTable, TransportTable
from newsletter_bot.storage.engine import at_transactions
from newsletter_bot.storage.instance import Instance
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.model import NewSubscriber

_READERS = ("ada", "grace", "alan")
_MESSAGE_ID = re.compile(rb"^Message-ID: <(.+)\.[0-9a-f]+@", re.MULTILINE)
_ENDED = (OccurrenceState.SENT, OccurrenceState.MISSED, OccurrenceState.SKIPPED)
_KILLS = 40  # a kill comes at one of so many transactions
_ISSUE = """\
---
issue: {identity}
title: "{identity}"
subject: "An invented issue, {identity}"
preheader: "Nothing of this is sent to anybody: a simulation on this machine"
lists: [{list}]
status: ready
---
An invented issue, {version}.

## Papers

### [An invented paper](https://example.com/{identity})

It says nothing, {version}.

> Invented, {identity}.
"""


class Killed(BaseException):
    """The simulated process ended here."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one occurrence."""

    week: Week
    state: str
    issue: str
    reason: str
    copies: int  # messages that arrived, of as many readers as there are


@dataclass(frozen=True, slots=True)
class Report:
    """What became of all, and every promise that was broken (none, it is hoped)."""

    outcomes: tuple[Outcome, ...]
    broken: tuple[str, ...]
    kills: int


@dataclass
class Simulation:
    """One run; `arrived` is told by whoever is the mail server: (issue, address) → copies."""

    settings: Settings
    folder: Path
    port: int
    arrived: Counter[tuple[str, str]]
    weeks: int
    start: int
    seed: int = 1
    channels: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    now: float = 0
    kills: int = 0
    _countdown: int = 0
    _bot: Bot | None = None
    _room: Newsroom | None = None
    _posting: Posting | None = None

    def run(self, progress: Callable[[int], None] = lambda _done: None) -> Report:
        """Live through the weeks; returns what became of every occurrence."""
        self.now = self.start
        self._prepare()
        weeks = self._draw()
        slots = {one.id: one for one in self.settings.slots}
        schedule = sorted(step for one in weeks for step in steps(one, slots[one.planned.slot]))
        shift = 0
        for done, step in enumerate(schedule):
            self.now = step.at + shift
            shift += step.amount if step.do is Do.SET_CLOCK else 0
            self._take(step)
            progress(100 * done // len(schedule))
        self.now = self.start + (7 * self.weeks + 9) * DAY
        for _ in range(4):
            self._look()
            self.now += 300
        return self._report(weeks)

    # ── the world ────────────────────────────────────────────────────────────────────────────

    def _prepare(self) -> None:
        (self.folder / "issues").mkdir(parents=True, exist_ok=True)
        own = self.settings.folder.resolve() / "templates"
        if own.is_dir():
            (self.folder / "templates").symlink_to(own)
        write_secret(self.folder / "secret.key")
        transport = TransportTable(
            kind="smtp", connections=2, host="127.0.0.1", port=self.port, tls="none"
        )
        self.settings = self.settings.model_copy(
            update={
                "folder": self.folder,
                "database": DatabaseTable(),
                "transport": transport,
                "relays": (),
                "dkim": None,
                "secret": "",
                "secret_file": "secret.key",
                "channels": {name: dict(table) for name, table in self.channels.items()},
            }
        )
        people = [NewSubscriber(parse_address(f"{one}@example.com"), one) for one in _READERS]
        self.bot.subscribers.add(people, self.settings.lists[0].id, {"source": "simulation"})

    @property
    def bot(self) -> Bot:
        """The program; after a kill another one."""
        if self._bot is None:
            self._bot = bot = Bot(self.settings, lambda: self.now)
            bot.__dict__["crossposts"] = Crossposts(
                bot.engine, bot.settings, lambda: self.now, lambda _seconds: None
            )
            at_transactions(bot.engine, self._may_be_killed)
        return self._bot

    def _may_be_killed(self) -> None:
        if self._countdown > 0:
            self._countdown -= 1
            if self._countdown == 0:
                raise Killed

    def _draw(self) -> list[Week]:
        chance = random.Random(self.seed)  # noqa: S311 - a story, not a secret
        zone = self.settings.newsletter.zone
        begin = self.start + 2 * DAY
        dates = between(self.settings.slots, zone, begin, begin + 7 * self.weeks * DAY)
        self._chance = chance
        return [week(one, f"{one.slot}-{one.date}", chance) for one in dates]

    # ── steps ────────────────────────────────────────────────────────────────────────────────

    def _take(self, step: Step) -> None:
        path = self.folder / "issues" / f"{step.issue}.md"
        if step.do is Do.LOOK:
            self._look()
        elif step.do is Do.ARM:
            self._countdown = self._chance.randint(1, _KILLS)
        elif step.do in {Do.WRITE, Do.EDIT} and (step.do is Do.WRITE or path.exists()):
            text = _ISSUE.format(
                identity=step.issue, list=self.settings.lists[0].id, version=f"as of {step.at}"
            )
            path.write_text(text, encoding="utf-8")
        elif step.do is Do.DELETE:
            path.unlink(missing_ok=True)
        elif step.do is Do.APPROVE and path.exists():
            self._decide(lambda newsroom: newsroom.approve(self.bot.read(path), proof=False))
        elif step.do is Do.CANCEL:
            self._decide(lambda newsroom: newsroom.call_off(step.issue))

    def _decide(self, decide: Callable[[Newsroom], object]) -> None:
        try:
            decide(self._newsroom)
        except NewsletterError:
            return  # it was planned already, and cannot be approved any more

    @property
    def _newsroom(self) -> Newsroom:
        if self._room is None:
            self._room = Newsroom(self.bot, lambda: self.now, owner=str(self.kills))
        return self._room

    def _look(self) -> None:
        """Do what the service's duties do; when killed, begin anew as it would."""
        try:
            self._duties()
        except Killed:
            self.kills += 1
            self._end()
        else:
            self._countdown = 0

    def _duties(self) -> None:
        bot = self.bot
        Instance(bot.engine, self.folder / "state", lambda: self.now).mark()
        room = self._newsroom
        Sweep(room.occurrences, self.settings, room, lambda _notice: None).look()
        for identity in bot.mailroom.owed():
            try:
                bot.mailroom.carry_on(identity, Run())
            except TryAgainError:
                continue
        self._channels.look()

    @property
    def _channels(self) -> Posting:
        if self._posting is None:
            self._posting = Posting(
                self.bot, lambda *_alert: None, lambda: self.now, lambda _page: True
            )
        return self._posting

    def _end(self) -> None:
        if self._bot is not None:
            self._bot.close()
        self._bot = self._room = self._posting = None

    # ── the end ──────────────────────────────────────────────────────────────────────────────

    def _report(self, weeks: list[Week]) -> Report:
        rows = {one.key: one for one in self._newsroom.occurrences.between(0, 2**40)}
        outcomes = [
            self._outcome(one, rows.get((one.planned.slot, one.planned.date))) for one in weeks
        ]
        broken = [why for one in outcomes for why in self._broken(one)]
        broken += [
            f"{issue} came {count} times to {address}"
            for (issue, address), count in self.arrived.items()
            if count > 1
        ]
        self._end()
        return Report(tuple(outcomes), tuple(broken), self.kills)

    def _outcome(self, one: Week, row: Occurrence | None) -> Outcome:
        if row is None:
            return Outcome(one, "none", "", "", 0)
        copies = sum(count for (issue, _), count in self.arrived.items() if issue == row.issue)
        return Outcome(one, row.state.value, row.issue, row.reason, copies)

    def _broken(self, one: Outcome) -> Iterator[str]:
        name = f"{one.week.planned.slot} {one.week.planned.date}"
        if one.state not in _ENDED:
            yield f"{name} is {one.state or 'not there'}"
        elif one.state != OccurrenceState.SENT:
            if not one.reason:
                yield f"{name} is {one.state} without a reason"
        else:
            tally = self.bot.mailroom.status(one.issue)
            if not tally.balanced:
                yield f"{name}: the numbers of {one.issue} do not add up"
            missing = len(_READERS) - one.copies - tally.unknown
            if missing > 0:
                yield f"{name}: {missing} readers never got {one.issue}"


@contextmanager
def counting_server(arrived: Counter[tuple[str, str]]) -> Iterator[int]:
    """Run a mail server on this machine that counts (issue, address); yields its port."""

    def take(_sender: str, recipient: str, content: bytes) -> None:
        name = _MESSAGE_ID.search(content)
        assert name is not None, "we write one into every message"
        arrived[name[1].decode(), recipient] += 1

    with mail_server(take) as port:
        yield port
