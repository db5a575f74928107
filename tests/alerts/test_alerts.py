from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sqlalchemy import Engine

from newsletter_bot.alerts import Alerts
from newsletter_bot.errors import ConfigurationError
from newsletter_bot.settings.service import AlertsTable
from tests.schedule.paper import Clock


class Receiver:
    """A web service that takes Apprise's JSON."""

    def __init__(self) -> None:
        self.told: list[dict[str, str]] = []
        self.status = 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.told.append(json.loads(body))
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"json://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def clock() -> Clock:
    return Clock("2026-11-29T08:00+00:00")


@pytest.fixture
def alerts(engine: Engine, receiver: Receiver, clock: Clock, tmp_path: Path) -> Alerts:
    table = AlertsTable.model_validate({"urls": [receiver.address]})
    return Alerts(engine, table, tmp_path, clock)


def test_an_alert_arrives_with_title_and_text(alerts: Alerts, receiver: Receiver) -> None:
    hostile = "Missed: {{ 7*7 }} <b>\\n %s\r\nBcc: x@example.com"
    assert alerts.say("missed:weekly", hostile, "line one\nline <b>two</b>")
    (told,) = receiver.told
    assert told["title"] == "Missed: {{ 7*7 }} <b>\\n %s Bcc: x@example.com"
    assert told["message"] == "line one\nline <b>two</b>"


def test_the_same_alert_waits_and_then_says_how_often_it_was_held_back(
    alerts: Alerts, receiver: Receiver, clock: Clock
) -> None:
    assert alerts.say("a", "A", "once")
    assert [alerts.say("a", "A", "again") for _ in range(3)] == [False] * 3
    assert alerts.say("b", "B", "another one")
    clock.pass_(6 * 3600)
    assert alerts.say("a", "A", "still")
    assert receiver.told[-1]["message"] == "still (3 more times since the last message.)"


def test_a_clock_that_was_set_back_silences_nothing(
    alerts: Alerts, receiver: Receiver, clock: Clock
) -> None:
    alerts.say("a", "A", "once")
    clock.pass_(-86_400)
    assert alerts.say("a", "A", "after that")
    assert len(receiver.told) == 2


def test_an_alert_that_fails_is_tried_the_next_time(alerts: Alerts, receiver: Receiver) -> None:
    receiver.status = 500
    assert not alerts.say("a", "A", "lost")
    receiver.status = 200
    assert alerts.say("a", "A", "heard")


def test_addresses_come_from_a_file_too(engine: Engine, receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "alerts.txt").write_text(f"# us\n\n{receiver.address}\n")
    alerts = Alerts(engine, AlertsTable(urls_file="alerts.txt"), tmp_path)
    assert alerts.say("a", "A", "from a file")
    with pytest.raises(ConfigurationError, match=r"alerts\.urls_file"):
        Alerts(engine, AlertsTable(urls_file="none.txt"), tmp_path).addresses()


def test_nobody_to_tell_and_a_wrong_address_stop_nothing(engine: Engine, tmp_path: Path) -> None:
    assert not Alerts(engine, AlertsTable(), tmp_path).say("a", "A", "")
    wrong = AlertsTable.model_validate({"urls": ["nonsense://", "json://127.0.0.1:1"]})
    assert not Alerts(engine, wrong, tmp_path).say("a", "A", "text")
