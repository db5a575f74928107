"""Real processes of `run` that read what came in: killed in the middle, started again."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from newsletter_bot.bot import Bot
from newsletter_bot.storage.tables import events, raw_events, subscription_changes, suppressions
from tests.feedback.office import PUBLIC, Office
from tests.web.test_provider_hooks import signed

PATIENCE = 120.0  # seconds that anything may take on a slow machine
REQUESTS, EACH = 60, 40


@pytest.fixture
def folder(newsletter: Path, database_url: str) -> Path:
    toml = newsletter / "newsletter.toml"
    kept = toml.read_text().partition("[transport]")[0]
    toml.write_text(
        f'{kept}[database]\nurl = "{database_url}"\n[service]\ntick = "1s"\n'
        f'[transport]\nkind = "sendgrid"\napi_key = "k"\nwebhook_public_key = "{PUBLIC}"\n'
    )
    return newsletter


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []

    def started(*parts: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "newsletter_bot", "-C", str(folder), "run"]
        command += [word for part in parts or ("worker",) for word in ("--only", part)]
        log = (folder.parent / "log").open("ab")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        log.close()
        processes.append(process)
        return process

    yield started
    for one in processes:
        one.kill()
        one.communicate()


def test_killed_again_and_again_every_event_is_read_once(
    folder: Path, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    with closing(Bot.open(folder)) as bot:
        office = Office(bot.engine, bot.settings)
        people = [office.joins(f"reader{n}") for n in range(EACH)]
        sent = office.sends("2026-W01", *people)
        for number in range(REQUESTS):
            kind = {0: "bounce", 1: "spamreport"}.get(number, "delivered")
            told = [office.event(one, kind) for one in sent]
            office.intake.keep("sendgrid", json.dumps(told).encode(), f"{number}")
        left = REQUESTS
        while left:
            process = start()
            _wait_for(lambda: _left(bot) < left)  # noqa: B023 - called at once
            process.kill()
            process.wait()
            left = _left(bot)
        counts = [_count(bot, table) for table in (events, suppressions, subscription_changes)]
        office.close()
    assert counts == [REQUESTS * EACH, EACH, 2 * EACH]


def test_what_is_posted_is_acted_on_without_waiting_for_the_next_tick(
    folder: Path, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    toml = folder / "newsletter.toml"
    toml.write_text(toml.read_text().replace('"1s"', '"1h"') + "[web]\nport = 0\n")
    with closing(Bot.open(folder)) as bot:
        office = Office(bot.engine, bot.settings, time.time())
        (delivery,) = office.sends("2026-W01", office.joins("ada"))
        process = start("web", "worker")
        assert process.stdout is not None
        address = process.stdout.readline().decode().removeprefix("Listening on ").strip()
        _wait_for(lambda: "service.started" in (folder.parent / "log").read_text())
        body = json.dumps([office.event(delivery)]).encode()
        hook = f"{address}hooks/sendgrid"
        httpx.post(hook, content=body, headers=signed(body), timeout=PATIENCE).raise_for_status()
        _wait_for(lambda: office.suppression("ada"))
        office.close()


def _left(bot: Bot) -> int:
    query = select(func.count()).where(raw_events.c.state == "new")
    with bot.engine.connect().execution_options(sqlite_begin="DEFERRED") as connection:
        return int(connection.execute(query).scalar_one())


def _count(bot: Bot, table: object) -> int:
    query = select(func.count()).select_from(table)  # type: ignore[arg-type]
    with bot.engine.connect().execution_options(sqlite_begin="DEFERRED") as connection:
        return int(connection.execute(query).scalar_one())


def _wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came to pass"
        time.sleep(0.002)
