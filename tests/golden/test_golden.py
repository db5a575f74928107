"""What the theme writes, kept: a change that was not meant shows. `make golden` writes it anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from newsletter_bot.bot import Bot
from newsletter_bot.rendering.model import filled
from newsletter_bot.rendering.render import look_at, render, to_mjml
from newsletter_bot.rendering.theme import Theme

HERE = Path(__file__).parent


@pytest.mark.parametrize("part", ["mjml", "html", "txt"])
def test_the_small_issue_is_rendered_as_before(
    newsletter: Path, write_issue: Callable[..., Path], part: str
) -> None:
    bot = Bot.open(newsletter)
    issue, theme = bot.read(write_issue()), Theme.of(bot.settings)
    if part == "mjml":
        found = to_mjml(look_at(issue, bot.settings, theme), theme)
    else:
        rendering = render(issue, bot.settings)
        found = filled(rendering.html if part == "html" else rendering.text, bot.sample_values())
    golden = HERE / f"small-issue.{part}"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(found, encoding="utf-8")
    assert found == golden.read_text(encoding="utf-8")
