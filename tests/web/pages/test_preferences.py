from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.consent import By, Choices, Frequency
from newsletter_bot.subscribers.model import NewSubscriber
from newsletter_bot.subscribers.tokens import Link
from tests.web.pages.conftest import Site

TOKYO = ZoneInfo("Asia/Tokyo")
SAVE = {"do": "save", "list": "weekly", "frequency": "every", "name": "Ada"}


def path(site: Site, more: str = "", number: int = 1) -> str:
    return f"/p/{site.token(Link.PREFERENCES, number)}{more}"


def day(ahead: int) -> str:
    return (datetime.now(TOKYO).date() + timedelta(days=ahead)).isoformat()


def choices(site: Site) -> Choices:
    found = site.bot.people.choices(1)
    assert found is not None
    return found


# ── what is shown and saved ──────────────────────────────────────────────────────────────────


def test_the_page_shows_what_is_kept(site: Site) -> None:
    page = site.web.get(path(site))
    assert page.status_code == 200
    assert "ada@example.com" in page.text
    assert re.search(r'value="weekly" checked', page.text)
    assert re.search(r'value="jobs">', page.text)
    assert "Staff only" not in page.text
    assert re.search(r'value="every" checked', page.text)
    assert 'value="Ada"' in page.text


def test_what_was_chosen_is_saved_and_said(any_site: Site) -> None:
    site = any_site
    fields = {"do": "save", "list": "jobs", "frequency": "monthly", "name": "Ada L.", "day": day(9)}
    answer = site.web.post(path(site), data=fields)
    assert answer.status_code == 200
    assert '<p class="message good" role="status">Your preferences are saved.</p>' in answer.text
    kept = choices(site)
    assert (kept.name, kept.frequency) == ("Ada L.", Frequency.MONTHLY)
    assert kept.lists == {"jobs"}
    assert kept.paused_until is not None
    assert datetime.fromtimestamp(kept.paused_until, TOKYO).isoformat()[:16] == f"{day(9)}T00:00"
    assert site.state("ada@example.com") == "unsubscribed"
    assert site.state("ada@example.com", "jobs") == "active"
    last = [row for row in site.rows("subscription_changes") if row["list"] == "jobs"][-1]
    assert last["by"] == "page"
    (consent,) = [row["consent"] for row in site.rows("subscriptions") if row["list"] == "jobs"]
    assert consent["wording"] == "You get what is ticked here by e-mail."
    assert consent["page"] == "https://news.example.com/p"
    assert consent["prefix"] == "127.0.0.0/24"


def test_a_pause_ends_when_the_day_is_taken_away(site: Site) -> None:
    site.web.post(path(site), data={**SAVE, "day": day(3)})
    assert f'value="{day(3)}"' in site.web.get(path(site)).text
    site.web.post(path(site), data={**SAVE, "day": ""})
    assert choices(site).paused_until is None


def test_a_body_without_the_button_changes_nothing(site: Site) -> None:
    before = site.everything()
    for body in ({}, {"list": "jobs"}, {"List-Unsubscribe": "One-Click"}):
        assert site.web.post(path(site), data=body).status_code == 200
    assert site.everything() == before


def test_unticking_everything_leaves_everything(site: Site) -> None:
    site.web.post(path(site), data={"do": "save", "frequency": "every", "name": ""})
    assert choices(site).lists == frozenset()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"day": "2020-01-01"}, "Choose a day within the next year"),
        ({"day": day(0)}, "Choose a day within the next year"),
        ({"day": day(400)}, "Choose a day within the next year"),
        ({"day": "9999-12-31"}, "Choose a day within the next year"),
        ({"day": "tomorrow"}, "Choose a day within the next year"),
        ({"day": "' OR 1=1 --"}, "Choose a day within the next year"),
        ({"name": "A" * 201}, "This name is too long"),
        ({"name": "A\r\nBcc: x"}, "This name is too long"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_saved(
    site: Site, fields: dict[str, str], said: str
) -> None:
    before = site.everything()
    answer = site.web.post(path(site), data={**SAVE, "list": "jobs", **fields})
    assert answer.status_code == 422
    assert said in answer.text
    assert "Not saved yet." in answer.text
    assert re.search(r'value="jobs" checked', answer.text)
    assert site.everything() == before


def test_a_private_list_is_left_here_and_never_joined(site: Site) -> None:
    site.web.post(path(site), data={**SAVE, "list": ["weekly", "staff"]})
    assert choices(site).lists == {"weekly"}
    site.bot.people.choose(
        1, Choices("Ada", "en", Frequency.EVERY, None, frozenset({"weekly", "staff"})), By.OPERATOR
    )
    assert "Staff only" in site.web.get(path(site)).text
    site.web.post(path(site), data={**SAVE, "list": ["weekly", "staff"]})
    assert choices(site).lists == {"weekly", "staff"}
    site.web.post(path(site), data=SAVE)
    assert choices(site).lists == {"weekly"}


def test_strange_values_of_lists_frequency_and_language_are_left_aside(
    site_with: Callable[..., Site],
) -> None:
    site = site_with('[signup]\nlanguages = ["en", "ja"]')
    odd = {**SAVE, "list": ["weekly", "no-such"], "frequency": "hourly", "language": "<b>"}
    site.web.post(path(site), data=odd)
    assert (choices(site).language, choices(site).frequency) == ("en", Frequency.EVERY)
    site.web.post(path(site), data={**SAVE, "language": "ja"})
    assert choices(site).language == "ja"


# ── leaving, taking one's data, being erased ─────────────────────────────────────────────────


def test_leaving_everything_asks_first(any_site: Site) -> None:
    site = any_site
    assert "Unsubscribe from everything" in site.web.get(path(site, "/leave")).text
    assert site.state("ada@example.com") == "active"
    done = site.web.post(path(site, "/leave"), data={})
    assert "You are unsubscribed" in done.text
    assert site.state("ada@example.com") == "unsubscribed"
    assert site.rows("subscription_changes")[-1]["by"] == "page"
    assert site.web.post(path(site, "/leave"), data={}).text == done.text


def test_all_that_is_held_comes_as_a_file(any_site: Site) -> None:
    answer = any_site.web.get(path(any_site, "/data"))
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="my-data.json"'
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    held = json.loads(answer.text)
    assert "ada@example.com" in json.dumps(held)
    assert "weekly" in json.dumps(held)
    assert any_site.token(Link.PREFERENCES) not in answer.text


def test_erasing_asks_first_and_then_nobody_is_there(any_site: Site) -> None:
    site = any_site
    token = path(site)
    assert "This cannot be undone" in site.web.get(f"{token}/erase").text
    assert site.state("ada@example.com") == "active"
    assert "Your data is erased" in site.web.post(f"{token}/erase", data={}).text
    assert "ada@example.com" not in repr(site.everything())
    for more in ("", "/leave", "/address", "/data", "/erase"):
        assert "This link does not work" in site.web.get(f"{token}{more}").text
    for more in ("", "/leave", "/address", "/erase"):
        answer = site.web.post(f"{token}{more}", data={**SAVE, "address": "eve@example.com"})
        assert answer.status_code == 404
    assert site.rows("letters") == []


def test_an_erased_person_looks_like_nobody(site: Site) -> None:
    known = path(site)
    site.bot.people.forget(1)
    pages = [site.web.get(one) for one in (known, path(site, number=4711), "/p/00", "/p/x")]
    assert [one.status_code for one in pages] == [404] * 4
    assert len({one.text for one in pages}) == 1


# ── a change of address ──────────────────────────────────────────────────────────────────────


def asked(site: Site, address: str = "new@example.com") -> int:
    answer = site.web.post(path(site, "/address"), data={"address": address})
    assert "Look into both mailboxes" in answer.text
    number: int = site.rows("address_changes")[-1]["id"]
    return number


def test_an_address_changes_when_both_mailboxes_agree(any_site: Site) -> None:
    site = any_site
    assert "ada@example.com" in site.web.get(path(site, "/address")).text
    number = asked(site)
    old = f"/a/old/{site.token(Link.AGREE_OLD, number)}"
    new = f"/a/new/{site.token(Link.AGREE_NEW, number)}"
    for link in (old, new):
        assert "Do you agree to the new address?" in site.web.get(link).text
        assert "new@example.com" in site.web.get(link).text
    assert "ada@example.com" not in site.web.get(new).text
    for _ in range(2):
        assert "one more step" in site.web.post(new, data={}).text
    assert "one more step" in site.web.get(new).text
    assert site.bot.people.address_of(1) == "ada@example.com"
    assert "Your address has been changed" in site.web.post(old, data={}).text
    assert site.bot.people.address_of(1) == "new@example.com"
    for link in (old, new):
        assert "Your address has been changed" in site.web.get(link).text
        assert "Your address has been changed" in site.web.post(link, data={}).text


def test_nobody_learns_that_the_new_address_is_known(site: Site) -> None:
    site.bot.subscribers.suppress("gone@example.com", "bounced")
    texts = set()
    for wanted in ("ada", "gone", "nobody"):
        person = NewSubscriber(parse_address(f"{wanted}.x@example.com"))
        site.bot.subscribers.add([person], "weekly", {"source": "test"})
        number = site.rows("subscribers")[-1]["id"]
        place = path(site, "/address", number)
        answer = site.web.post(place, data={"address": f"{wanted}@example.com"})
        texts.add((answer.status_code, answer.text.replace(place[3:-8], "TOKEN")))
    assert len(texts) == 1


def test_a_wrong_new_address_is_told(site: Site) -> None:
    for wrong in ("", "x", "x\r\n@example.com", "ada@"):
        answer = site.web.post(path(site, "/address"), data={"address": wrong})
        assert answer.status_code == 422
        assert "This is not a complete e-mail address" in answer.text
    assert site.rows("address_changes") == []


def test_too_many_changes_are_told_to_wait(site: Site) -> None:
    answers = [
        site.web.post(path(site, "/address"), data={"address": f"n{n}@example.com"})
        for n in range(30)
    ]
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) > 0
    assert 'value="n29@example.com"' in answers[-1].text


def test_an_agreement_needs_the_token_of_its_own_side(site: Site) -> None:
    number = asked(site)
    old, new = site.token(Link.AGREE_OLD, number), site.token(Link.AGREE_NEW, number)
    for link in (f"/a/old/{new}", f"/a/new/{old}", f"/a/both/{old}", f"/a/old/{old[:-2]}"):
        assert site.web.post(link, data={}).status_code == 404
        assert site.web.get(link).status_code == 404
    (row,) = site.rows("address_changes")
    assert (row["old_agreed_at"], row["new_agreed_at"]) == (None, None)


def test_an_expired_change_leaves_everything_as_it_was(site: Site) -> None:
    from sqlalchemy import update

    from newsletter_bot.storage.tables import address_changes

    number = asked(site)
    with site.bot.engine.begin() as connection:
        connection.execute(update(address_changes).values(expires_at=1))
    link = f"/a/old/{site.token(Link.AGREE_OLD, number)}"
    for answer in (site.web.get(link), site.web.post(link, data={})):
        assert answer.status_code == 410
        assert "The address stays as it was" in answer.text
