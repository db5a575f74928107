"""One soak: readers, an issue on its way to them, and thousands who come and go meanwhile.

Everything is real: `run` in a process of its own does the web, the sending and the letters; an SMTP
server in another takes the mail; and what is counted in the end is what stands in the database and
what lies in the mailbox.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import text

from newsletter_bot.bot import Bot
from newsletter_bot.storage.engine import reading
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.model import NewSubscriber
from newsletter_bot.subscribers.tokens import Link
from tests.soak.http import Crew, Job

ISSUE = "2026-W01"
_PATIENCE = 3600.0  # seconds for all of it on a machine that is busy with other things
_MANY = "1000000/h"
_TOML = f"""\
[newsletter]
name = "Weekly ML News"
url = "https://news.example.com"
from = "Weekly ML News <news@news.example.com>"
postal_address = "1-2-3 Example, Tokyo"

[[lists]]
id = "weekly"
name = "Weekly"

[database]
url = "DATABASE"

[web]
port = 0

[service]
tick = "1s"

[signup]
proof_of_work = "off"
per_prefix = "{_MANY}"
per_domain = "{_MANY}"
overall = "{_MANY}"
without_proof = "{_MANY}"
pause_at = 1000000

[transport]
kind = "smtp"
port = PORT
tls = "none"
"""
_ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@dataclass(frozen=True)
class Size:
    """How many people, and over how many connections they come and go."""

    readers: int = 20_000
    leaving: int = 10_000
    joining: int = 10_000
    connections: int = 16  # for each of signing up, confirming and leaving


@dataclass
class Soak:
    """A newsletter, its service, and everybody who uses it; `report` is what was seen."""

    folder: Path
    database: str
    mail_port: int
    maildir: Path
    issue: str
    size: Size
    left_at: dict[int, float] = field(default_factory=dict)
    confirmed: set[int] = field(default_factory=set)
    report: dict[str, Any] = field(default_factory=dict)
    _bot: Bot = field(init=False)

    def run(self) -> None:
        """Do it, and raise AssertionError for the first state that is wrong."""
        self._prepare()
        with closing(Bot.open(self.folder)) as self._bot:
            self._run()

    def _run(self) -> None:
        with self._service() as port:
            begun = time.monotonic()
            crews = self._everybody(port)
            self.report["seconds of people"] = round(time.monotonic() - begun, 1)
            self._wait_for(self._is_over, "the issue and the letters to be sent")
            self.report["seconds in all"] = round(time.monotonic() - begun, 1)
        for name, crew in crews.items():
            assert crew.strange == [], crew.strange[:5]
            self.report[f"{name}: answered, put off"] = (crew.answered, crew.refused)
        self._check()

    # ── before ───────────────────────────────────────────────────────────────────────────────

    def _prepare(self) -> None:
        (self.folder / "issues").mkdir(parents=True)
        toml = _TOML.replace("DATABASE", self.database).replace("PORT", str(self.mail_port))
        (self.folder / "newsletter.toml").write_text(toml, encoding="utf-8")
        (self.folder / "secret.key").write_text("0123456789abcdef" * 4, encoding="utf-8")
        path = self.folder / "issues" / f"{ISSUE}.md"
        path.write_text(self.issue, encoding="utf-8")
        bot = Bot.open(self.folder)
        for at in range(0, self.size.readers, 5000):
            some = range(at, min(at + 5000, self.size.readers))
            people = [NewSubscriber(parse_address(reader(n)), f"Reader {n}") for n in some]
            bot.subscribers.add(people, "weekly", {"source": "soak"})
        bot.plan(bot.read(path))
        bot.close()

    @contextmanager
    def _service(self) -> Iterator[int]:
        log = (self.folder / "run.log").open("w")
        command = [sys.executable, "-m", "newsletter_bot", "-C", str(self.folder), "run"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert process.stdout is not None
        try:
            found = re.search(r"http://[\d.]+:(\d+)/", process.stdout.readline())
            assert found is not None
            yield int(found[1])
        finally:
            process.terminate()
            process.communicate(timeout=60)
            log.close()

    # ── meanwhile ────────────────────────────────────────────────────────────────────────────

    def _everybody(self, port: int) -> dict[str, Crew]:
        """Let people sign up, confirm and leave, all at the same time."""
        bot = Bot.open(self.folder)
        jobs: dict[str, Iterator[Job]] = {
            "signing up": self._signing_up(bot),
            "confirming": self._confirming(bot),
            "leaving": self._leaving(bot),
        }
        crews = {name: Crew(port, self.size.connections) for name in jobs}
        errors: list[BaseException] = []

        def work(name: str) -> None:
            try:
                crews[name].work(jobs[name])
            except BaseException as error:  # noqa: BLE001 - told below, by the thread that waits
                errors.append(error)

        threads = [threading.Thread(target=work, args=(name,)) for name in jobs]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        bot.close()
        assert errors == [], errors
        return crews

    def _signing_up(self, bot: Bot) -> Iterator[Job]:
        shown = bot.signer.link_token(Link.FORM, int(time.time()) - 60)
        for number in range(self.size.joining):
            fields = {
                "address": newcomer(number),
                "list": "weekly",
                "form": shown,
                "language": "en",
            }
            yield Job("/subscribe", fields)

    def _confirming(self, bot: Bot) -> Iterator[Job]:
        """Confirm every request once its letter has arrived, and every tenth one twice."""
        seen: set[int] = set()
        end = time.monotonic() + _PATIENCE
        while len(seen) < self.size.joining:
            assert time.monotonic() < end, "letters do not arrive"
            arrived = self._letters(bot) - seen
            for number in sorted(arrived):
                path = f"/c/{bot.signer.link_token(Link.CONFIRM, number)}"
                yield Job(path, {}, partial(self._confirmed, number))
                if number % 10 == 0:
                    yield Job(path, {})
            seen |= arrived
            if not arrived:
                time.sleep(0.2)

    def _letters(self, bot: Bot) -> set[int]:
        query = "SELECT about FROM letters WHERE kind = 'confirm' AND state = 'accepted'"
        with reading(bot.engine) as connection:
            found = connection.execute(text(query)).scalars().all()
        return {int(_read(about)["signup"]) for about in found}

    def _leaving(self, bot: Bot) -> Iterator[Job]:
        """Let people leave from all over the list, some after their copy; some click twice."""
        everybody = range(1, self.size.readers + 1)
        for number in random.Random(1).sample(everybody, self.size.leaving):
            path = f"/u/{bot.signer.unsubscribe_token(number, 'weekly')}"
            yield Job(path, _ONE_CLICK, partial(self._left, number))
            if number % 10 == 0:
                yield Job(path, _ONE_CLICK)

    def _confirmed(self, signup: int, _at: float) -> None:
        self.confirmed.add(signup)

    def _left(self, who: int, at: float) -> None:
        self.left_at.setdefault(who, at)

    def _is_over(self) -> bool:
        letters = "SELECT count(*) FROM letters WHERE state != 'accepted'"
        issue = "SELECT count(*) FROM issues WHERE state != 'sent'"
        return self._number(letters) == 0 and self._number(issue) == 0

    def _wait_for(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + _PATIENCE
        while not condition():
            assert time.monotonic() < end, f"waited for {what}"
            time.sleep(0.5)

    # ── afterwards ───────────────────────────────────────────────────────────────────────────

    def _check(self) -> None:
        copies = self._copies()
        self._check_ledger(copies)
        self._check_leavers()
        self._check_newcomers(copies)
        expected = self.report["got the issue"] + 2 * self.size.joining
        assert sum(copies.values()) == expected, "mail to nobody we know"

    def _check_ledger(self, copies: Counter[str]) -> None:
        """Everybody is accounted for, and nobody got it who had left before it began."""
        rows = self._rows(
            "SELECT subscriber_id, state, reason, attempted_at, address FROM deliveries"
            " JOIN subscribers ON subscribers.id = subscriber_id"
        )
        assert len(rows) == self.size.readers
        got = skipped = 0
        for who, state, reason, begun, address in rows:
            if state == "accepted":
                got += 1
                assert copies[address] == 1, (address, copies[address])
                # Begun in a second after the one in which leaving was answered: too late.
                assert begun <= self.left_at.get(who, float("inf")), (who, begun)
            else:
                skipped += 1
                assert (state, reason) == ("skipped", "no longer subscribed"), (who, state, reason)
                assert who in self.left_at, f"{who} never asked to leave"
                assert copies[address] == 0, address
        self.report |= {"got the issue": got, "left before their message began": skipped}

    def _check_leavers(self) -> None:
        assert len(self.left_at) == self.size.leaving
        states = dict(self._rows("SELECT subscriber_id, state FROM subscriptions"))
        for who in range(1, self.size.readers + 1):
            wanted = "unsubscribed" if who in self.left_at else "active"
            assert states[who] == wanted, (who, states[who])
        steps = self._steps("unsubscribed")
        assert steps == dict.fromkeys(self.left_at, 1), "each left once"

    def _check_newcomers(self, copies: Counter[str]) -> None:
        everybody = {newcomer(number) for number in range(self.size.joining)}
        assert len(self.confirmed) == len(everybody)
        rows = self._rows(
            "SELECT subscribers.id, address, state, consent FROM subscribers"
            " JOIN subscriptions ON subscribers.id = subscriber_id"
            f" WHERE subscribers.id > {self.size.readers}"
        )
        assert {row[1] for row in rows} == everybody
        assert len(rows) == len(everybody)
        for who, address, state, consent in rows:
            assert state == "active", (who, state)
            assert any("confirm" in key for key in _read(consent)), consent
            assert copies[address] == 2, (address, copies[address])  # confirm, and welcome
        ids = [row[0] for row in rows]
        assert self._steps("pending") == dict.fromkeys(ids, 1)
        active = self._steps("active")
        assert {who: active[who] for who in ids} == dict.fromkeys(ids, 1)
        assert self._number("SELECT count(*) FROM signups WHERE state != 'confirmed'") == 0

    def _steps(self, state: str) -> dict[int, int]:
        query = (
            "SELECT subscriber_id, count(*) FROM subscription_changes"
            f" WHERE state = '{state}' GROUP BY subscriber_id"
        )
        return dict(self._rows(query))

    def _copies(self) -> Counter[str]:
        """Count what lies in the mailbox, by whom it was delivered to."""
        found: Counter[str] = Counter()
        for path in (self.maildir / "new").iterdir():
            head = path.read_bytes().partition(b"\n\n")[0]
            line = re.search(rb"^Delivered-To: (\S+)", head, re.MULTILINE)
            assert line is not None, path
            found[line[1].decode()] += 1
        return found

    def _number(self, query: str) -> int:
        return int(self._rows(query)[0][0])

    def _rows(self, query: str) -> list[Any]:
        with reading(self._bot.engine) as connection:
            return [tuple(row) for row in connection.execute(text(query))]


def _read(value: Any) -> dict[str, Any]:
    """Return what a JSON column holds: PostgreSQL's driver has read it already."""
    return value if isinstance(value, dict) else dict(json.loads(value))


def reader(number: int) -> str:
    """Return the address of one who is there from the beginning."""
    return f"reader{number}@example.com"


def newcomer(number: int) -> str:
    """Return the address of one who signs up meanwhile."""
    return f"newcomer{number}@example.org"
