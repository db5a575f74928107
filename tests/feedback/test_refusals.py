"""What a real server refuses while an issue is sent, and what follows for its readers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from newsletter_bot.bot import Bot
from newsletter_bot.delivery.refusals_store import DELIVERY, keep_refusals
from newsletter_bot.delivery.run import Run
from newsletter_bot.storage.tables import raw_events
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.model import NewSubscriber


def test_an_address_that_a_server_does_not_know_is_suppressed_and_no_other(
    newsletter: Path, write_issue: Callable[..., Path], smtp_server: Callable[..., Any]
) -> None:
    server = smtp_server(
        "rcpt@bo@example.com=550 5.1.1 user unknown",
        "rcpt@eve@example.com=550 5.7.1 blocked for its reputation",
    )
    toml = newsletter / "newsletter.toml"
    kept = toml.read_text().partition("[transport]")[0]
    toml.write_text(f'{kept}[transport]\nkind = "smtp"\nport = {server.port}\ntls = "none"\n')
    names = ("ada", "bo", "eve")
    with closing(Bot.open(newsletter)) as bot:
        people = [NewSubscriber(parse_address(f"{name}@example.com")) for name in names]
        bot.subscribers.add(people, "weekly", {"source": "test"})
        bot.send(bot.read(write_issue()), Run())
        assert bot.feedback.work() == 2
        reasons = [bot.subscribers.suppression_of(f"{name}@example.com") for name in names]
        led_to = {one["consequence"] for one in bot.feedback.heard(10)}
    assert reasons == [None, "hard bounce (5.1.1), 2026-W01", None]
    assert led_to == {
        "suppress: hard bounce (5.1.1)",
        "none: it is about us, not the reader",
    }


def test_a_refusal_in_a_second_that_comes_twice_stops_no_run(engine: Engine) -> None:
    for reasons in ({1: "550 5.1.1 user unknown"}, {1: "550 5.1.1 again", 2: "550 5.1.1 no"}):
        with engine.begin() as connection:
            keep_refusals(connection, DELIVERY, reasons, 1_790_000_000)
    with engine.connect() as connection:
        kept = connection.execute(select(raw_events.c.key).order_by(raw_events.c.key)).scalars()
        assert list(kept) == ["delivery:1:1790000000", "delivery:2:1790000000"]
