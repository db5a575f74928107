"""What the service does for people: real processes, from a request to the welcome."""

from __future__ import annotations

import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from email import message_from_bytes, policy
from functools import partial
from pathlib import Path

import httpx
import pytest

from newsletter_bot.bot import Bot
from newsletter_bot.service.people import PeopleDuties
from newsletter_bot.service.reception import Reception
from newsletter_bot.settings import load
from newsletter_bot.storage.tables import letters
from newsletter_bot.subscribers.consent import By, SignupRequest
from tests.conftest import SmtpServer
from tests.delivery.newcomers import Clock
from tests.service.test_run import PATIENCE, Service


@pytest.fixture
def mail(smtp_server: Callable[..., SmtpServer]) -> SmtpServer:
    return smtp_server()


@pytest.fixture
def service(newsletter: Path, mail: SmtpServer) -> Iterator[Service]:
    made = Service(newsletter, mail.port)
    yield made
    made.end()


def ask(service: Service, *names: str) -> list[int]:
    """Let people fill in the form, in a process other than the service's."""
    with closing(Bot.open(service.folder)) as bot:
        asked = [SignupRequest(f"{one}@example.com", ("weekly",)) for one in names]
        return [bot.people.invite(one) for one in asked]


def rows(service: Service) -> list[dict[str, object]]:
    with closing(Bot.open(service.folder)) as bot, bot.engine.connect() as connection:
        found = connection.execute(letters.select().order_by(letters.c.id)).mappings()
        return [dict(row) for row in found]


def texts(mail: SmtpServer, address: str) -> list[str]:
    """What somebody got, each as its subject and text."""
    found = []
    for path in mail.folder.glob("new/*"):
        message = message_from_bytes(path.read_bytes(), policy=policy.default)
        body = message.get_body(("plain",))
        assert body is not None
        if message["Delivered-To"] == address:
            found.append(f"{message['Subject']}\n{body.get_content()}")
    return found


def link(mail: SmtpServer, address: str) -> str:
    """The confirmation's path in the only letter somebody got."""
    (text,) = texts(mail, address)
    found = re.search(r"https://news\.example\.com(/c/[0-9a-f]+)", text)
    assert found is not None
    return found[1]


def test_from_a_request_to_the_welcome(service: Service, mail: SmtpServer) -> None:
    process = service.run()
    assert process.stdout is not None
    address = process.stdout.readline().removeprefix("Listening on ").strip()
    ask(service, "ada")
    service.wait_until(lambda: mail.filed() == 1)
    path = link(mail, "ada@example.com")
    with httpx.Client(base_url=address, timeout=30) as web:
        assert web.get(path).status_code == 200
        time.sleep(1.5)
        assert mail.filed() == 1
        assert web.post(path).status_code < 400
    service.wait_until(lambda: mail.filed() == 2)
    got = sorted(text.splitlines()[0] for text in texts(mail, "ada@example.com"))
    assert got == [
        "Please confirm your subscription to Weekly ML News",
        "Welcome to Weekly ML News",
    ]
    shown = service.json("subscribers", "show", "ada@example.com")
    assert shown["subscriptions"][0]["state"] == "active"
    assert service.actions().count("letters.sent") == 2
    logged = str(service.logs())
    assert "ada@example.com" not in logged
    assert path.rpartition("/")[2] not in logged


def test_web_and_worker_alone_are_enough(service: Service, mail: SmtpServer) -> None:
    process = service.run("--only", "web")
    service.run("--only", "worker")
    assert process.stdout is not None
    address = process.stdout.readline().removeprefix("Listening on ").strip()
    ask(service, "ada")
    service.wait_until(lambda: mail.filed() == 1)
    httpx.post(f"{address.rstrip('/')}{link(mail, 'ada@example.com')}", timeout=30)
    service.wait_until(lambda: mail.filed() == 2)
    assert "letters.sent" not in service.actions(0)


def test_a_welcome_of_ones_own_takes_the_place_of_ours(service: Service, mail: SmtpServer) -> None:
    text = "---\nstatus: ready\nsubject: Our own welcome\n---\nHello, and welcome.\n"
    (service.folder / "welcome.md").write_text(text)
    service.run()
    service.wait_until(lambda: bool(service.json("sequences", "list")["sequences"][0]["began"]))
    (number,) = ask(service, "ada")
    service.wait_until(lambda: mail.filed() == 1)
    with closing(Bot.open(service.folder)) as bot:
        bot.people.confirm(number)
    service.wait_until(lambda: mail.filed() == 2)
    service.wait_until(lambda: rows(service)[-1]["state"] == "skipped")
    time.sleep(1.5)
    assert mail.filed() == 2
    assert rows(service)[-1]["reason"] == "welcome.md is sent instead"
    assert any(one.startswith("Our own welcome\n") for one in texts(mail, "ada@example.com"))


def test_killed_again_and_again_nobody_gets_two(service: Service, mail: SmtpServer) -> None:
    names = [f"reader{number}" for number in range(40)]
    ask(service, *names)
    kills = 4
    for wanted in range(1, kills * 6, 6):
        process = service.run()
        service.wait_until(partial(_has_filed, mail, wanted))
        process.send_signal(signal.SIGKILL)
        process.wait()
    service.run()
    service.wait_until(
        lambda: (
            len(rows(service)) == len(names)
            and not {"planned", "sending"} & {str(row["state"]) for row in rows(service)}
        )
    )
    lost = sum(row["state"] == "unknown" for row in rows(service))
    got = mail.recipients()
    assert max(got.values()) == 1
    assert len(got) >= len(names) - lost
    assert lost <= 2 * kills  # those in flight


def _has_filed(mail: SmtpServer, count: int) -> bool:
    return mail.filed() >= count


def test_two_services_send_each_letter_once_and_end_in_time(
    service: Service, mail: SmtpServer
) -> None:
    names = [f"reader{number}" for number in range(30)]
    processes = [service.run(), service.run("--only", "worker")]
    ask(service, *names)
    service.wait_until(lambda: mail.filed() >= len(names))
    time.sleep(1.5)
    assert mail.recipients() == Counter(f"{one}@example.com" for one in names)
    for process in processes:
        process.terminate()
    for process in processes:
        assert process.wait(timeout=PATIENCE) == 0


def test_a_copy_in_quarantine_writes_to_nobody(service: Service, mail: SmtpServer) -> None:
    first = service.run()
    service.wait_until(lambda: "service.started" in service.actions())
    first.terminate()
    first.wait(timeout=PATIENCE)
    ask(service, "ada")
    toml = service.folder / "newsletter.toml"
    toml.write_text(toml.read_text().replace('"../state"', '"../another-machine"'))
    service.run()
    service.wait_until(lambda: "service.quarantined" in service.actions())
    time.sleep(3)
    assert mail.filed() == 0
    assert rows(service) == []


# ── the duties by themselves ─────────────────────────────────────────────────────────────────


class Told:
    def __init__(self) -> None:
        self.alerts: list[tuple[str, str]] = []
        self.rung: list[str] = []

    def say(self, key: str, title: str, _body: str) -> bool:
        self.alerts.append((key, title))
        return True


def duties(bot: Bot, told: Told, clock: Clock) -> PeopleDuties:
    return PeopleDuties(bot, Reception(bot), told.say, told.rung.append, clock)


def test_a_relay_that_stays_down_is_told_after_a_while(service: Service, mail: SmtpServer) -> None:
    mail.process.kill()
    mail.process.wait()
    ask(service, "ada")
    told, clock = Told(), Clock()
    with closing(Bot.open(service.folder)) as bot:
        work = duties(bot, told, clock)
        work.settle()
        assert "letters" in told.rung
        work.send()
        assert told.alerts == []
        clock.pass_by(601)
        work.send()
    assert told.alerts == [("letters", "Letters wait for the relay")]
    assert [row["state"] for row in rows(service)] == ["planned"]


def test_refusals_because_of_us_and_broken_templates_are_told(
    service: Service, smtp_server: Callable[..., SmtpServer]
) -> None:
    server = smtp_server("rcpt=550 5.7.1 poor reputation")
    toml = service.folder / "newsletter.toml"
    elsewhere = f"\nport = {server.port}\ntls"
    toml.write_text(re.sub(r"\nport = [1-9]\d*\ntls", elsewhere, toml.read_text()))
    ask(service, "ada")
    told, clock = Told(), Clock()
    with closing(Bot.open(service.folder)) as bot:
        work = duties(bot, told, clock)
        work.settle()
        work.send()
        assert told.alerts == [("letters:refused", "Letters are refused because of us")]
        own = service.folder / "templates" / "mail"
        own.mkdir(parents=True)
        (own / "confirm.txt.j2").write_text("{{ nothing")
        ask(service, "bo")
        work.settle()
        work.send()
    assert told.alerts[-1] == ("letters", "Letters cannot be sent")


def test_a_spike_of_requests_is_told(service: Service) -> None:
    toml = service.folder / "newsletter.toml"
    toml.write_text(toml.read_text() + "[signup]\npause_at = 10\nper_prefix = '100/h'\n")
    told, clock = Told(), Clock()
    with closing(Bot(load(service.folder), clock)) as bot:
        for number in range(12):
            address = f"victim{number}@example.com"
            bot.people.ask(SignupRequest(address, ("weekly",), proved=True))
        work = duties(bot, told, clock)
        work.settle()
        assert told.alerts == []
        clock.pass_by(1000)  # nobody has confirmed
        bot.people.ask(SignupRequest("one-more@example.com", ("weekly",), proved=True))
        work.settle()
    assert told.alerts == [("signups", "Sign-ups are paused")]


def test_old_rows_are_deleted_once_an_hour(service: Service) -> None:
    ask(service, "ada")
    told, clock = Told(), Clock()
    with closing(Bot.open(service.folder)) as bot:
        bot.people.unsubscribe("reader1@example.com", by=By.OPERATOR)
        work = duties(bot, told, clock)
        work.settle()
        with bot.engine.begin() as connection:
            connection.execute(letters.update().values(state="accepted", changed_at=1))
        work.settle()
        assert len(rows(service)) == 1
        clock.pass_by(3601)
        work.settle()
        assert rows(service) == []
