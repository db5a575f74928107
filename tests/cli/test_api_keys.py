from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from newsletter_bot.bot import Bot
from newsletter_bot.web.api.keys_store import KeyStore
from tests.cli.conftest import Result

Run = Callable[..., Result]


def test_a_key_is_shown_once_and_opens_the_api(run: Run, newsletter: Path) -> None:
    made = run("api-key", "add", "shop", "--scope", "read", "--scope", "subscribers:write")
    assert made.code == 0
    key = made.out.strip()
    assert key.startswith("nbk_")
    assert "cannot be shown again" in made.err
    bot = Bot.open(newsletter)
    found = KeyStore(bot.engine, bot.writer).find(key)
    bot.close()
    assert found is not None
    assert found.scopes == {"read", "subscribers:write"}
    assert key not in run("api-key", "list").out
    assert key not in run("api-key", "list", json=True).out


def test_json_has_the_key_and_when_it_ends(run: Run) -> None:
    made = run("api-key", "add", "shop", "--scope", "*", "--expires", "90d", json=True).json
    assert set(made) == {"name", "key", "scopes", "expires_at"}
    assert made["scopes"] == ["*"]
    assert abs(made["expires_at"] - time.time() - 90 * 86400) < 60
    listed = run("api-key", "list", json=True).json["keys"]
    assert [one["state"] for one in listed] == ["active"]
    assert listed[0]["used_at"] is None


def test_a_key_can_be_revoked(run: Run) -> None:
    run("api-key", "add", "shop", "--scope", "read")
    assert run("api-key", "revoke", "shop", json=True).json == {"name": "shop", "revoked": True}
    assert run("api-key", "revoke", "shop", json=True).json["revoked"] is False
    assert run("api-key", "list", json=True).json["keys"][0]["state"] == "revoked"
    assert run("api-key", "revoke", "other").code == 2


def test_without_keys_the_next_step_is_said(run: Run) -> None:
    assert "api-key add" in run("api-key", "list").out


@pytest.mark.parametrize(
    "words",
    [
        ["shop"],
        ["shop", "--scope", "everything"],
        ["Shop!", "--scope", "read"],
        ["\u202eshop", "--scope", "read"],
        ["x" * 64, "--scope", "read"],
        ["shop", "--scope", "read", "--expires", "soon"],
        ["shop", "--scope", "read", "--expires", "-1d"],
    ],
)
def test_what_cannot_be_is_refused(run: Run, words: list[str]) -> None:
    assert run("api-key", "add", *words).code == 2
    assert run("api-key", "list", json=True).json == {"keys": []}


def test_a_name_is_not_used_twice(run: Run) -> None:
    run("api-key", "add", "shop", "--scope", "read")
    again = run("api-key", "add", "shop", "--scope", "*")
    assert again.code == 2
    assert "already" in again.err
