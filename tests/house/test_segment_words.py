"""docs/segments.md has every word of the language, and no other; its examples are read."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from newsletter_bot.subscribers.segment_query import parse_query, to_query
from newsletter_bot.subscribers.segment_rules import TRACKED, Kind, Subject
from newsletter_bot.subscribers.segment_table import (
    COUNT_WORDS,
    HEAD_WORDS,
    NEVER,
    TEXT_WORDS,
    Vocabulary,
    read_segment,
    to_table,
)
from newsletter_bot.subscribers.segment_values import SPAN_WORDS

TEXT = (Path(__file__).parents[2] / "docs" / "segments.md").read_text(encoding="utf-8")
KNOWN = Vocabulary({"plan", "tag"}, {"weekly"}, TRACKED)
RULES = re.findall(r"^\| `(\{.+?\})` \|", TEXT, re.MULTILINE)
WORDS = (*HEAD_WORDS, *TEXT_WORDS, *SPAN_WORDS, *COUNT_WORDS, *sorted(TRACKED), "state")


@pytest.mark.parametrize("word", WORDS)
def test_every_word_has_its_line(word: str) -> None:
    assert f"`{word}`" in TEXT


@pytest.mark.parametrize("kind", Kind)
def test_every_group_has_its_row(kind: Kind) -> None:
    assert re.search(rf"^\| `{kind} = ", TEXT, re.MULTILINE)


def test_every_subject_has_its_row() -> None:
    assert set(re.findall(r"^\| `\{(\w+) =", TEXT, re.MULTILINE)) == set(Subject)
    assert f'`"{NEVER}"`' in TEXT


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_of_the_table_can_be_read(rule: str) -> None:
    assert read_segment(tomllib.loads(f"all = [{rule}]"), "", KNOWN).rule.rules


def test_the_example_and_its_query_are_the_same_but_for_the_list() -> None:
    written = TEXT.partition("```toml\n")[2].partition("```")[0]
    example = to_table(read_segment(tomllib.loads(written), "", KNOWN))
    example["all"] = [one for one in example["all"] if "list" not in one]
    query = TEXT.partition("```\nplan=")[2].partition("\n")[0]
    assert to_query(read_segment(example, "", KNOWN)) == f"plan={query}"


def test_every_query_between_backticks_can_be_read() -> None:
    bullets = TEXT.partition("\n- All pairs")[2].partition("\n\nA query and")[0]
    queries = re.findall(r"`([a-z~.0-9_]+=[^`\s]*)`", bullets)
    assert len(queries) > 8
    for query in queries:
        assert parse_query(query, KNOWN).rule.rules
