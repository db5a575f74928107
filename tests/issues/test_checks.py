from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image as Picture

from newsletter_bot.issues import links
from newsletter_bot.issues.checks import RULES, check_issue
from newsletter_bot.issues.model import Issue

Parse = Callable[..., Issue]

GOOD_FRONT = (
    '---\nissue: x\nsubject: "Two papers"\n'
    'preheader: "What very deep networks taught us, and one thing more"\n---\n'
)


def found(issue: Issue) -> list[tuple[int, str]]:
    return [(one.line, one.rule) for one in check_issue(issue)]


def test_a_good_issue_has_no_problems(parse: Parse, tmp_path: Path) -> None:
    Picture.new("RGB", (1104, 552)).save(tmp_path / "a.png")
    text = (
        "## S\n\n### [I](https://arxiv.org/abs/1512.03385v1)\n\n![alt](a.png)\n\n*[1512.03385] T*\n"
    )
    assert found(parse(GOOD_FRONT + text)) == []


@pytest.mark.parametrize(
    ("text", "rule", "line"),
    [
        ("### [I](https://e.com)\n\n![alt](none.png)\n", "missing-image", 10),
        ("### No link here\n\ntext\n", "missing-link", 8),
        ("### [I](https://arxiv.org/abs/1512.03385)\n\n*[1706.03762] T*\n", "id-mismatch", 10),
        ("### [I](https://doi.org/10.1/a)\n\n*[10.1/b] T*\n", "id-mismatch", 10),
        ("### [I](https://e.com)\n\n[x](https://arxiv.org/abs/1911.11907')\n", "malformed-url", 10),
        ("### [I](https://e.com)\n\n[x](/relative)\n", "malformed-url", 10),
        ("### [I](https://e.com)\n\n<a href='/relative'>x</a>\n", "malformed-url", 10),
        ('### [I](https://e.com)\n\n[x](https://e.com/a"b)\n', "malformed-url", 10),
        (
            "### [I](https://e.com)\n\n*[arXiv:1.2] T*\n\n[x](https://e.com/%27)",
            "malformed-url",
            12,
        ),
        ("### [I](https://e.com)\n\n[x](https://nohost/)\n", "malformed-url", 10),
        ("### [I](https://t.co/abc)\n\ntext\n", "shortener", 8),
        ("### [I](https://e.com)\n\n![](https://e.com/a.png)\n", "no-alt", 10),
        ("### [I](https://e.com)\n\n![a](https://e.com/a.webp)\n", "image-format", 10),
        ("### [I](http://e.com)\n\ntext\n", "insecure-link", 8),
        ("### [I](https://e.com)\n\n[https://a.com](https://b.com)\n", "link-text-mismatch", 10),
        ("### [I](https://e.com)\n\n[card](https://e.com/c)\n", "card-without-data", 10),
    ],
)
def test_a_mistake_is_found_on_its_line(parse: Parse, text: str, rule: str, line: int) -> None:
    assert found(parse(f"{GOOD_FRONT}## S\n\n{text}")) == [(line, rule)]


def test_a_link_that_was_removed_is_a_mistake_too(parse: Parse) -> None:
    text = f"{GOOD_FRONT}## [I](https://e.com)\n\n[x](ftp://e.com/)\n"
    assert found(parse(text)) == [(8, "malformed-url"), (8, "removed-html")]


def test_twins_are_found(parse: Parse) -> None:
    item = "### [{}](https://e.com/{})\n\n*[1.1] Same*\n\n"
    text = f"{GOOD_FRONT}## S\n\n{item.format('A', 'a')}{item.format('B', 'a?utm_source=x')}"
    assert found(parse(text)) == [(12, "duplicate-url"), (14, "duplicate-caption")]


def test_pictures_too_large_for_mail_are_found(parse: Parse, tmp_path: Path) -> None:
    Picture.effect_noise((2300, 200), 90).save(tmp_path / "a.png")
    rules = {
        rule for _, rule in found(parse(f"{GOOD_FRONT}## [I](https://e.com)\n\n![a](a.png)\n"))
    }
    assert rules == {"image-too-large", "image-too-wide"}


def test_a_file_that_only_looks_like_a_picture_is_missing(parse: Parse, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    assert (8, "missing-image") in found(
        parse(f"{GOOD_FRONT}## [I](https://e.com)\n\n![a](a.png)\n")
    )


@pytest.mark.parametrize(
    ("subject", "rule"),
    [
        ("x" * 61, "subject-length"),
        ("論" * 31, "subject-length"),
        ("READ THIS RIGHT NOW", "subject-shouting"),
        ("Now!!!", "subject-shouting"),
    ],
)
def test_a_subject_is_looked_at_as_readers_see_it(parse: Parse, subject: str, rule: str) -> None:
    front = GOOD_FRONT.replace("Two papers", subject)
    assert (3, rule) in found(parse(f"{front}## [I](https://e.com)\n"))


def test_a_preheader_has_a_length(parse: Parse) -> None:
    assert "preheader-length" in [
        rule for _, rule in found(parse("---\nissue: x\n---\n## [I](https://e.com)\n"))
    ]


def test_a_long_issue_is_noted_at_its_first_item_too_many(parse: Parse) -> None:
    items = "".join(f"## [I{n}](https://e.com/{n})\n\n" for n in range(36))
    assert found(parse(GOOD_FRONT + items)) == [(76, "long-issue")]


def test_every_rule_says_what_it_means() -> None:
    assert all(rule.sentence.endswith(".") for rule in RULES.values())


def test_international_addresses_are_written_in_ascii() -> None:
    assert links.in_ascii("https://bücher.example/ä?q=é") == (
        "https://xn--bcher-kva.example/%C3%A4?q=%C3%A9"
    )
    assert links.fault(links.in_ascii("https://例え.jp/")) == ""


@pytest.mark.parametrize(
    "text",
    [
        "[Unsubscribe]({{ unsubscribe_url }}), [see it]({{ view_url }}#x)",
        "[Write](mailto:{{ email }}), [x](https://e.com/?who={{ email }})",
        "[Bayes](https://en.wikipedia.org/wiki/Bayes'_theorem)",
        "[Sought](https://e.com/?q=%22double+descent%22&by=Akira%27s)",
        "[Read on at https://e.com/x](https://www.e.com/x?y), <https://例え.jp/>",
        "![described](https://e.com/a.png) and <img src='https://e.com/b.png' alt='as well'>",
    ],
)
def test_what_is_usual_is_no_mistake(parse: Parse, text: str) -> None:
    assert found(parse(f"{GOOD_FRONT}## [I](https://e.com)\n\n{text}\n")) == []


@pytest.mark.parametrize(
    "caption", ["[2102.06171v2] T", "[arXiv:2102.06171] T", "[Figure 1] The model", "[NeurIPS] T"]
)
def test_only_the_id_of_another_paper_is_a_mismatch(parse: Parse, caption: str) -> None:
    text = f"## [I](https://arxiv.org/abs/2102.06171v2)\n\n*{caption}*\n"
    assert found(parse(GOOD_FRONT + text)) == []


def test_two_pictures_by_one_photographer_are_no_twins(parse: Parse) -> None:
    item = "### [{0}](https://e.com/{0})\n\n![a](https://e.com/{0}.png)\n\n*Photo: NASA*\n\n"
    assert found(parse(f"{GOOD_FRONT}## S\n\n{item.format('a')}{item.format('b')}")) == []


def test_a_message_shows_a_slot_as_it_was_written(parse: Parse) -> None:
    text = f"{GOOD_FRONT}## [I](https://e.com)\n\n[x](/{{{{ name }}}})\n"
    assert [one.message for one in check_issue(parse(text))] == [
        "/{{ name }}: a relative address leads nowhere from a mail."
    ]


def test_a_preheader_is_as_long_as_readers_see_it(parse: Parse) -> None:
    front = GOOD_FRONT.replace(
        "What very deep networks taught us, and one thing more", "{{ name }}"
    )
    assert found(parse(f"{front}## [I](https://e.com)\n")) == [(4, "preheader-length")]


@pytest.mark.parametrize("name", ["my picture.png", "図.png"])
def test_a_picture_may_have_any_name(parse: Parse, tmp_path: Path, name: str) -> None:
    Picture.new("RGB", (4, 4)).save(tmp_path / name)
    assert found(parse(f"{GOOD_FRONT}## [I](https://e.com)\n\n![a](<{name}>)\n")) == []


@pytest.mark.parametrize("name", ["a" * 5000 + ".png", "%00.png", "loop.png"])
def test_a_picture_that_no_file_can_be_is_missing(parse: Parse, tmp_path: Path, name: str) -> None:
    (tmp_path / "loop.png").symlink_to("loop.png")
    text = f"{GOOD_FRONT}## [I](https://e.com)\n\n![a]({name})\n"
    assert found(parse(text)) == [(8, "missing-image")]
