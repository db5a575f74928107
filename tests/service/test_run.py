"""The service from outside: real processes on a real database, killed at any moment."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from newsletter_bot.bot import Bot
from newsletter_bot.schedule.model import ONCE
from newsletter_bot.schedule.slots import Planned
from newsletter_bot.service.newsroom import Newsroom
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.model import NewSubscriber
from tests.conftest import SmtpServer
from tests.servers.channel_server import ChannelServer
from tests.servers.page_server import Page, page_server

ISSUE = "2026-W01"
PEOPLE = [f"reader{number}" for number in range(12)]
PATIENCE = 90.0  # seconds that anything may take on a slow machine


class Service:
    """A newsletter whose `run` is started, stopped and killed."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        toml = folder / "newsletter.toml"
        text = toml.read_text().partition("[transport]")[0]
        toml.write_text(
            text
            + f'[transport]\nkind = "smtp"\nport = {port}\ntls = "none"\nconnections = 2\n'
            + '[web]\nport = 0\n[service]\ntick = "1s"\nstate_folder = "../state"\n'
        )
        self.processes: list[subprocess.Popen[str]] = []
        people = [NewSubscriber(parse_address(f"{one}@example.com")) for one in PEOPLE]
        with closing(Bot.open(folder)) as bot:
            bot.subscribers.add(people, "weekly", {"source": "import of people.csv"})

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "newsletter_bot", "-C", str(self.folder), *words]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PATIENCE
        )

    def json(self, *words: str) -> Any:
        return json.loads(self.cli("--json", *words).stdout)

    def run(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "newsletter_bot", "-C", str(self.folder), "run", *words]
        log = (self.folder.parent / f"log{len(self.processes)}").open("w")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        log.close()
        self.processes.append(process)
        return process

    def logs(self, number: int = -1) -> list[dict[str, Any]]:
        number = number % len(self.processes)
        text = (self.folder.parent / f"log{number}").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def actions(self, number: int = -1) -> list[str]:
        return [str(one["action"]) for one in self.logs(number)]

    def in_a_moment(self, seconds: float = 2.0) -> None:
        """Let the issue go out on an occurrence of its own."""
        due = datetime.now(UTC) + timedelta(seconds=seconds)
        once = Planned(ONCE, f"{due:%Y-%m-%d %H:%M}", int(due.timestamp()))
        with closing(Bot.open(self.folder)) as bot:
            newsroom = Newsroom(bot)
            newsroom.approve(bot.read(bot.find(ISSUE)), proof=False)
            assert newsroom.occurrences.bind(once, ISSUE)

    def wait_until(self, true: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < end, [self.logs(n) for n in range(len(self.processes))]
            time.sleep(0.2)

    def is_sent(self) -> bool:
        with closing(Bot.open(self.folder)) as bot:
            return bot.status(ISSUE).state == "sent"

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()


@pytest.fixture
def mail(smtp_server: Callable[..., SmtpServer]) -> SmtpServer:
    return smtp_server()


@pytest.fixture
def service(
    newsletter: Path, write_issue: Callable[..., Path], mail: SmtpServer
) -> Iterator[Service]:
    write_issue()
    made = Service(newsletter, mail.port)
    yield made
    made.end()


def everybody_once() -> Counter[str]:
    return Counter(f"{one}@example.com" for one in PEOPLE)


def test_an_issue_goes_out_at_its_time_by_itself(service: Service, mail: SmtpServer) -> None:
    service.in_a_moment()
    service.run()
    service.wait_until(service.is_sent)
    assert mail.recipients() == everybody_once()
    (shown,) = service.json("calendar")["occurrences"]
    assert (shown["slot"], shown["issue"], shown["state"]) == ("once", ISSUE, "sent")
    wanted = ["service.started", "slot.announced", "slot.sent", "send.started", "send.finished"]
    assert [one for one in service.actions() if one in wanted] == wanted
    assert "reader1@example.com" not in json.dumps(service.logs())


def test_web_pages_and_unsubscribing_work_while_it_runs(service: Service, mail: SmtpServer) -> None:
    service.in_a_moment()
    process = service.run()
    assert process.stdout is not None
    address = process.stdout.readline().removeprefix("Listening on ").strip()
    service.wait_until(service.is_sent)
    message = mail.messages()[0]
    link = str(message["List-Unsubscribe"]).partition(">")[0].strip(" <")
    path = "/u/" + link.rpartition("/u/")[2]
    with httpx.Client(base_url=address, timeout=30) as web:
        assert web.get("/healthz").json() == {"ok": True}
        assert web.get("/readyz").json() == {"ok": True, "reasons": []}
        assert ISSUE in web.get("/").text
        assert web.get(path).status_code == 200
        who = str(message["Delivered-To"])
        assert service.json("subscribers", "show", who)["subscriptions"][0]["state"] == "active"
        assert web.post(path, data={"List-Unsubscribe": "One-Click"}).status_code == 200
        shown = service.json("subscribers", "show", who)
        assert shown["subscriptions"][0]["state"] == "unsubscribed"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told_within_ten_seconds(service: Service, how: signal.Signals) -> None:
    process = service.run()
    service.wait_until(lambda: "service.started" in service.actions())
    process.send_signal(how)
    assert process.wait(timeout=PATIENCE) == 0
    assert service.actions()[-1] == "service.stopped"


def test_told_to_end_while_it_sends_it_finishes_what_is_in_flight(
    service: Service, smtp_server: Callable[..., SmtpServer], mail: SmtpServer
) -> None:
    service.in_a_moment()
    process = service.run()
    service.wait_until(lambda: mail.filed() > 0 or service.is_sent())
    process.terminate()
    assert process.wait(timeout=PATIENCE) == 0
    service.run()
    service.wait_until(service.is_sent)
    assert mail.recipients() == everybody_once()
    assert service.json("status", ISSUE)["unknown"] == 0


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_any_moment_of_a_slot_the_issue_goes_once(
    service: Service, mail: SmtpServer, seed: int
) -> None:
    chance = random.Random(seed)
    service.in_a_moment()
    for _ in range(4):
        process = service.run()
        # Starting takes about a second: the kill comes anywhere from there to the end of sending.
        time.sleep(0.8 + 2.2 * chance.random())
        process.send_signal(signal.SIGKILL)
        process.wait()
        # A dead owner's lease holds two minutes: let it be over.
        with closing(sqlite3.connect(service.folder / "newsletter.db", timeout=30)) as base:
            base.execute("UPDATE occurrences SET lease_until = 0")
            base.commit()
    service.run()
    service.wait_until(service.is_sent)
    tally = service.json("status", ISSUE)
    got = mail.recipients()
    assert tally["balanced"]
    assert max(got.values()) == 1
    assert len(got) >= len(PEOPLE) - tally["unknown"]


def test_two_services_on_one_database_send_once(service: Service, mail: SmtpServer) -> None:
    service.in_a_moment()
    service.run()
    service.run()
    service.wait_until(service.is_sent)
    time.sleep(2)
    assert mail.recipients() == everybody_once()
    sent = sum(service.actions(number).count("slot.sent") for number in range(2))
    assert sent == 1


def test_parts_in_processes_of_their_own_work_together(service: Service, mail: SmtpServer) -> None:
    service.in_a_moment()
    for part in ("web", "scheduler", "worker"):
        service.run("--only", part)
    service.wait_until(service.is_sent)
    assert mail.recipients() == everybody_once()
    assert "send.started" not in service.actions(1)
    assert "slot.sent" not in service.actions(2)


def test_a_restored_backup_sends_nothing_until_it_is_adopted(
    service: Service, mail: SmtpServer
) -> None:
    first = service.run()
    service.wait_until(lambda: "service.started" in service.actions())
    first.terminate()
    first.wait(timeout=PATIENCE)
    elsewhere = os.environ | {"NEWSLETTER_BOT_SERVICE__STATE_FOLDER": "../another-machine"}
    service.in_a_moment()
    command = [sys.executable, "-m", "newsletter_bot", "-C", str(service.folder)]
    with (service.folder.parent / "log1").open("w") as log:
        copy = subprocess.Popen(
            [*command, "run"], stdout=subprocess.PIPE, stderr=log, text=True, env=elsewhere
        )
    service.processes.append(copy)
    assert copy.stdout is not None
    address = copy.stdout.readline().removeprefix("Listening on ").strip()
    service.wait_until(lambda: "service.quarantined" in service.actions())
    time.sleep(3)
    assert mail.filed() == 0
    unready = httpx.get(f"{address}readyz", timeout=30)
    assert unready.status_code == 503
    assert "another machine" in unready.json()["reasons"][0]
    subprocess.run([*command, "instance", "adopt"], check=True, env=elsewhere, timeout=PATIENCE)
    copy.terminate()
    copy.wait(timeout=PATIENCE)
    service.processes.append(
        subprocess.Popen([*command, "run"], stderr=subprocess.DEVNULL, text=True, env=elsewhere)
    )
    service.wait_until(service.is_sent)
    assert mail.recipients() == everybody_once()


def test_an_edit_between_approval_and_time_stops_it_and_says_so(
    service: Service, mail: SmtpServer
) -> None:
    service.in_a_moment()
    path = service.folder / "issues" / f"{ISSUE}.md"
    path.write_text(path.read_text().replace("two things", "three things"))
    service.run()
    service.wait_until(lambda: "slot.none-ready" in service.actions())
    time.sleep(1)
    assert mail.filed() == 0
    (shown,) = service.json("calendar")["occurrences"]
    assert shown["reason"] == f"{ISSUE} was edited after it was approved"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def channels() -> Iterator[ChannelServer]:
    server = ChannelServer()
    server.start()
    yield server
    server.stop()


def test_channels_get_their_posts_once_the_page_is_live_and_mail_was_accepted(
    service: Service, mail: SmtpServer, channels: ChannelServer
) -> None:
    port = free_port()
    toml = service.folder / "newsletter.toml"
    text = toml.read_text().replace("https://news.example.com", f"http://127.0.0.1:{port}")
    table = f'[channels.webhook]\nurl = "{channels.url}/hook"\nallow_private = true\n'
    toml.write_text(text.replace("[web]\nport = 0", f"[web]\nport = {port}") + table)
    service.in_a_moment()
    service.run("--only", "scheduler", "--only", "worker")
    service.wait_until(lambda: "crosspost.waiting" in service.actions())
    assert service.is_sent()
    assert channels.posts == []  # nobody serves the page yet
    service.run("--only", "web")
    service.wait_until(lambda: bool(channels.posts))
    service.wait_until(lambda: "crosspost.posted" in service.actions(0))
    time.sleep(2)
    (post,) = channels.posts
    assert f"http://127.0.0.1:{port}/" in json.dumps(post)
    assert mail.recipients() == everybody_once()


def test_a_channel_that_fails_is_told_and_the_mail_goes_out_all_the_same(
    service: Service, mail: SmtpServer
) -> None:
    port = free_port()
    toml = service.folder / "newsletter.toml"
    text = toml.read_text().replace("https://news.example.com", f"http://127.0.0.1:{port}")
    table = '[channels.nonsense]\nkey = "value"\n'
    toml.write_text(text.replace("[web]\nport = 0", f"[web]\nport = {port}") + table)
    service.in_a_moment()
    service.run()
    service.wait_until(lambda: "crosspost.failed" in service.actions())
    assert mail.recipients() == everybody_once()
    assert "alert" in service.actions()


def test_somebody_who_subscribes_while_it_runs_is_welcomed_once(
    service: Service, mail: SmtpServer
) -> None:
    (service.folder / "welcome.md").write_text("---\nstatus: ready\n---\nHello, and welcome.\n")
    service.run()
    service.wait_until(lambda: bool(service.json("sequences", "list")["sequences"][0]["began"]))
    assert service.cli("subscribers", "add", "newcomer@example.com").returncode == 0
    service.wait_until(lambda: mail.filed() > 0)
    time.sleep(2)
    assert mail.recipients() == Counter(["newcomer@example.com"])
    assert "newcomers.planned" in service.actions()


def test_a_feed_that_does_not_answer_does_not_keep_it_from_ending(service: Service) -> None:
    with page_server() as pages:
        pages.pages["/feed"] = Page(b"x" * 1000, slow=1.0)
        toml = service.folder / "newsletter.toml"
        table = f'[collect]\nfeeds = ["{pages.url}/feed"]\nallow_private = true\n'
        toml.write_text(toml.read_text() + table)
        process = service.run()
        service.wait_until(lambda: bool(pages.asked))
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0
        assert service.actions()[-1] == "service.stopped"
        assert "collected" not in service.actions()
