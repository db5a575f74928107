from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from newsletter_bot.storage.tables import metadata
from newsletter_bot.subscribers.consent import SignupRequest
from newsletter_bot.subscribers.tokens import Link
from tests.web.pages.conftest import Site


def expire(site: Site) -> None:
    signups = metadata.tables["signups"]
    with site.bot.engine.begin() as connection:
        connection.execute(update(signups).values(expires_at=1))


def test_the_page_names_the_lists_and_only_its_button_confirms(any_site: Site) -> None:
    site = any_site
    path = f"/c/{site.token(Link.CONFIRM, site.asked(lists=('weekly', 'jobs')))}"
    page = site.web.get(path)
    assert page.status_code == 200
    assert "Do you want to subscribe?" in page.text
    assert "<li><bdi>Weekly</bdi></li>" in page.text
    assert "<li><bdi>Jobs &amp; grants</bdi></li>" in page.text
    assert "Nothing has changed yet" in page.text
    assert site.state("bo@example.com") == "pending"
    done = site.web.post(path, data={})
    assert (done.status_code, done.history) == (200, [])
    assert "You are subscribed" in done.text
    assert [site.state("bo@example.com", one) for one in ("weekly", "jobs")] == ["active"] * 2
    changes = [(row["list"], row["by"]) for row in site.rows("subscription_changes")]
    assert ("jobs", "confirm") in changes


def test_again_and_again_it_is_friendly(site: Site) -> None:
    path = f"/c/{site.token(Link.CONFIRM, site.asked())}"
    site.web.post(path, data={})
    before = site.everything()
    for answer in (site.web.post(path, data={}), site.web.get(path)):
        assert answer.status_code == 200
        assert "You have already confirmed" in answer.text
    assert site.everything() == before


def test_the_page_of_thanks_leads_to_the_preferences(site: Site) -> None:
    path = f"/c/{site.token(Link.CONFIRM, site.asked())}"
    done = site.web.post(path, data={})
    (token,) = re.findall(r"https://news.example.com/p/([0-9a-f]+)", done.text)
    assert "bo@example.com" in site.web.get(f"/p/{token}").text
    # Reading it again is no proof of the mailbox: whoever got the mail forwarded may do that.
    assert "/p/" not in site.web.get(path).text


def test_an_expired_link_leads_back_to_the_form(site: Site) -> None:
    path = f"/c/{site.token(Link.CONFIRM, site.asked())}"
    expire(site)
    for answer in (site.web.get(path), site.web.post(path, data={})):
        assert answer.status_code == 410
        assert "This link has expired" in answer.text
        assert 'href="https://news.example.com/subscribe"' in answer.text
    assert site.state("bo@example.com") == "pending"


def test_who_left_and_presses_again_stays_away(site: Site) -> None:
    path = f"/c/{site.token(Link.CONFIRM, site.asked())}"
    site.web.post(path, data={})
    site.bot.people.unsubscribe("bo@example.com")
    site.web.post(path, data={})
    assert site.state("bo@example.com") == "unsubscribed"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_that_there_is_not_or_not_any_more_gets_the_neutral_page(
    site: Site, method: str
) -> None:
    unmailed = site.bot.people.ask(SignupRequest("bo@example.com", ("weekly",), proved=True))
    for number in (unmailed, 4711, 2**47):
        answer = site.web.request(method, f"/c/{site.token(Link.CONFIRM, number)}", data={})
        assert answer.status_code == 404
        assert "This link does not work" in answer.text


def test_many_presses_at_once_confirm_once(any_site: Site) -> None:
    site = any_site
    path = f"/c/{site.token(Link.CONFIRM, site.asked())}"
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: site.web.post(path, data={}), range(16)))
    assert {one.status_code for one in answers} == {200}
    active = [row for row in site.rows("subscription_changes") if row["state"] == "active"]
    assert len([row for row in active if row["by"] == "confirm"]) == 1
