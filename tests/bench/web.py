"""The public web under 64 connections: archive pages and one-click POSTs, ours and others'.

The load comes from `wrk`, one thread of it, on the same machine: with two cores it takes its share
of what it measures, from everybody alike.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from newsletter_bot.bot import Bot
from newsletter_bot.cli.newsletter import scaffold
from newsletter_bot.storage.engine import open_engine
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.model import NewSubscriber
from tests.bench.ours import ISSUE
from tests.bench.table import Table, in_turn, say

CONNECTIONS = 64
_LONGEST = 60  # seconds that an answer is waited for
_LUA = Path(__file__).with_name("web.lua")
_NGINX = """
worker_processes 1;
daemon off;
error_log stderr crit;
pid {place}/nginx.pid;
{user}
events {{ worker_connections 1024; }}
http {{
  include /etc/nginx/mime.types;
  access_log off;
  sendfile on;
  keepalive_requests 1000000;
  client_body_temp_path {place}/body; proxy_temp_path {place}/proxy;
  fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
  server {{ listen 127.0.0.1:{port}; root {site}; }}
}}
"""


@dataclass(frozen=True)
class Load:
    """What wrk saw."""

    requests: int  # answered
    seconds: float
    p99: float  # milliseconds
    refused: int  # answered with 400 or more
    broken: int  # not answered

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def wrk(address: str, seconds: float, tokens: Path | None = None) -> Load:
    """Ask for an address, or post to each token once, over 64 connections.

    Where a busy machine lets nothing be answered in that time, twice as long is asked.
    """
    environment = {**os.environ, **({"BENCH_TOKENS": str(tokens)} if tokens else {})}
    length = max(1, round(seconds))
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{length}s", "--timeout", "30s"]
    done = subprocess.run(
        [*command, "-s", str(_LUA), address],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    load = Load(**json.loads(done.stdout.strip().splitlines()[-1]))
    assert not load.refused, load
    if not load.requests and length < _LONGEST:
        return wrk(address, 2 * length, tokens)
    assert load.requests, done.stdout
    return load


@contextmanager
def running(*words: str) -> Iterator[str]:
    """Run a Python program that prints where it listens; yields the address."""
    process = subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        found = re.search(r"http://[\d.]+:\d+/", process.stdout.readline())
        assert found is not None, words
        yield found[0]
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def nginx(place: Path, site: Path) -> Iterator[str]:
    """Serve a folder with one worker of nginx; yields the address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    user = "user root;" if os.geteuid() == 0 else ""
    file = place / "nginx.conf"
    file.write_text(_NGINX.format(place=place, port=port, site=site, user=user))
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    process = subprocess.Popen([program, "-c", str(file), "-p", str(place)])
    try:
        for _ in range(200):
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait()


@dataclass
class Sample:
    """The sample newsletter with readers, from which each round takes a fresh copy."""

    place: Path
    readers: int
    copies: int = 0
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        """Make the newsletter, its readers, their tokens and its archive."""
        self.folder = self.place / "news"
        scaffold(self.folder, sample=True)
        toml = self.folder / "newsletter.toml"
        text = re.sub(r"^\[web\]\n(port = \d+\n)?", "", toml.read_text(), flags=re.MULTILINE)
        toml.write_text(f"{text}\n[web]\nport = 0\n")
        bot = Bot.open(self.folder)
        for at in range(0, self.readers, 5000):
            some = range(at, min(at + 5000, self.readers))
            people = [
                NewSubscriber(parse_address(f"reader{n}@example.com"), f"Reader {n}") for n in some
            ]
            bot.subscribers.add(people, "weekly", {"source": "bench"})
        tokens = (bot.signer.unsubscribe_token(n, "weekly") for n in range(1, self.readers + 1))
        self.tokens.write_text("\n".join(tokens))
        bot.build_archive([ISSUE])
        bot.close()

    @property
    def tokens(self) -> Path:
        """One token on each line."""
        return self.place / "tokens"

    @property
    def site(self) -> Path:
        """The built archive."""
        return self.folder / "site"

    def copy(self) -> Path:
        """Return the folder of a fresh copy."""
        self.copies += 1
        folder = self.place / f"copy{self.copies}"
        shutil.copytree(self.folder, folder)
        return folder


@dataclass
class WebBench:
    """One run over the public web, and the rows of the table that come of it."""

    place: Path
    seconds: float
    readers: int
    rounds: int
    table: Table
    late: dict[str, list[float]] = field(default_factory=dict)

    def run(self) -> None:
        """Measure archive pages, then one-click POSTs."""
        sample = Sample(self.place / "web", self.readers)
        say(
            f"\nThe public web: {CONNECTIONS} connections of wrk on this machine, which takes its"
            f" share; median of {self.rounds}, ours : theirs  (range)"
        )
        self._pages(sample)
        self._posts(sample)
        shutil.rmtree(self.place / "web")

    def _pages(self, sample: Sample) -> None:
        page, site = f"archive/{ISSUE}/", str(sample.site)
        with (
            running("-m", "newsletter_bot", "-C", str(sample.folder), "run", "--only", "web") as us,
            running("-m", "tests.bench.web_peers", "files", site) as starlette,
            nginx(sample.place, sample.site) as engine,
        ):
            seen = in_turn(
                self.rounds,
                {
                    "pages": self._asking("pages", us + page),
                    "files": self._asking("files", starlette + page),
                    "nginx": self._asking("nginx", engine + page),
                },
            )
        title = "pages: StaticFiles on uvicorn"
        self.table.at_least(title, seen.ratio("pages", "files"), 2, seen.rates("pages", "files"))
        title = "pages: nginx, one worker"
        self.table.at_least(title, seen.ratio("pages", "nginx"), 0.1, seen.rates("pages", "nginx"))
        self._lateness("pages: p99", "pages", {"StaticFiles": "files", "nginx": "nginx"})

    def _posts(self, sample: Sample) -> None:
        contestants: dict[str, Callable[[], float]] = {
            "one-click": lambda: self._leaving(sample, "one-click", *_OURS),
            "again": lambda: self._leaving(sample, "again", *_OURS, again=True),
            "plain": lambda: self._leaving(sample, "plain", *_PLAIN),
        }
        seen = in_turn(self.rounds, contestants)
        rates = seen.rates("one-click", "plain")
        title = "one-click: FastAPI, a transaction for each"
        self.table.at_least(title, seen.ratio("one-click", "plain"), 3, rates)
        self._lateness("one-click: p99", "one-click", {"FastAPI": "plain"})
        self.table.note("one-click, the second time", f"{seen.median('again'):,.0f}/s", "")

    def _asking(self, name: str, address: str) -> Callable[[], float]:
        def ask() -> float:
            return self._noted(name, wrk(address, self.seconds))

        return ask

    def _leaving(
        self, sample: Sample, name: str, module: str, *words: str, again: bool = False
    ) -> float:
        """Unsubscribe everybody, and count in the database that nobody was forgotten."""
        folder = sample.copy()
        given = [str(folder) if word == "FOLDER" else word for word in words]
        with running("-m", module, *given) as address:
            load = wrk(address, self.seconds, sample.tokens)
            if again:
                load = wrk(address, self.seconds, _first(sample, _gone(folder)))
        gone = _gone(folder)
        assert gone >= min(load.requests, self.readers), "an answer was given for a lost change"
        assert gone <= load.requests + CONNECTIONS or again
        shutil.rmtree(folder)
        return self._noted(name, load)

    def _noted(self, name: str, load: Load) -> float:
        self.late.setdefault(name, []).append(load.p99)
        return load.rate

    def _lateness(self, title: str, ours: str, others: dict[str, str]) -> None:
        detail = ", ".join(f"{said} {_middle(self.late[one]):.1f}" for said, one in others.items())
        self.table.at_most(title, _middle(self.late[ours]), 100, "ms", detail)


_OURS = ("newsletter_bot", "-C", "FOLDER", "run", "--only", "web")
_PLAIN = ("tests.bench.web_peers", "unsubscribe", "FOLDER")


def _gone(folder: Path) -> int:
    engine = open_engine("sqlite:///newsletter.db", folder)
    with engine.connect() as connection:
        query = "SELECT count(*) FROM subscriptions WHERE state = 'unsubscribed'"
        found = int(connection.exec_driver_sql(query).scalar_one())
    engine.dispose()
    return found


def _first(sample: Sample, count: int) -> Path:
    """Return a file of the tokens that were used, as far as they were answered for certain."""
    some = sample.tokens.read_text().splitlines()[: max(1, count - CONNECTIONS)]
    path = sample.place / "used"
    path.write_text("\n".join(some))
    return path


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
