"""Links that are counted: which they are, what stands in their place, and when nothing does."""

from __future__ import annotations

import re
from collections.abc import Callable
from email import message_from_bytes
from email.policy import default
from html import unescape
from pathlib import Path

import pytest
from sqlalchemy import Engine

from newsletter_bot.bot import Bot
from newsletter_bot.delivery.composing.composer import Composer
from newsletter_bot.delivery.model import Recipient
from newsletter_bot.delivery.planning.links_store import Counted, LinksStore
from newsletter_bot.delivery.planning.newcomers_store import NewcomersStore
from newsletter_bot.delivery.planning.plan_store import PlanStore
from newsletter_bot.rendering.links import shows_address
from newsletter_bot.rendering.model import Rendering, filled
from newsletter_bot.rendering.tracked import as_sent
from newsletter_bot.rendering.tracking import Detail, TrackedLink, Tracking

SECRET = b"0123456789abcdef" * 4
ISSUE = """\
---
issue: 2026-W01
title: "Week 1"
subject: "Hello"
preheader: "What came of it"
status: ready
---
Hello {{ first_name | there }}, see [the other site](https://other.example/?a=1&b=2#part), write to
[me](mailto:me@example.com), call [me](tel:+811234), read [our terms](https://news.example.com/terms),
look [for you](https://other.example/?who={{ first_name | you }}), at <https://shown.example/path>,
[www.host.example](https://host.example/) or [shown.example/a](https://shown.example/a).
Leave [here]({{ unsubscribe_url }}) or [choose]({{ preferences_url }}), as
[before](https://news.example.com/u/0123).[^1]

[^1]: A note with [a link](https://note.example/).

## Papers

### [Networks for {{ first_name | you }}](https://arxiv.org/abs/1512.03385) {pick}

![A picture](https://pictures.example/a.png)

Layers learn, says [the paper](https://arxiv.org/abs/1512.03385) and [its code](https://code.example/).

### [One of our own](https://news.example.com/articles/one/)

Read it.

::: only plan=supporter
Thanks: [a present](https://present.example/).
:::
"""
COUNTED = [
    TrackedLink("https://other.example/?a=1&b=2#part", "", "the other site"),
    TrackedLink(
        "https://arxiv.org/abs/1512.03385",
        "networks-for",
        "Networks for {{ first_name }}",
    ),
    TrackedLink("https://code.example/", "networks-for", "Networks for {{ first_name }}"),
    TrackedLink("https://news.example.com/articles/one/", "one-of-our-own", "One of our own"),
    TrackedLink("https://present.example/", "one-of-our-own", "One of our own"),
    TrackedLink("https://note.example/", "", "a link"),
]
PERSON = {
    "plan": "supporter",
    "first_name": "Ada",
    "unsubscribe_url": "https://news.example.com/u/1",
}


@pytest.fixture
def render(newsletter: Path, write_issue: Callable[..., Path]) -> Callable[..., Rendering]:
    """Render the issue with these lines in [tracking]."""
    path = write_issue(ISSUE)
    toml = newsletter / "newsletter.toml"
    plain = toml.read_text()

    def rendered(lines: str = "") -> Rendering:
        toml.write_text(f"{plain}\n[tracking]\n{lines}\n")
        bot = Bot.open(newsletter)
        return bot.render(bot.read(path))

    return rendered


def hrefs(html: str) -> list[str]:
    return [unescape(one) for one in re.findall(r'<a[^>]* href="([^"]*)"', html)]


def composed(bot: Bot, rendering: Rendering, counted: Counted | None, delivery: int = 7) -> str:
    composer = Composer(rendering, bot.settings, SECRET, counted)
    who = Recipient(delivery, 7, "ada@example.com", "Ada", "weekly", PERSON)
    message = message_from_bytes(composer.compose(who, 1_800_000_000).content, policy=default)
    part = message.get_body(("html",))
    text = message.get_body(("plain",))
    assert part is not None
    assert text is not None
    assert "/r/" not in text.get_content()
    return str(part.get_content())


def counted(rendering: Rendering) -> Counted:
    found = rendering.tracking.links
    return Counted(3, {one.url: at for at, one in enumerate(found, 1)})


@pytest.mark.parametrize("lines", ["", 'clicks = "off"\nopens = "off"'])
def test_without_tracking_a_rendering_is_what_it_always_was(
    render: Callable[..., Rendering], newsletter: Path, lines: str
) -> None:
    plain = render(lines)
    assert not plain.tracking.is_on
    assert "tracking" not in plain.to_json()
    assert as_sent(plain, None) is plain.html
    bot = Bot.open(newsletter)
    assert composed(bot, plain, None) == composed(bot, plain, counted(plain))


def test_links_to_others_and_to_our_own_items_are_counted_and_no_others(
    render: Callable[..., Rendering],
) -> None:
    off, on = render(), render('clicks = "aggregate"')
    assert list(on.tracking.links) == COUNTED
    before, after = hrefs(filled(off.html, PERSON)), hrefs(filled(on.html, PERSON))
    assert before == after
    assert on.text == off.text
    assert on.hash != off.hash
    assert Rendering.from_json(on.to_json()) == on


def test_a_preview_and_a_proof_lead_straight_on(
    render: Callable[..., Rendering], newsletter: Path
) -> None:
    off = render()
    on = render('clicks = "individual"\nopens = "individual"')
    assert filled(on.html, PERSON) == filled(off.html, PERSON)
    bot = Bot.open(newsletter)
    assert composed(bot, on, None) == composed(bot, off, None)


def test_in_aggregate_every_reader_has_the_same_links(
    render: Callable[..., Rendering], newsletter: Path
) -> None:
    before = hrefs(filled(render().html, PERSON))
    on = render('clicks = "aggregate"\nopens = "aggregate"')
    bot = Bot.open(newsletter)
    html = composed(bot, on, counted(on))
    assert html == composed(bot, on, counted(on), delivery=8)
    numbers = counted(on).numbers
    signer = Composer(on, bot.settings, SECRET)._tokens
    for direct, sent in zip(before, hrefs(html), strict=True):
        if direct not in numbers:
            assert "/r/" not in sent
            continue
        found = re.fullmatch(r"https://news\.example\.com/r/2026-W01/(\d+)/([0-9a-f]{16})", sent)
        assert found
        assert int(found[1]) == numbers[direct]
        assert signer.is_place_mac("2026-W01", int(found[1]), found[2])
    picture = f'src="https://news.example.com/o/2026-W01/{signer.place_mac("2026-W01", 0)}.gif"'
    assert html.count(picture) == 1
    assert html.rstrip().endswith("/></body></html>")


def test_individually_a_reader_has_one_token_for_all_links(
    render: Callable[..., Rendering], newsletter: Path
) -> None:
    on = render('clicks = "individual"\nopens = "individual"')
    bot = Bot.open(newsletter)
    html = composed(bot, on, counted(on))
    found = set(re.findall(r"https://news\.example\.com/(?:r|o)/([0-9a-f]+)[./]", html))
    (token,) = found
    signer = Composer(on, bot.settings, SECRET)._tokens
    claim = signer.read_visit_token(token)
    assert claim is not None
    assert (claim.issue_id, claim.delivery_id) == (3, 7)
    assert {int(one) for one in re.findall(r"/r/[0-9a-f]+/(\d+)", html)} == set(range(1, 7))
    assert token not in composed(bot, on, counted(on), delivery=8)
    for one in (
        token[:-1],
        token[:-2],
        "00" + token[2:],
        token[:-1] + "g",
        signer.bounce_token(7),
    ):
        assert signer.read_visit_token(one) is None


@pytest.mark.parametrize(
    ("text", "shows"),
    [
        ("https://bank.example/login", True),
        ("see HTTPS://bank.example", True),
        ("bank.example", True),
        ("www.bank.example/a?b", True),
        ("Bank.Example www.bank.example", True),
        ("the bank at bank.example", False),
        ("GPT-4.5", False),
        ("read more…", False),
        ("", False),
    ],
)
def test_a_link_that_shows_an_address_is_left_alone(text: str, *, shows: bool) -> None:
    assert shows_address(text) is shows


def test_the_less_of_two_details_is_the_one_that_tells_less() -> None:
    assert Detail.INDIVIDUAL.at_most(Detail.AGGREGATE) is Detail.AGGREGATE
    assert Detail.AGGREGATE.at_most(Detail.OFF) is Detail.OFF


# ── the table of links ───────────────────────────────────────────────────────────────────────────


def planned(*urls: str, identity: str = "2026-W01") -> Rendering:
    found = tuple(TrackedLink(url, "item", "Title") for url in urls)
    return Rendering(identity, ((),), (), (), "en", Tracking(Detail.AGGREGATE, Detail.OFF, found))


def test_links_are_written_with_the_plan_and_once(engine: Engine) -> None:
    store = PlanStore(engine)
    row = store.plan(planned("https://a.example/", "https://b.example/"), "T", ["weekly"])
    store.plan(planned("https://c.example/"), "T", ["weekly"])
    found = LinksStore(engine).find("2026-W01")
    assert found is not None
    assert found == LinksStore(engine).find(row.id)
    assert found.urls == {1: "https://a.example/", 2: "https://b.example/"}
    assert store.counted(row.id).numbers == {"https://a.example/": 1, "https://b.example/": 2}
    assert LinksStore(engine).find("2026-W02") is None


def test_a_number_of_a_sequence_message_never_means_another_link(engine: Engine) -> None:
    store = NewcomersStore(engine)
    store.begin(planned("https://a.example/", "https://b.example/", identity="hi"), "T", ["weekly"])
    store.begin(planned("https://c.example/", "https://b.example/", identity="hi"), "T", ["weekly"])
    found = LinksStore(engine).find("hi")
    assert found is not None
    assert found.urls == {1: "https://a.example/", 2: "https://b.example/", 3: "https://c.example/"}
