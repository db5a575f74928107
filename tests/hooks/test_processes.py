"""Real processes of `run` that deliver webhooks: killed in the middle, or several at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Connection, update

from newsletter_bot.bot import Bot
from newsletter_bot.settings.people import HookType
from newsletter_bot.storage.tables import hook_deliveries
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.model import NewSubscriber
from tests.servers.hook_server import HookServer, Reply

PATIENCE = 120.0  # seconds that anything may take on a slow machine


@dataclass
class Workers:
    """A newsletter with one endpoint, and `run --only worker` as often as it is started."""

    folder: Path
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def bot(self) -> Bot:
        return Bot.open(self.folder)

    def tell(self, count: int) -> None:
        def change(connection: Connection) -> None:
            for number in range(count):
                data = {"number": number}
                bot.outbox.tell(connection, HookType.CONFIRMED, data, 1_800_000_000, number)

        with closing(self.bot()) as bot:
            bot.writer.run(change)

    def start(self, *parts: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "newsletter_bot", "-C", str(self.folder), "run"]
        command += [word for part in parts or ("worker",) for word in ("--only", part)]
        log = (self.folder.parent / f"log{len(self.processes)}").open("w")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        log.close()
        self.processes.append(process)
        return process

    def standing(self) -> tuple[int, int, int]:
        with closing(self.bot()) as bot:
            ((_, found),) = bot.webhooks.standings()
        return found.delivered, found.waiting, found.failed

    def end_leases(self) -> None:
        """Let be over what a process that was killed had begun: a lease holds two minutes."""
        with closing(self.bot()) as bot, bot.engine.begin() as connection:
            connection.execute(update(hook_deliveries).values(not_before=0))


@pytest.fixture
def workers(newsletter: Path, server: HookServer, database_url: str) -> Iterator[Workers]:
    toml = newsletter / "newsletter.toml"
    toml.write_text(
        f"{toml.read_text()}"
        f'[database]\nurl = "{database_url}"\n'
        '[service]\ntick = "1s"\nstate_folder = "../state"\n'
        f'[[webhooks]]\nname = "a"\nurl = "{server.url("a")}"\nallow_private = true\n'
    )
    made = Workers(newsletter)
    yield made
    for process in made.processes:
        process.kill()
        process.communicate()


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came to pass"
        time.sleep(0.1)


def all_of(count: int, workers: Workers) -> Callable[[], bool]:
    return lambda: workers.standing() == (count, 0, 0)


def test_killed_between_the_request_and_its_commit_it_repeats_it_under_the_same_id(
    workers: Workers, server: HookServer
) -> None:
    server.replies["a"] = [Reply(manner="hang")]
    workers.tell(1)
    process = workers.start()
    wait_for(lambda: server.calls)
    process.kill()
    process.wait()
    server.release.set()
    assert workers.standing() == (0, 1, 0)
    workers.end_leases()
    workers.start()
    wait_for(all_of(1, workers))
    first, second = server.calls
    assert first.id == second.id
    assert first.body == second.body


def test_what_happens_in_the_process_is_told_without_waiting_for_the_next_tick(
    workers: Workers, server: HookServer
) -> None:
    toml = workers.folder / "newsletter.toml"
    toml.write_text(toml.read_text().replace('"1s"', '"1h"') + "[web]\nport = 0\n")
    with closing(workers.bot()) as bot:
        bot.subscribers.add([NewSubscriber(parse_address("a@example.com"))], "weekly", {})
        person = bot.subscribers.find("a@example.com")
        assert person is not None
        token = bot.signer.unsubscribe_token(person.subscriber.id, "weekly")
    process = workers.start("web", "worker")
    assert process.stdout is not None
    address = process.stdout.readline().removeprefix("Listening on ").strip()
    log = workers.folder.parent / "log0"
    wait_for(lambda: "service.started" in log.read_text())
    httpx.post(f"{address}u/{token}", data={"List-Unsubscribe": "One-Click"}, timeout=PATIENCE)
    wait_for(lambda: server.calls)
    (call,) = server.calls
    assert call.json["type"] == "subscriber.unsubscribed"
    assert call.json["data"]["by"] == "one-click"


def test_several_processes_deliver_each_event_once(workers: Workers, server: HookServer) -> None:
    server.delay["a"] = 0.005
    workers.tell(80)
    for _ in range(2):
        workers.start()
    wait_for(all_of(80, workers))
    workers.tell(40)
    wait_for(all_of(120, workers))
    assert set(Counter(call.id for call in server.calls).values()) == {1}
    assert len(server.calls) == 120


@pytest.mark.parametrize("manner", ["hang", ""])
def test_told_to_stop_it_ends_within_ten_seconds(
    workers: Workers, server: HookServer, manner: str
) -> None:
    server.always["a"] = Reply(manner=manner)
    workers.tell(30)
    process = workers.start()
    wait_for(lambda: server.calls)
    process.terminate()
    assert process.wait(timeout=PATIENCE) == 0
    log = (workers.folder.parent / "log0").read_text()
    assert '"service.stopped"' in log
    assert "Traceback" not in log


def test_a_copy_of_the_database_on_another_machine_tells_nobody_anything(
    workers: Workers, server: HookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = workers.start()
    log = workers.folder.parent / "log0"
    wait_for(lambda: "service.started" in log.read_text())
    process.terminate()
    assert process.wait(timeout=PATIENCE) == 0
    workers.tell(3)
    monkeypatch.setitem(os.environ, "NEWSLETTER_BOT_SERVICE__STATE_FOLDER", "../elsewhere")
    workers.start()
    log = workers.folder.parent / "log1"
    wait_for(lambda: "service.quarantined" in log.read_text())
    with pytest.raises(subprocess.TimeoutExpired):
        workers.processes[-1].wait(timeout=3)
    assert server.calls == []
    assert workers.standing() == (0, 0, 0)
