from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from newsletter_bot.storage.tables import suppressions
from newsletter_bot.web.api.cursors import Cursors, from_place, to_place
from newsletter_bot.web.api.keys import Scope
from newsletter_bot.web.api.problems import Problem
from tests.web.api.api_site import ApiSite, problem

SECRET = b"0123456789abcdef" * 4


# ── one cursor ───────────────────────────────────────────────────────────────────────────────


@given(st.text(), st.binary(max_size=60))
def test_a_cursor_leads_back_to_its_place(listing: str, place: bytes) -> None:
    cursors = Cursors(SECRET)
    if not listing.isprintable():
        return
    assert cursors.read(listing, cursors.make(listing, place)) == place


@given(st.text(max_size=100))
def test_what_we_did_not_make_is_refused(text: str) -> None:
    with pytest.raises(Problem):
        Cursors(SECRET).read("people?", text)


def test_a_cursor_belongs_to_one_listing_and_one_newsletter() -> None:
    cursor = Cursors(SECRET).make("people?", to_place(5))
    for cursors, listing in (
        (Cursors(SECRET), "people?list=weekly"),
        (Cursors(SECRET), "issues?"),
        (Cursors(SECRET[1:]), "people?"),
    ):
        with pytest.raises(Problem):
            cursors.read(listing, cursor)


def test_a_changed_cursor_is_refused() -> None:
    cursors = Cursors(SECRET)
    cursor = cursors.make("people?", to_place(5))
    for place in range(len(cursor)):
        other = "0" if cursor[place] != "0" else "1"
        with pytest.raises(Problem):
            cursors.read("people?", cursor[:place] + other + cursor[place + 1 :])


def test_a_place_has_a_number_and_a_rest() -> None:
    assert from_place(to_place(2**62) + b"rest") == (2**62, b"rest")
    assert from_place(b"") == (0, b"")


# ── walking ──────────────────────────────────────────────────────────────────────────────────


def test_everybody_comes_once_while_others_are_added(each_site: ApiSite) -> None:
    program = each_site.client(Scope.SUBSCRIBERS_READ)
    for number in range(10):
        each_site.add(f"p{number}@example.com")
    before = [each_site.id_of(f"p{number}@example.com") for number in range(10)]
    seen, url, added = [], "/subscribers?limit=3&list=weekly", 10
    while url:
        answer = program.get(url)
        page = answer.json()
        assert len(page["data"]) <= 3
        seen += [one["id"] for one in page["data"]]
        for _ in range(2):
            if added < 16:
                each_site.add(f"p{added}@example.com")
                added += 1
        following = answer.links.get("next", {}).get("url", "")
        assert bool(following) is (page["next"] is not None)
        parts = urlsplit(following)
        url = f"/subscribers?{parts.query}" if following else ""
        assert parts.path in {"", "/api/v1/subscribers"}
    assert seen == sorted(set(seen))
    assert set(before) <= set(seen)
    assert len(seen) == 16


def test_the_limit_may_change_and_the_filters_may_not(each_site: ApiSite) -> None:
    program = each_site.client(Scope.SUBSCRIBERS_READ)
    for number in range(5):
        each_site.add(f"p{number}@example.com")
    cursor = program.get("/subscribers", params={"limit": 2}).json()["next"]
    rest = program.get("/subscribers", params={"limit": 500, "cursor": cursor}).json()
    assert len(rest["data"]) == 3
    other = program.get("/subscribers", params={"list": "weekly", "cursor": cursor})
    body = problem(other, 422, "invalid")
    assert body["errors"][0]["parameter"] == "cursor"
    problem(program.get("/subscribers", params={"cursor": "0" * 40}), 422, "invalid")


def test_suppressions_come_in_the_order_of_their_times(each_site: ApiSite) -> None:
    program = each_site.client(Scope.SUPPRESSIONS_READ)
    people = each_site.bot.people
    for number in range(7):
        people.suppress(f"p{number}@example.com", f"reason {number}")
    with each_site.bot.engine.begin() as connection:  # two and five at one time each
        for number in range(7):
            mine = suppressions.c.reason == f"reason {number}"
            at = 100 if number < 2 else 200
            connection.execute(update(suppressions).where(mine).values(added_at=at))
    reasons, cursor = [], None
    while True:
        params = {"limit": 3, **({"cursor": cursor} if cursor else {})}
        page = program.get("/suppressions", params=params).json()
        reasons += [one["reason"] for one in page["data"]]
        cursor = page["next"]
        people.suppress(f"late{len(reasons)}@example.com", "late")
        if cursor is None or len(reasons) > 30:
            break
    early = [one for one in reasons if one != "late"]
    assert sorted(early) == [f"reason {number}" for number in range(7)]
    assert set(early[:2]) == {"reason 0", "reason 1"}
