"""GET and HEAD change nothing (promise 5), and a token opens the one door it was made for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from newsletter_bot.subscribers.tokens import Link, TokenSigner
from tests.web.pages.conftest import Site

DOORS = {
    "/c/{}": Link.CONFIRM,
    "/p/{}": Link.PREFERENCES,
    "/p/{}/address": Link.PREFERENCES,
    "/p/{}/leave": Link.PREFERENCES,
    "/p/{}/data": Link.PREFERENCES,
    "/p/{}/erase": Link.PREFERENCES,
    "/a/old/{}": Link.AGREE_OLD,
    "/a/new/{}": Link.AGREE_NEW,
}
EVERYTHING = {"do": "save", "list": "jobs", "frequency": "monthly", "address": "eve@example.com"}


@pytest.fixture
def busy(any_site: Site) -> Site:
    """Somebody waits for a confirmation, and somebody for a new address: all with the id 1."""
    any_site.asked()
    any_site.bot.people.ask_address_change(1, "new@example.com")
    return any_site


def paths(site: Site) -> list[str]:
    doors = [door.format(site.token(link)) for door, link in DOORS.items()]
    unsubscribe = f"/u/{site.bot.signer.unsubscribe_token(1, 'weekly')}"
    form = ["/subscribe", "/subscribe/sent", "/subscribe/embed", "/subscribe/challenge"]
    return [*doors, unsubscribe, *form, "/", "/healthz", "/readyz", "/nowhere"]


def test_get_and_head_on_every_route_change_nothing(busy: Site) -> None:
    before = busy.everything()
    query = "?do=save&List-Unsubscribe=One-Click&confirm=1&_method=POST"
    for method in ("GET", "HEAD"):
        for path in paths(busy):
            override = {"X-HTTP-Method-Override": "POST", "X-Method-Override": "DELETE"}
            answer = busy.web.request(method, path + query, headers=override)
            assert answer.status_code in {200, 404}, path
            assert "set-cookie" not in answer.headers
    for path in paths(busy):
        for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
            assert busy.web.request(method, path).status_code >= 400, (method, path)
    assert busy.everything() == before
    assert busy.rung == []


def test_every_page_behind_a_token_is_kept_from_others(busy: Site) -> None:
    for path in paths(busy)[:9]:
        for answer in (busy.web.get(path), busy.web.get(path[:-2])):
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "script-src" not in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-robots-tag"] == "noindex"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["strict-transport-security"]
            assert "<script" not in answer.text


def test_a_token_made_for_one_door_opens_no_other(busy: Site) -> None:
    before = busy.everything()
    signer = busy.bot.signer
    others = [signer.unsubscribe_token(1, "weekly"), signer.bounce_token(1)]
    for door, link in DOORS.items():
        wrong = [*others, *(busy.token(one) for one in Link if one is not link)]
        refused(busy, [door.format(token) for token in wrong])
    refused(busy, [f"/u/{busy.token(link)}" for link in Link])
    assert busy.everything() == before


def test_forged_truncated_and_foreign_tokens_open_nothing(busy: Site) -> None:
    before = busy.everything()
    foreign = TokenSigner(b"another newsletter's secret, long enough")
    for door, link in DOORS.items():
        good = busy.token(link)
        other = "0" if good[-1] != "0" else "1"
        second = good[:2] + "000000000002" + good[14:]  # somebody else's number, the same mark
        wrong = [good[:-1], good[:-2], good[:-1] + other, good + "00", "00" + good[2:], second]
        wrong += [foreign.link_token(link, 1), "x" * 4000, "\u0661" * 46, "%00", "%2e%2e", "'--"]
        refused(busy, [door.format(token) for token in wrong])
    assert busy.everything() == before


def refused(site: Site, paths: list[str]) -> None:
    for path in paths:
        assert site.web.get(path).status_code == 404, path
        if not path.endswith("/data"):
            assert site.web.post(path, data=EVERYTHING).status_code == 404, path


def test_a_token_in_capitals_or_with_a_slash_more_leads_to_nobody_else(busy: Site) -> None:
    for path in paths(busy)[:9]:
        slashed = busy.web.get(f"{path}/")
        assert slashed.status_code == 404
        assert "location" not in slashed.headers


def test_another_persons_token_shows_and_changes_that_person_alone(
    site_with: Callable[..., Site],
) -> None:
    site = site_with()
    site.asked("bo@example.com")
    number = site.rows("subscribers")[-1]["id"]
    theirs = f"/p/{site.token(Link.PREFERENCES, number)}"
    assert "ada@example.com" not in site.web.get(theirs).text
    site.web.post(f"{theirs}/erase", data={})
    assert site.state("ada@example.com") == "active"
    assert site.bot.people.address_of(number) is None
