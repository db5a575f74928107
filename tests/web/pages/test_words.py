"""The pages' words: each language has every one, with the same places to fill, and all are used."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from newsletter_bot.web.readers.languages import LANGUAGES

ROOT = Path(__file__).parents[3]
TEMPLATES = ROOT / "templates/web"
WORDS: dict[str, dict[str, str]] = tomllib.loads((TEMPLATES / "strings.toml").read_text("utf-8"))
PART = re.compile(r"\{\w+\}")


def test_there_are_the_languages_that_the_web_offers() -> None:
    assert tuple(WORDS) == LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_every_word_and_no_other(language: str) -> None:
    assert set(WORDS[language]) == set(WORDS["en"])
    assert all(text.strip() for text in WORDS[language].values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_word_has_the_same_places_to_fill_in_every_language(language: str) -> None:
    for name, text in WORDS["en"].items():
        assert sorted(PART.findall(WORDS[language][name])) == sorted(PART.findall(text)), name


def test_every_word_is_used_and_every_used_word_is_there() -> None:
    files = [*TEMPLATES.glob("*.j2"), *(ROOT / "newsletter_bot").rglob("*.py")]
    texts = "\n".join(path.read_text("utf-8") for path in files)
    used = {name for name in WORDS["en"] if re.search(rf"\b{name}\b", texts)}
    made = {"confirmed_text", "already_confirmed_text", "agree_old_text", "agree_new_text"}
    made |= {"unreadable_text", "busy_text", "failed_text"}
    assert set(WORDS["en"]) - used - made == set()
    templates = "\n".join(path.read_text("utf-8") for path in TEMPLATES.glob("*.j2"))
    asked = re.findall(r"\bwords\.(\w+)", templates)
    assert set(asked) - set(WORDS["en"]) == set()
