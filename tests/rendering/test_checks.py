from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from newsletter_bot.bot import Bot
from newsletter_bot.errors import Severity
from newsletter_bot.issues.model import Condition
from newsletter_bot.rendering.checks import RULES, check_rendering
from newsletter_bot.rendering.model import Escape, Hole, Only, Pieces, Rendering, Static

UNSUBSCRIBE = Hole("unsubscribe_url", "", Escape.LINK)


@pytest.fixture
def bot(newsletter: Path) -> Bot:
    return Bot.open(newsletter)


def rules_of(bot: Bot, html: str, text: str = "text", *, slot: Pieces = (UNSUBSCRIBE,)) -> set[str]:
    parts = (Static(html), *slot), (Static(text), *slot)
    rendering = Rendering("x", ((Static("s"),),), *parts, language="en")
    return {one.rule for one in check_rendering(rendering, bot.settings)}


@pytest.mark.parametrize(
    ("size", "rules"),
    [
        (92_160, set()),
        (92_161, {"mail-large"}),
        (102_399, {"mail-large"}),
        (102_400, {"mail-too-large"}),
    ],
)
def test_the_size_counts_as_gmail_counts_it(bot: Bot, size: int, rules: set[str]) -> None:
    assert rules_of(bot, "x" * size) == rules
    assert rules_of(bot, "é" * (size // 2) + "x" * (size % 2)) == rules


def test_both_parts_need_the_unsubscribe_slot(bot: Bot) -> None:
    assert rules_of(bot, "x", slot=()) == {"no-unsubscribe"}
    assert RULES["no-unsubscribe"].severity is Severity.ERROR


def test_a_marker_left_in_either_part_is_an_error(bot: Bot) -> None:
    assert rules_of(bot, "a zq9s0xabcd9qz b") == {"leftover"}
    assert rules_of(bot, "a", "a zq9s0xabcd9qz b") == {"leftover"}


def test_a_newsletter_without_a_postal_address_cannot_send(newsletter: Path) -> None:
    toml = newsletter / "newsletter.toml"
    toml.write_text(toml.read_text().replace("1-2-3 Example, Tokyo", " "))
    assert rules_of(Bot.open(newsletter), "x") == {"no-postal-address"}


def test_an_issue_may_write_of_escapes_as_rust_has_them(
    bot: Bot, write_issue: Callable[..., Path]
) -> None:
    text = '---\nissue: x\n---\n## [I](https://e.com)\n\n![a \\u{3000}](https://e.com/i.png)\n\n`"\\u{1f600}"`\n'
    errors = [
        one.rule
        for one in bot.check(bot.read(write_issue(text, "x")))
        if one.severity is Severity.ERROR
    ]
    assert errors == []


def test_the_largest_mail_counts_with_every_only_block(bot: Bot) -> None:
    only = Only((Condition("plan", ("supporter",)),), (Static("x" * 60_000),))
    assert rules_of(bot, "x" * 60_000, slot=(only, UNSUBSCRIBE)) == {"mail-too-large"}
