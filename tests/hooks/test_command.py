from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from newsletter_bot.bot import Bot
from newsletter_bot.cli import main
from newsletter_bot.hooks.courier import Ways
from newsletter_bot.settings.people import HookType
from tests.servers.hook_server import HookServer, Reply


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Operator:
    """Somebody with a newsletter of two endpoints, and a service that runs when it is told to."""

    folder: Path
    run: Callable[..., Result]

    def tell(self, kind: HookType, at: int, **data: object) -> None:
        def change(connection: Connection) -> None:
            bot.outbox.tell(connection, kind, data, at, 1)

        with closing(Bot.open(self.folder)) as bot:
            bot.writer.run(change)

    def deliver(self) -> None:
        with closing(Bot.open(self.folder)) as bot:
            courier = bot.webhooks.courier(Ways(lambda *_said: None))
            courier.look()
            assert courier.wait(30)


@pytest.fixture
def operator(newsletter: Path, server: HookServer, monkeypatch: pytest.MonkeyPatch) -> Operator:
    toml = newsletter / "newsletter.toml"
    toml.write_text(
        f"{toml.read_text()}"
        f'[[webhooks]]\nname = "crm"\nurl = "{server.url("crm")}"\nallow_private = true\n'
        f'[[webhooks]]\nname = "shop"\nurl = "{server.url("shop")}"\nevents = ["issue.sent"]\n'
    )
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str, as_json: bool = True) -> Result:
        out, err = io.StringIO(), io.StringIO()
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        arguments = ["-C", str(newsletter), *(["--json"] if as_json else []), "webhooks", *words]
        with redirect_stdout(out), redirect_stderr(err):
            try:
                main(arguments)
                code = 0
            except SystemExit as ended:
                code = int(ended.code or 0)
        return Result(code, out.getvalue(), err.getvalue())

    return Operator(newsletter, run)


AT = 1_795_000_000


def test_endpoints_are_listed_with_what_they_were_given(
    operator: Operator, server: HookServer
) -> None:
    operator.tell(HookType.CONFIRMED, AT)
    operator.tell(HookType.ISSUE_SENT, AT)
    server.replies["crm"] = [Reply(), Reply(500, content=b"[bold]over[/]loaded")]
    operator.deliver()
    crm, shop = operator.run("list").json["webhooks"]
    assert (crm["name"], crm["delivered"], crm["waiting"], crm["failed"]) == ("crm", 1, 1, 0)
    assert len(crm["events"]) == len(HookType)
    assert crm["last_at"].endswith("Z")
    assert crm["switched_off_at"] is crm["rests_until"] is None
    assert (shop["events"], shop["waiting"]) == (["issue.sent"], 1)
    assert "private address" in shop["last_answer"]
    shown = operator.run("list", as_json=False).out
    assert "crm" in shown
    assert "private address" in shown


def test_a_secret_is_printed_for_whoever_verifies(operator: Operator) -> None:
    printed = operator.run("secret", "crm", as_json=False)
    assert operator.run("secret", "crm").json == {"name": "crm", "secrets": [printed.out.strip()]}
    assert printed.out.startswith("whsec_")


def test_a_test_says_what_came_back(operator: Operator, server: HookServer) -> None:
    assert operator.run("test", "crm").json["ok"]
    (call,) = server.to("crm")
    assert call.json["type"] == "webhook.test"
    server.replies["crm"] = [Reply(401, content=b"who are you?")]
    failed = operator.run("test", "crm")
    assert failed.code == 75
    assert failed.json["status"] == 401
    assert "401 who are you?" in failed.err
    assert "next:" in failed.err
    refused = operator.run("test", "shop")
    assert refused.code == 75
    assert "it leads to the private address 127.0.0.1" in refused.err
    assert server.to("shop") == []


def test_events_are_listed_with_where_they_stand(operator: Operator, server: HookServer) -> None:
    server.replies["crm"] = [Reply(410)]
    operator.tell(HookType.CONFIRMED, AT, address="ada@example.com")
    operator.deliver()
    operator.tell(HookType.CONFIRMED, AT)
    unspread, failed = operator.run("events").json["events"]
    assert unspread["endpoint"] is unspread["state"] is None
    assert (failed["endpoint"], failed["state"], failed["status"]) == ("crm", "failed", 410)
    assert failed["at"] == "2026-11-18T11:06:40Z"
    assert operator.run("events", "--failed").json["events"] == [failed]
    shown = operator.run("events", as_json=False).out
    assert failed["id"] in shown
    assert "ada@" not in shown


def test_an_endpoint_that_was_gone_gets_what_it_missed(
    operator: Operator, server: HookServer
) -> None:
    server.replies["crm"] = [Reply(410)]
    operator.tell(HookType.CONFIRMED, AT, number=1)
    operator.deliver()
    operator.tell(HookType.CONFIRMED, AT + 86_400, number=2)
    operator.deliver()
    assert len(server.calls) == 1
    assert "switched off" in operator.run("list", as_json=False).out
    refused = operator.run("replay", "crm", "--failed")
    assert refused.code == 65
    assert "webhooks enable crm" in refused.err
    assert operator.run("enable", "crm").json == {"name": "crm", "enabled": True}
    assert operator.run("enable", "crm").json["enabled"] is False
    assert operator.run("replay", "crm", "--failed").json == {"name": "crm", "replayed": 1}
    operator.deliver()
    assert operator.run("replay", "crm", "--since", "2026-11-19").json["replayed"] == 1
    operator.deliver()
    assert [call.json["data"]["number"] for call in server.calls] == [1, 1, 2]
    assert server.calls[0].id == server.calls[1].id


def test_one_event_is_replayed_by_its_id(operator: Operator, server: HookServer) -> None:
    operator.tell(HookType.CONFIRMED, AT)
    operator.deliver()
    (event,) = operator.run("events").json["events"]
    assert operator.run("replay", "crm", "--event", event["id"]).json["replayed"] == 1
    operator.deliver()
    assert [call.id for call in server.to("crm")] == [event["id"]] * 2
    assert operator.run("events").json["events"][0]["attempts"] == 1
    assert operator.run("replay", "crm", "--event", "evt_none").code == 65


@pytest.mark.parametrize(
    "words",
    [
        ("test", "nobody"),
        ("secret", "nobody"),
        ("enable", "nobody"),
        ("replay", "nobody", "--failed"),
        ("replay", "crm"),
        ("replay", "crm", "--failed", "--since", "2026-11-19"),
        ("replay", "crm", "--since", "last week"),
        ("replay", "crm", "--since", "0001-01-01"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_done_is_explained(operator: Operator, words: tuple[str, ...]) -> None:
    done = operator.run(*words)
    assert done.code == 2
    assert "next:" in done.err


def test_a_newsletter_without_endpoints_says_so(newsletter: Path, operator: Operator) -> None:
    toml = newsletter / "newsletter.toml"
    toml.write_text(toml.read_text().partition("[[webhooks]]")[0])
    assert operator.run("list").json == {"webhooks": []}
    assert "no [[webhooks]]" in operator.run("list", as_json=False).out
    assert "There are no such events" in operator.run("events", as_json=False).out
