from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from newsletter_bot.bot import Bot
from tests.cli.conftest import Result
from tests.feedback.office import Office, bounce_mail


def test_what_came_back_is_listed_shown_and_read_again(
    newsletter: Path, run: Callable[..., Result]
) -> None:
    assert "Nothing came back" in run("events", "list").out
    with closing(Bot.open(newsletter)) as bot:
        office = Office(bot.engine, bot.settings)
        (delivery,) = office.sends("2026-W01", office.joins("ada"))
        mail = bounce_mail(office.signer.bounce_token(delivery), "550 5.1.1 \x1b[2Junknown user")
        office.gets(mail)
        office.intake.keep("nobody", b"{}", "key")
        office.work()
        office.close()
    done = run("events", "list")
    assert "suppress: hard bounce (5.1.1)" in done.out
    assert "no relay of newsletter.toml is of the kind nobody" in done.out
    assert "\x1b[2J" not in done.out
    told = run("events", "list", "--issue", "2026-W01", "--kind", "bounced", json=True).json
    assert [one["class"] for one in told["events"]] == ["hard"]
    assert (told["waiting"], len(told["broken"])) == (0, 1)
    assert run("events", "list", "--kind", "clicked", json=True).json["events"] == []
    shown = run("events", "show", "1", json=True).json
    assert (shown["source"], shown["state"], shown["body"]) == ("mail", "read", mail)
    assert "\x1b[2J" not in run("events", "show", "1").out
    assert run("events", "replay", json=True).json["replayed"] == 1
    assert run("events", "replay", "1", json=True).json["replayed"] == 1
    assert len(run("events", "list", json=True).json["events"]) == 1


@pytest.mark.parametrize("what", ["show", "replay"])
def test_what_was_deleted_cannot_be_shown_or_read_again(
    run: Callable[..., Result], what: str
) -> None:
    done = run("events", what, "7")
    assert done.code == 65
    assert "feedback.keep_raw" in done.err


def test_an_issue_that_does_not_exist_is_no_quiet_issue(run: Callable[..., Result]) -> None:
    assert run("events", "list", "--issue", "2026-W99").code == 65
