"""A test of subjects from the plan to real clicks on the site, and to what the duty sends then."""

from __future__ import annotations

import mailbox
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from newsletter_bot.bot import Bot
from newsletter_bot.service.newsroom import Newsroom
from newsletter_bot.service.service import Role, Service
from newsletter_bot.settings import load
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.model import NewSubscriber
from newsletter_bot.web.public import make_public

ISSUE = "2026-W01"
HOUR = 3600
TABLES = """\
[tracking]
clicks = "individual"

[subject_test]
share = 0.5
least = 10

[transport]
"""
READER = {
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "accept-language": "en",
}


@dataclass
class Clock:
    now: float = field(default_factory=time.time)  # the site dates visits by the machine's clock

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bot(newsletter: Path, write_issue: Callable[..., Path], clock: Clock) -> Iterator[Bot]:
    """A newsletter with 60 readers and an issue with two subjects."""
    toml = newsletter / "newsletter.toml"
    toml.write_text(toml.read_text().replace("[transport]\n", TABLES))
    path = write_issue()
    line = next(one for one in path.read_text().splitlines() if one.startswith("subject:"))
    path.write_text(path.read_text().replace(line, "subjects: [One, Two]"))
    opened = Bot(load(newsletter), clock)
    people = [NewSubscriber(parse_address(f"r{one}@example.com")) for one in range(60)]
    opened.subscribers.add(people, "weekly", {"source": "test"})
    yield opened
    opened.close()


def _mails(bot: Bot) -> list[Message]:
    return list(mailbox.Maildir(bot.settings.folder / "mail"))


def _subjects(bot: Bot) -> Counter[str]:
    return Counter(str(one["Subject"]) for one in _mails(bot))


def _link(mail: Message) -> str:
    html = mail.get_payload(1)
    assert isinstance(html, Message)
    text = html.get_payload(decode=True)
    assert isinstance(text, bytes)
    found = re.search(rb'"https://news\.example\.com(/r/[^"]+)"', text)
    assert found is not None
    return found[1].decode()


def test_humans_who_click_decide_what_the_duty_sends_to_the_others(bot: Bot, clock: Clock) -> None:
    newsroom = Newsroom(bot, clock)
    newsroom.approve(bot.read(bot.find(ISSUE)), proof=False)
    newsroom.plan(ISSUE, approval=True)
    service = Service(bot, [Role.WORKER], clock=clock)

    def duty() -> None:
        service.send()
        wait([future for _, future in service._runs.values()])

    duty()
    sample = _subjects(bot)
    assert min(sample["One"], sample["Two"]) >= 10
    site = TestClient(make_public(bot), base_url="https://news.example.com", follow_redirects=False)
    for mail in _mails(bot):
        link = _link(mail)
        if mail["Subject"] == "Two":
            assert site.get(link, headers=READER).status_code == 302
        assert site.get(link, headers={"user-agent": "curl/8"}).status_code == 302
    assert bot.visit_counter.flush()
    clock.now += 4 * HOUR - 60
    bot.visit_counter.judge()
    duty()
    assert _subjects(bot) == sample
    clock.now += 120
    duty()
    assert _subjects(bot) == {"One": sample["One"], "Two": 60 - sample["One"]}
    row = bot.mailroom.issue(ISSUE)
    assert row is not None
    test = bot.mailroom.subject_tests.read(row.id)
    assert test["winner"] == 1
    clicked = [one["clicked"] for one in test["variants"]]
    assert clicked == [0, sample["Two"]]
    assert bot.status(ISSUE).balanced
