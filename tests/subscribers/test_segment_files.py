"""The files of segments: what they say, and every mistake with its place."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from newsletter_bot.errors import DataError
from newsletter_bot.subscribers.segment_rules import Group, Kind, OnList, Span, Tagged
from newsletter_bot.subscribers.segment_table import read_segment
from newsletter_bot.subscribers.segment_values import SegmentError
from newsletter_bot.subscribers.segments import Segments
from tests.subscribers.rules import KNOWN, PAYING_TOML, settings

Write = Callable[..., None]


def _closed() -> NoReturn:
    raise AssertionError("to read a file needs no database")


@pytest.fixture
def segments(tmp_path: Path) -> Segments:
    return Segments(settings(tmp_path), _closed, float)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(name: str, content: str | bytes = PAYING_TOML) -> None:
        path = tmp_path / "subscribers" / "segments" / f"{name}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return written


def test_a_file_is_a_segment_named_by_it(segments: Segments, write: Write) -> None:
    write("paying-ja")
    write("all_of_us", 'any = [{tag = "a"}]')
    write("my segment")
    assert segments.names() == ("all_of_us", "paying-ja")
    found = segments.load("paying-ja")
    assert (found.name, found.title) == ("paying-ja", "Paying readers in Japan")
    assert found.rule.rules[2] == Group(
        Kind.ANY,
        (
            Tagged(("beta",)),
            OnList("monthly", span=Span(before=tomllib.loads("x=2026-10-01")["x"])),
        ),
    )
    assert segments.load("all_of_us").rule == Group(Kind.ALL, (Group(Kind.ANY, (Tagged(("a",)),)),))


@pytest.mark.parametrize(
    "name", ["payin-ja", "", ".", "..", "../secret", "a/b", "paying-ja\0", "x" * 300]
)
def test_a_name_without_a_file_is_refused(segments: Segments, write: Write, name: str) -> None:
    write("paying-ja")
    with pytest.raises(DataError, match="There is no segment"):
        segments.load(name)


def test_the_nearest_name_is_suggested(segments: Segments, write: Write) -> None:
    write("paying-ja")
    with pytest.raises(DataError, match="Did you mean 'paying-ja'"):
        segments.load("payin-ja")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "Write one of all, any, not"),
        ('title = "Nobody"', "Write one of all, any, not"),
        ("all = []", "all: a list of rules"),
        ('all = [{tag = "a"}]\nany = [{tag = "a"}]', "Write one of all, any, not"),
        ('al = [{tag = "a"}]', "Unknown word 'al'. Did you mean 'all'"),
        ('name = "x"\nall = [{tag = "a"}]', "Unknown word 'name'"),
        ("title = 3\nall = [{tag = 'a'}]", "title: a text in quotes"),
        ('all = [{tga = "a"}]', r"all\[0\]: unknown word 'tga'. Did you mean 'tag'"),
        ('all = [{tag = "a", x = 1}]', r"all\[0\]: unknown word 'x'"),
        ('all = [{tag = "a", language = "ja"}]', r"all\[0\]: 'tag' and 'language' are two rules"),
        ('all = ["tag"]', r"all\[0\]: a rule in braces"),
        ("all = [{}]", r"all\[0\]: an empty rule"),
        ("all = [{tag = []}]", r"all\[0\].tag: 1 to 100 texts"),
        ("all = [{tag = 3}]", r"all\[0\].tag: a text in quotes"),
        ('all = [{tag = "a\\nb"}]', r"all\[0\].tag: a line break"),
        ('all = [{field = "plam", is = "x"}]', r"all\[0\].field: there is no field 'plam'"),
        ('all = [{field = "plan"}]', r"all\[0\]: compare it with one of"),
        ('all = [{field = "plan", is = "x", starts = "y"}]', r"all\[0\]: compare it with one of"),
        ('all = [{field = "plan", set = "yes"}]', r"all\[0\].set: true or false"),
        ('all = [{list = "week"}]', r"all\[0\].list: there is no list 'week'"),
        ('all = [{list = "weekly", state = "on"}]', r"all\[0\].state: 'on' is no state"),
        ('all = [{list = "weekly", since = "90d"}]', r"all\[0\].since: '90d' is no day"),
        ('all = [{list = "weekly", within = 2026-01-01}]', r"all\[0\].within: .* no duration"),
        ('all = [{list = "weekly", since = 2026-01-01T10:00:00Z}]', r"all\[0\].since: .* no day"),
        ('all = [{added = "never"}]', r"all\[0\].added: say when"),
        ("all = [{confirmed = {}}]", r"all\[0\].confirmed: say when"),
        ('all = [{added = {since = "1969-01-01"}}]', "a day from 1970-01-02"),
        (
            'all = [{added = {since = "2026-01-01", within = "3d"}}]',
            "since and within say the same",
        ),
        ('all = [{added = {within = "0d"}}]', "no duration"),
        ('all = [{added = {within = "9999999d"}}]', "ten years at most"),
        ("all = [{received = 3}]", r"all\[0\].received: say how many"),
        ("all = [{received = {at_least = 3.5}}]", "a number from 0"),
        ("all = [{received = {at_least = true}}]", "a number from 0"),
        ("all = [{received = {at_leest = 3}}]", r"all\[0\].received: unknown word 'at_leest'. Did"),
        ("all = [{received = {at_least = 3, at_most = 2}}]", "at_least is more than at_most"),
        (
            "all = [{opened = {at_least = 3}}]",
            r"all\[0\]: opened: opens are not counted for each reader",
        ),
        ("all = [{last_clicked = {within = '3d'}}]", "clicks are not counted for each reader"),
        ('not = {not = {any = [{tga = "a"}]}}', r"not.not.any\[0\]: unknown word 'tga'"),
        ("all = " + "[{not = " * 9 + '[{tag = "a"}]' + "}]" * 9, "nested deeper than 8"),
        ("all = " + "[" * 3000 + "]" * 3000, "no TOML"),
        ("all = [" + '{tag = "a"},' * 101 + "]", "More than 100 rules"),
        (f'all = [{{tag = "{"a" * 501}"}}]', "more than 500 characters"),
        (b"all = [{tag = '\xff'}]", "no TOML"),
        ("#" * 70_000, "more than 65,536 bytes"),
    ],
)
def test_a_mistake_is_told_with_the_file_and_its_place(
    segments: Segments, write: Write, content: str | bytes, said: str
) -> None:
    write("broken", content)
    with pytest.raises(SegmentError, match=said) as error:
        segments.load("broken")
    assert "broken.toml: " in error.value.message


def test_sample_segments_can_be_read() -> None:
    samples = sorted((Path(__file__).parents[2] / "subscribers" / "segments").glob("*.toml"))
    assert samples
    for path in samples:
        assert read_segment(tomllib.loads(path.read_text("utf-8")), path.stem, KNOWN).title
