"""A newsletter whose theme is its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from newsletter_bot.bot import Bot

WORDS = """\
[en]
view = "v"
unsubscribe = "u"
picks = "p"
notes = "n"
why = "w"
missing_picture = "m"
"""


@pytest.fixture
def own_theme(newsletter: Path) -> Callable[..., Bot]:
    """Open the newsletter with a theme `mine` made of the given files."""

    def open_with(template: str, css: str = "", words: str = WORDS) -> Bot:
        folder = newsletter / "templates" / "themes" / "mine"
        folder.mkdir(parents=True)
        (folder / "issue.mjml.j2").write_text(template, encoding="utf-8")
        (folder / "inline.css.j2").write_text(css, encoding="utf-8")
        (folder / "strings.toml").write_text(words, encoding="utf-8")
        toml = newsletter / "newsletter.toml"
        settings = toml.read_text(encoding="utf-8")
        named = settings.replace('language = "en"', 'language = "en"\ntheme = "mine"')
        toml.write_text(named, encoding="utf-8")
        return Bot.open(newsletter)

    return open_with
